/**
 * Starting processes that outlive their parent: daemons, armors and launch
 * shims. Each has a session of its own, files as its output, and none of our
 * descriptors.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { closeSync } from "node:fs";
import process from "node:process";
import { ArmorError } from "../../core/errors.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { systemCalls } from "./ffi.ts";
import { diskStatus } from "./hand_record.ts";
import { openLog } from "./log_file.ts";
import { identify } from "./process_table.ts";

/** What to start. */
export interface SpawnOptions {
  /** Program, as an absolute path, and arguments. */
  readonly argv: readonly [string, ...string[]];
  /** All of its environment. */
  readonly env: { readonly [name: string]: string };
  /** Default `/`, so that no file system is kept busy. */
  readonly directory?: string;
  /** Standard output and error are appended here; `/dev/null` if absent. */
  readonly logFile?: string | undefined;
  /** Descriptor for standard input, which stays the caller's; `/dev/null` if absent. */
  readonly input?: number | undefined;
  /** In place of `logFile`: descriptors for standard output and error, which stay the caller's. */
  readonly output?: readonly [number | "ignore", number | "ignore"] | undefined;
}

/** How a process ended; one of the two is `null`. */
export interface ProcessExit {
  readonly code: number | null;
  readonly signal: string | null;
}

/** A child that this process does not wait for. */
export interface DetachedProcess {
  readonly pid: number;
  /** `undefined` if it had ended before it could be read. */
  readonly identity: ProcessIdentity | undefined;
  /** Called once, also if the process has ended already. */
  onExit(listener: (exit: ProcessExit) => void): void;
}

/**
 * Start a process in a session of its own.
 *
 * Descriptors: on Deno the child finds a few duplicates of its own output and
 * of Deno's internals; everything that Armor opens is closed on both runtimes.
 *
 * @throws {ArmorError} `"spawn_failed"` if it cannot be started.
 */
export function spawnDetached(options: SpawnOptions): DetachedProcess {
  const [program, ...args] = options.argv;
  const log = options.logFile === undefined ? undefined : openLog(options.logFile);
  const [out, err] = options.output ?? [log ?? "ignore", log ?? "ignore"];
  systemCalls()?.closeOnExec();
  let failure: unknown;
  try {
    // By the file that runs: under its name there may be another by now, or none.
    const again = program === process.execPath && process.versions["bun"] !== undefined;
    const child = spawn(again ? "/proc/self/exe" : program, args, {
      ...(again && { argv0: program }),
      cwd: options.directory ?? "/",
      detached: true,
      env: options.env,
      stdio: [options.input ?? "ignore", out, err],
    });
    child.on("error", (error) => (failure = error));
    const { pid } = child;
    if (pid !== undefined) {
      const exited = new Promise<ProcessExit>((resolve) => child.once("exit", (code, signal) => resolve({ code, signal })));
      child.unref();
      return { pid, identity: identify(pid), onExit: (listener) => void exited.then(listener) };
    }
  } catch (error) {
    failure = error;
  } finally {
    if (log !== undefined) closeSync(log);
  }
  throw new ArmorError("spawn_failed", `Cannot start ${JSON.stringify(program)}`, { cause: failure });
}

/**
 * How to start this program once more; roles and options follow.
 *
 * @param entry The main script, unless compiled.
 */
export function selfArgv(entry: string = process.argv[1] ?? ""): [string, ...string[]] {
  if (entry.startsWith("/$bunfs/") || entry.includes("$bunfs")) return [process.execPath];
  return process.versions["deno"] === undefined
    ? [process.execPath, entry]
    : [process.execPath, "run", "-A", entry];
}

/** Signals that a program brings upon itself. */
const ownSignals: readonly string[] = ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP", "SIGSYS"];

/** Whether a process ended by its own mistake, as far as its end tells; others may have been killed from outside. */
export function isOwnEnd(code: number | null, signal: string | null): boolean {
  return signal === null ? code !== 0 && code !== diskStatus && code !== null : ownSignals.includes(signal);
}
