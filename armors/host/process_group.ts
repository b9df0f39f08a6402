/**
 * Programs as process groups. A launched program leads a session and a group of
 * its own; signals go to the group, so its children hear them too.
 *
 * @module
 */
import { readdirSync } from "node:fs";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { confirmGone, entryOf, isAlive, isUnseen, kill, readProcess } from "./process_table.ts";
import { bootId } from "./system_clock.ts";

/**
 * Signal the group of a launched program, also when the program itself has ended
 * and only its children are left.
 *
 * @returns `false` if nothing of it is left (dead members that nobody has collected count as left), or its pid is another's now,
 *   or may be: it cannot be seen.
 */
export function signalGroup(program: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isGroupOurs(program)) return false;
  // On record, but not yet leader of its group: for a millisecond it is still the shim's copy.
  const entry = entryOf(program);
  if (entry && isUnseen(entry)) return false;
  const group = entry?.group ?? program.pid;
  return kill(group === program.pid ? -program.pid : program.pid, signal);
}

/**
 * Signal what a child of this process has left in its group, once its exit is known. For one that had ended
 * before it could be identified: while its group has members no other process gets its pid.
 */
export function signalLeftBehind(pid: number, signal: NodeJS.Signals): void {
  if (readProcess(pid) === undefined) kill(-pid, signal);
}

/** Does any process of the program's group live, as far as can be seen now? */
export function isGroupAlive(program: ProcessIdentity): boolean {
  if (!isGroupOurs(program)) return false;
  if (isAlive(program)) return true;
  if (!kill(-program.pid, 0)) return false; // the usual case, 1 µs; dead but uncollected members still count here
  try {
    return readdirSync("/proc").some((name) => {
      const pid = Number(name);
      const entry = pid > 0 ? readProcess(pid) : undefined;
      return entry !== undefined && (isUnseen(entry) || (entry.group === program.pid && entry.state !== "Z" && entry.state !== "X"));
    });
  } catch {
    return true; // they cannot be seen now
  }
}

/** A pid is not given anew while a group has it as its id; so the group is ours unless another process has the pid. */
function isGroupOurs(program: ProcessIdentity): boolean {
  if (program.bootId !== bootId()) return false;
  return entryOf(program) !== undefined || readProcess(program.pid) === undefined; // what cannot be seen is taken for it
}

/**
 * End a program and its group by SIGKILL: a hang, or what a dead program left
 * behind. A replacement starts only after this returned `true`.
 *
 * @returns Whether all are dead within `timeoutMs`.
 */
export async function killGroup(program: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  if (!isGroupAlive(program)) return true;
  signalGroup(program, "SIGKILL");
  return await confirmGone(() => {
    if (!isGroupAlive(program)) return true;
    signalGroup(program, "SIGKILL"); // a child forked meanwhile
    return false;
  }, timeoutMs);
}

/**
 * The operator's stop: SIGTERM, and SIGKILL to what lives after `graceMs`. A
 * stopped program is woken, or it could not obey.
 *
 * @returns `"ended"` by itself, `"killed"`, or `"alive"` when even SIGKILL did
 *   not end it within `killMs`.
 */
export async function stopGracefully(
  program: ProcessIdentity,
  options: { readonly graceMs: number; readonly killMs?: number },
): Promise<"ended" | "killed" | "alive"> {
  let asked = false;
  const isGone = (): boolean => {
    asked ||= signalGroup(program, "SIGTERM") && signalGroup(program, "SIGCONT");
    return !isAlive(program);
  };
  if (await confirmGone(isGone, options.graceMs)) {
    await killGroup(program, options.killMs ?? 5_000); // children that stayed
    return "ended";
  }
  return await killGroup(program, options.killMs ?? 5_000) ? "killed" : "alive";
}
