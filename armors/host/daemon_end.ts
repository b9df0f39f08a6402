/**
 * How a daemon ended on purpose, for a guard that is not its parent and cannot
 * ask the system: a node that has left must not be started again.
 *
 * @module
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import type { RunDir } from "./run_dir.ts";

/** Exit status that tells the guard: do not start me again; the reason is on stderr. */
export const hopelessStatus = 78;
/** Exit status that tells the guard: start me again as another one; the identity has changed. */
export const againStatus = 79;

const pathIn = (run: RunDir): string => join(run.path, "daemon.end");

/** Leave word of an exit status; a full disk only makes the guard start the daemon once more. */
export function writeDaemonEnd(run: RunDir, { pid, startTicks }: ProcessIdentity, status: number): void {
  try {
    const path = pathIn(run);
    writeFileSync(`${path}.${pid}`, `${pid} ${startTicks} ${status}\n`, { mode: 0o600 });
    renameSync(`${path}.${pid}`, path);
  } catch {
    // told above
  }
}

/** @returns The exit status of this daemon, or `null` if it left no word: it crashed. */
export function readDaemonEnd(run: RunDir, { pid, startTicks }: ProcessIdentity): number | null {
  try {
    const [ofPid, ofTicks, status] = readFileSync(pathIn(run), "latin1").trimEnd().split(" ").map(Number);
    return ofPid === pid && ofTicks === startTicks && Number.isInteger(status) ? status! : null;
  } catch {
    return null;
  }
}
