/**
 * Processes of this machine, read from `/proc`. A process is named by pid, start
 * time and boot; state `Z` (ended, not yet collected) means dead.
 *
 * What cannot be read is not gone: without free descriptors or memory this process sees nothing, and all go on.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import process from "node:process";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { bootId } from "./system_clock.ts";

/** One line of `/proc/PID/stat`, as far as Armor reads it. */
export interface ProcessEntry {
  readonly pid: number;
  /** File name of the program, cut to 15 bytes by the kernel; may hold any character. */
  readonly name: string;
  /** `R` running, `S` and `D` sleeping, `T` stopped, `t` traced, `Z` and `X` dead; `?` there is one, and it cannot be read now. */
  readonly state: string;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  readonly threads: number;
  /** Clock ticks since boot. */
  readonly startTicks: number;
}

/** `stopped`: by a signal; `traced`: held by a debugger. */
export type ProgramState = "running" | "stopped" | "traced" | "gone";

/** Parse `/proc/PID/stat`; the name ends at the last parenthesis, whatever it holds. */
export function parseStat(text: string): ProcessEntry | undefined {
  const open = text.indexOf(" (");
  const close = text.lastIndexOf(") ");
  if (open < 1 || close < open) return undefined;
  const fields = text.slice(close + 2).split(" ");
  const entry = {
    pid: Number(text.slice(0, open)),
    name: text.slice(open + 2, close),
    state: fields[0] ?? "",
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    threads: Number(fields[17]),
    startTicks: Number(fields[19]),
  };
  return entry.state.length === 1 && Number.isSafeInteger(entry.pid) && Number.isSafeInteger(entry.startTicks)
    ? entry
    : undefined;
}

/** @returns `undefined` if there is no such process; of one that cannot be read now the pid and state `?`, see {@link isUnseen}. */
export function readProcess(pid: number): ProcessEntry | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch (error) {
    if (isGone(error)) return undefined;
    return { pid, name: "", state: "?", parent: NaN, group: NaN, session: NaN, threads: NaN, startTicks: NaN };
  }
}

/** The second when it ended while being read. */
function isGone(error: unknown): boolean {
  return ["ENOENT", "ESRCH"].includes(String((error as NodeJS.ErrnoException).code));
}

/** Nothing is known of it but its pid: it counts as alive, and gets no signal, for it might be another's. */
export function isUnseen(entry: ProcessEntry): boolean {
  return entry.state === "?";
}

/** Name a process that is running now. @returns `undefined` if there is none, or it cannot be read now. */
export function identify(pid: number): ProcessIdentity | undefined {
  const entry = readProcess(pid);
  return entry === undefined || isDead(entry) || isUnseen(entry)
    ? undefined
    : { pid: entry.pid, startTicks: entry.startTicks, bootId: bootId() };
}

/** @returns The entry of exactly this process, dead or alive, or an unseen one; `undefined` once it is gone or its pid is another's. */
export function entryOf(identity: ProcessIdentity): ProcessEntry | undefined {
  if (identity.bootId !== bootId()) return undefined;
  const entry = readProcess(identity.pid);
  return entry && (isUnseen(entry) || entry.startTicks === identity.startTicks) ? entry : undefined;
}

/** Is exactly this process alive, as far as can be seen now? */
export function isAlive(identity: ProcessIdentity): boolean {
  const entry = entryOf(identity);
  return entry !== undefined && !isDead(entry);
}

/** What exactly this process is doing; it runs if that cannot be seen now. */
export function programState(identity: ProcessIdentity): ProgramState {
  const entry = entryOf(identity);
  if (entry === undefined || isDead(entry)) return "gone";
  return entry.state === "T" ? "stopped" : entry.state === "t" ? "traced" : "running";
}

/** Stopped by a signal: somebody from outside did that, it is no hang of its own making. */
export function isStopped(identity: ProcessIdentity): boolean {
  return programState(identity) === "stopped";
}

/** A first thread that has ended is `Z` too while others of its process go on. */
function isDead(entry: ProcessEntry): boolean {
  return entry.state === "X" || (entry.state === "Z" && entry.threads <= 1);
}

/**
 * Processes whose arguments satisfy `test`; reads the whole table, some 10 µs a process.
 *
 * @throws If the table cannot be read now: there may be others.
 */
export function findByArguments(test: (args: readonly string[]) => boolean): number[] {
  return readdirSync("/proc").map(Number).filter((pid) => {
    if (!Number.isSafeInteger(pid) || pid <= 0) return false;
    const args = argumentsOf(pid);
    return args.length > 0 && test(args);
  });
}

/** Processes of Armor with one of these roles and this data folder, as their arguments say. @param own Where the role is `own`: this armor's. */
export function findArmorProcesses(roles: readonly string[], dataDir: string, own?: string): number[] {
  return findByArguments((args) =>
    roles.includes(valueOf(args, "--role") ?? "") && valueOf(args, "--data-dir") === dataDir && (own === undefined || valueOf(args, "--armor") === own)
  );
}

/** Everything of Armor on this data folder, shims too. A command such as `armor logs --data-dir DIR` has no role, and is the operator's. */
export function findNodeProcesses(dataDir: string): number[] {
  return findByArguments((args) => {
    const isOurs = valueOf(args, "--role") !== undefined || args.slice(0, 2).join(" ") === "/bin/sh -s";
    return isOurs && valueOf(args, "--data-dir") === dataDir;
  });
}

/** Of a flag, as `--flag value` or `--flag=value`. */
function valueOf(args: readonly string[], flag: string): string | undefined {
  const at = args.findIndex((one) => one === flag || one.startsWith(`${flag}=`));
  return at < 0 ? undefined : args[at] === flag ? args[at + 1] : args[at]!.slice(flag.length + 1);
}

/** @returns The arguments of a process; empty if it is gone, dead, a kernel thread, or cannot be read now. */
export function readArguments(pid: number): string[] {
  try {
    return argumentsOf(pid);
  } catch {
    return [];
  }
}

function argumentsOf(pid: number): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    return text === "" ? [] : text.replace(/\0$/, "").split("\0");
  } catch (error) {
    // Some machines show nobody another user's processes: none of them is ours.
    if (isGone(error) || ["EACCES", "EPERM"].includes(String((error as NodeJS.ErrnoException).code))) return [];
    throw error;
  }
}

/**
 * Send a signal to exactly this process.
 *
 * @returns `false` if it is gone, not ours to signal, or cannot be seen now.
 */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  const entry = entryOf(identity);
  return entry !== undefined && !isUnseen(entry) && !isDead(entry) && kill(identity.pid, signal);
}

/**
 * Signal a process and wait until it is dead.
 *
 * @returns `false` if it still lives after `timeoutMs`.
 */
export async function killAndConfirm(
  identity: ProcessIdentity,
  signal: NodeJS.Signals,
  timeoutMs: number,
): Promise<boolean> {
  let sent = false;
  return await confirmGone(() => {
    sent ||= signalProcess(identity, signal);
    return !isAlive(identity);
  }, timeoutMs);
}

/**
 * Ask again after 1, 2, 4, … at most 32 ms.
 *
 * @returns Whether `gone` said so within `timeoutMs`.
 */
export async function confirmGone(gone: () => boolean, timeoutMs: number): Promise<boolean> {
  for (let waited = 0, pause = 1; !gone(); waited += pause, pause = Math.min(pause * 2, 32)) {
    if (waited >= timeoutMs) return false;
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
  return true;
}

/** `process.kill` without exceptions; a negative pid is a group, `0` asks whether it exists. */
export function kill(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
