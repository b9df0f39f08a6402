/**
 * Launch sweep: launch records that nobody needs any more. A record without an
 * exit status stays behind where program and shim were killed together, or the
 * machine lost power; it is over all the same when nothing of it lives.
 *
 * @module
 */
import { readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { listLaunches, readLaunchRecord } from "./launch_record.ts";
import { isStarting } from "./launch_watch.ts";
import { isAlive } from "./process_table.ts";

/** Delete all records of an instance's folder but the `keep` newest, and those that are not over. */
export function pruneLaunches(folder: string, keep = 5): void {
  for (const path of recordsOf(folder).slice(0, -keep)) if (isOver(path)) rmSync(path, { force: true });
}

/**
 * Delete the folders of instances that are not here any more, unless something of
 * theirs lives: under the same name another program may begin with the first number.
 *
 * @param folder Of all launches: one folder for each instance.
 * @param present Names of the folders that stay.
 */
export function sweepLaunches(folder: string, present: ReadonlySet<string>): void {
  for (const instance of readdirSync(folder)) {
    const path = join(folder, instance);
    if (!present.has(instance) && recordsOf(path).every(isOver)) rmSync(path, { recursive: true, force: true });
  }
}

function recordsOf(folder: string): string[] {
  return listLaunches(folder).map((number) => join(folder, `${number}.launch`));
}

function isOver(path: string): boolean {
  const record = readLaunchRecord(path);
  if (record === undefined) return false; // it cannot be read now
  if (record.state === "ended") return true;
  if (record.program !== undefined) return !isAlive(record.program);
  if (isStarting(path)) return false;
  // Written, and the shim's copy replaced by the program, while we looked.
  const late = readLaunchRecord(path);
  return late !== undefined && (late.program === undefined || !isAlive(late.program));
}
