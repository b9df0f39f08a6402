/**
 * Log sweep: logs of applications that are gone from a node are kept for those
 * who look afterwards, but not for ever.
 *
 * @module
 */
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";

/** Applications without an instance here whose logs are kept: the newest. */
export const leftLogsMax = 20;

/**
 * Delete the logs of applications that are not here any more, all but the newest.
 *
 * @param folder Of all logs: one folder for each application.
 * @param present Applications that have an instance here; theirs stay.
 * @returns Applications whose logs were deleted.
 */
export function sweepLogs(folder: string, present: ReadonlySet<string>, max: number = leftLogsMax): string[] {
  const left = readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !present.has(entry.name))
    .map(({ name }) => ({ name, writtenMs: newestMs(join(folder, name)) }))
    .sort((a, b) => b.writtenMs - a.writtenMs || (a.name < b.name ? -1 : 1));
  const old = left.slice(max).map(({ name }) => name);
  for (const name of old) rmSync(join(folder, name), { recursive: true, force: true });
  return old;
}

/** When something was last written to a file of the folder. */
function newestMs(folder: string): number {
  const times = readdirSync(folder).map((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.mtimeMs ?? 0);
  return Math.max(0, ...times);
}
