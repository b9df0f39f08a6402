/**
 * Launching programs through a shim, see `launch_shim.ts`. A launch is named by
 * instance and number; of two launches of one name, one finds the record taken
 * and starts nothing.
 *
 * @module
 */
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync } from "node:fs";
import process from "node:process";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { Ballast, isDiskFull } from "./ballast.ts";
import { type DetachedProcess, spawnDetached } from "./child_process.ts";
import type { DataDir } from "./data_dir.ts";
import { readLaunchRecord } from "./launch_record.ts";
import { shimArgv, shimScript, shimStatus } from "./launch_shim.ts";
import { openLog } from "./log_file.ts";
import { kill } from "./process_table.ts";
import { type ProgramCommand, programCommand } from "./program_command.ts";
import { bootId } from "./system_clock.ts";
import type { User } from "./user_lookup.ts";

/** One launch. */
export interface LaunchOptions {
  readonly data: DataDir;
  readonly instance: string;
  /** Never used before for this instance. */
  readonly number: number;
  /** What it is launched for, one line; for its record. */
  readonly task?: string;
  readonly command: string;
  readonly args: readonly string[];
  /** All of the program's environment. */
  readonly env: { readonly [name: string]: string };
  /** Absolute. */
  readonly directory: string;
  /** Run as this user; only root can name another. */
  readonly user?: User | undefined;
  /** Receives standard output and error. */
  readonly logFile: string;
  /** A shim that has not recorded its program by then is killed. Default 5 s. */
  readonly timeoutMs?: number;
}

/** How a launch went. */
export type LaunchOutcome =
  /** The program is about to run, or has run already. */
  | { readonly ok: true; readonly record: string; readonly program: ProcessIdentity }
  /** The number was used before: adopt what its record says. */
  | { readonly ok: false; readonly code: "exists"; readonly reason: string }
  /** The machine cannot run it as asked: another try would fail the same way. */
  | { readonly ok: false; readonly code: "refused"; readonly reason: string }
  /** Nothing was started; another try under another number may succeed. */
  | { readonly ok: false; readonly code: "failed"; readonly reason: string };

/** Shims that are children of this process, by record: their end is heard at once. */
const ownShims = new Map<string, DetachedProcess>();

/** @returns The shim of a launch of this process. */
export function ownShim(record: string): DetachedProcess | undefined {
  return ownShims.get(record);
}

/**
 * Launch a program. Returns when its identity is on record, a moment before the
 * program itself runs.
 */
export async function launch(options: LaunchOptions): Promise<LaunchOutcome> {
  const command = programCommand(options, { session: true });
  if (!command.ok) return { ok: false, code: "refused", reason: command.reason };
  const record = options.data.launch(options.instance, options.number);
  let shim: DetachedProcess;
  try {
    shim = startShim(options, command, record);
  } catch (error) {
    if (isDiskFull(error) && new Ballast(options.data.ballast).giveUp()) return await launch(options);
    return failed(failureText(error));
  }
  let status: number | null | undefined;
  shim.onExit((exit) => (status = exit.code));
  const timeoutMs = options.timeoutMs ?? 5_000;
  for (let waited = 0, pause = 1; ; waited += pause, pause = Math.min(pause + 1, 10)) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    const ended = status; // read before the record: what is written before the end is then seen
    const outcome = recordedOutcome(record, shim.pid);
    if (outcome?.ok) keepShim(record, shim);
    if (outcome !== undefined) return outcome;
    // Most likely the disk is full: the next try is to find room.
    if (ended === shimStatus.recordFailed) new Ballast(options.data.ballast).giveUp();
    if (ended !== undefined) return failed(`the launch shim ended with status ${ended} and no program on record`);
    // The shim leads a group; a program that it starts leaves it.
    if (waited >= timeoutMs) kill(-shim.pid, "SIGKILL");
  }
}

function keepShim(record: string, shim: DetachedProcess): void {
  ownShims.set(record, shim);
  shim.onExit(() => ownShims.delete(record));
}

function recordedOutcome(record: string, shim: number): LaunchOutcome | undefined {
  const found = readLaunchRecord(record);
  if (found?.shim === undefined) return undefined;
  if (found.shim !== shim) return { ok: false, code: "exists", reason: `${JSON.stringify(record)} was launched before` };
  if (found.program !== undefined) return { ok: true, record, program: found.program };
  return found.state === "ended" ? failed(found.reason ?? "the launch record cannot be written") : undefined;
}

function failed(reason: string): LaunchOutcome {
  return { ok: false, code: "failed", reason };
}

function startShim(options: LaunchOptions, command: ProgramCommand, record: string): DetachedProcess {
  const { data, user, directory, task } = options;
  mkdirSync(data.launches(options.instance), { recursive: true, mode: 0o700 });
  const log = openLog(options.logFile, { limitBytes: Number.POSITIVE_INFINITY, owner: command.switchUser ? user : undefined });
  const scriptPath = `${record}.${process.pid}.sh`;
  let script: number | undefined;
  try {
    writeFileSync(scriptPath, shimScript({ argv: command.argv, directory, bootId: bootId(), task }), { mode: 0o600 });
    script = openSync(scriptPath, "r");
    rmSync(scriptPath);
    return spawnDetached({ argv: shimArgv(data.path, record), env: command.env, input: script, output: [log, "ignore"] });
  } finally {
    closeSync(log);
    if (script !== undefined) closeSync(script);
    else rmSync(scriptPath, { force: true });
  }
}

function failureText(error: unknown): string {
  const { code, path, message } = error as NodeJS.ErrnoException;
  return path === undefined ? message : `${code}: ${path}`;
}
