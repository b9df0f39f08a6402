/**
 * Hearing of a program's end, whoever launched it: from its shim where that is
 * our child, else from its launch record, and from the process table in any
 * case, for a shim may be killed or stopped. A stopped one is woken to write what
 * nobody else can know.
 *
 * @module
 */
import { existsSync, type FSWatcher, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { type LaunchRecord, readLaunchRecord } from "./launch_record.ts";
import { ownShim } from "./launcher.ts";
import { findByArguments, isAlive, kill, readArguments, readProcess } from "./process_table.ts";
import { nowMs } from "./system_clock.ts";

/** How a launched program ended. Plain data. */
export type LaunchExit = {
  /** Exit status, above 128 a signal's number + 128; `null` if nobody can know it: the shim was gone. */
  readonly status: number | null;
  /** Why the program was never started. */
  readonly reason?: string;
};

/** A shim that lives gets this long to write the status of its dead program. */
const statusWithinMs = 1_000;
/** What was killed is gone by then. */
const endWithinMs = 2_000;

/**
 * Call `onExit` once, when the program of a launch record has ended. Works for
 * records of this process and for those found on disk.
 *
 * @param options.intervalMs Between looks at the process table: how late an end
 *   is noticed at most when the shim cannot tell. Default 200 ms.
 * @returns `stop` watching; `look` now, as when the program is seen to be gone.
 */
export function watchLaunch(
  record: string,
  onExit: (exit: LaunchExit) => void,
  options: { readonly intervalMs?: number } = {},
): { stop(): void; look(): void } {
  const state: Watched = { record, program: undefined, goneAtMs: undefined };
  let watcher: FSWatcher | undefined;
  let soon: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;
  const stop = (): void => {
    stopped = true;
    clearInterval(timer);
    clearTimeout(soon);
    watcher?.close();
  };
  const look = (): void => {
    if (stopped) return;
    const exit = launchExit(state);
    if (exit !== undefined) {
      stop();
      onExit(exit);
    } else if (state.goneAtMs !== undefined) {
      clearTimeout(soon);
      soon = setTimeout(look, 5);
    }
  };
  const timer = setInterval(look, options.intervalMs ?? 200);
  const shim = ownShim(record);
  if (shim !== undefined) shim.onExit(look);
  else watcher = watchFile(record, look);
  soon = setTimeout(look, 0); // it may have ended before anyone watched
  return { stop, look };
}

function watchFile(path: string, look: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(dirname(path), (_event, name) => {
      if (name === null || name === basename(path)) look();
    });
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    return undefined; // no inotify watches left: the interval remains
  }
}

interface Watched {
  readonly record: string;
  /** As last read: the record may be deleted while its program runs. */
  program: ProcessIdentity | undefined;
  /** Since when the program is found dead without a status. */
  goneAtMs: number | undefined;
}

/** @returns `undefined` while the program runs, may still start, or its shim is about to write. */
function launchExit(state: Watched): LaunchExit | undefined {
  let found = readLaunchRecord(state.record);
  if (found?.exit !== undefined) return { status: found.exit, ...(found.reason !== undefined && { reason: found.reason }) };
  const program = (state.program ??= found?.program);
  if (program === undefined ? isStarting(state.record) : isAlive(program)) {
    state.goneAtMs = undefined;
    return undefined;
  }
  state.goneAtMs ??= nowMs();
  const isSoon = nowMs() - state.goneAtMs < statusWithinMs;
  if (program === undefined) {
    const late = readLaunchRecord(state.record); // written, and the shim's copy replaced by the program, while we looked
    if (late?.program !== undefined || late?.exit !== undefined || (isSoon && isUnreadable(state.record, late))) return undefined;
    return { status: null, reason: "the launch shim ended before its program started" };
  }
  const shim = found?.shim;
  const shimState = shim === undefined ? undefined : stateOfShim(shim, state.record);
  // All that is left for it to do is to write.
  if (shimState === "T") kill(shim!, "SIGCONT");
  const writes = shimState !== undefined && !"tZX".includes(shimState);
  found = readLaunchRecord(state.record); // it may have been written just before the shim ended
  if (found?.exit !== undefined) return { status: found.exit };
  if (isSoon && (writes || isUnreadable(state.record, found))) return undefined;
  if (shim !== undefined && shimState !== undefined && shimState !== "?") kill(shim, "SIGKILL"); // it is of no use any more
  return { status: null };
}

/** There is a record, but no room (descriptors, memory) to read it now. */
function isUnreadable(record: string, found: LaunchRecord | undefined): boolean {
  return found === undefined && existsSync(record);
}

/** A record without a program: its shim, or the copy of it that becomes the program, may still be at work. */
export function isStarting(record: string): boolean {
  return findStarting(record)?.length !== 0;
}

/** @returns `undefined` if they cannot be seen now. */
function findStarting(record: string): number[] | undefined {
  try {
    return findByArguments((args) => isShimArgv(args, record));
  } catch {
    return undefined;
  }
}

/** Kill what works for a record that names no program: the shim, also a stopped one, and its copy that was to become the program. */
export async function endStarting(record: string): Promise<void> {
  for (let waited = 0; waited < endWithinMs; waited += 20) {
    const left = findStarting(record);
    if (left?.length === 0) return;
    for (const pid of left ?? []) kill(pid, "SIGKILL");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** @returns As in the process table, `?` also where it cannot be seen whose process that is; `undefined` once the shim is gone. */
function stateOfShim(pid: number, record: string): string | undefined {
  const state = readProcess(pid)?.state;
  if (state === undefined || "?ZX".includes(state)) return state === "?" ? state : undefined;
  const args = readArguments(pid);
  return args.length === 0 ? "?" : isShimArgv(args, record) ? state : undefined;
}

function isShimArgv(args: readonly string[], record: string): boolean {
  return args.at(-1) === record && args.includes("--data-dir");
}
