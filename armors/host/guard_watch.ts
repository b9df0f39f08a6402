/**
 * Guard watch: the daemon looks after its parent. A guard that is gone or hung
 * is replaced, unless another takes its place first (a service manager may have
 * started one).
 *
 * @module
 */
import process from "node:process";
import type { Clock } from "../../core/clock.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { cleanEnvironment } from "../environment.ts";
import { type DetachedProcess, selfArgv, spawnDetached } from "./child_process.ts";
import type { DataDir } from "./data_dir.ts";
import { lockHolder } from "./lock_file.ts";
import { identify, isAlive, killAndConfirm, readArguments } from "./process_table.ts";
import { systemClock } from "./system_clock.ts";

const lookEveryMs = 50;
/** A service manager gets this long to start a guard of its own. */
const replaceAfterMs = 100;
const killWithinMs = 2_000;

/** What is asked of the machine. */
export interface GuardSystem {
  readonly clock: Clock;
  /** Who holds the guard's lock. */
  holder(): ProcessIdentity | undefined;
  isAlive(identity: ProcessIdentity): boolean;
  killAndConfirm(identity: ProcessIdentity, signal: NodeJS.Signals, timeoutMs: number): Promise<boolean>;
  /** @throws If it cannot be started. */
  start(): DetachedProcess;
}

/**
 * Guards as processes of this machine.
 *
 * @param flags The node's flags, which a new guard gets too.
 */
export function guardSystem(data: DataDir, flags: readonly string[]): GuardSystem {
  return {
    clock: systemClock,
    holder: () => holderOf(data.guardLock),
    isAlive,
    killAndConfirm,
    start: () =>
      spawnDetached({
        argv: [...selfArgv(), "--role", "guard", ...flags],
        env: cleanEnvironment(process.env),
        logFile: `${data.path}/guard.log`,
      }),
  };
}

/** Watches the guard of one node. */
export class GuardWatch {
  #guard: ProcessIdentity | undefined;
  #goneSinceMs: number | undefined;
  #started: ProcessIdentity | undefined;
  readonly #stop: () => void;

  constructor(
    readonly system: GuardSystem,
    readonly onEvent: (kind: string, cause: string) => void,
    readonly log: (text: string) => void,
  ) {
    this.#stop = system.clock.every(lookEveryMs, () => this.#look());
  }

  /** It answers nothing: end it. Its replacement follows as for any other end. */
  async hung(): Promise<void> {
    const guard = this.#guard ?? this.system.holder();
    if (!guard) return;
    this.onEvent("guard.hung", "silent");
    await this.system.killAndConfirm(guard, "SIGKILL", killWithinMs);
  }

  close(): void {
    this.#stop();
  }

  #look(): void {
    const { clock, isAlive } = this.system;
    if (this.#guard && isAlive(this.#guard)) return;
    const holder = this.system.holder();
    if (holder && isAlive(holder)) {
      if (this.#goneSinceMs !== undefined) this.onEvent("guard.recovered", "");
      this.#guard = holder;
      this.#goneSinceMs = undefined;
      return;
    }
    if (this.#goneSinceMs === undefined) {
      this.#goneSinceMs = clock.nowMs();
      this.onEvent("guard.crashed", "");
    }
    if (clock.nowMs() - this.#goneSinceMs < replaceAfterMs || (this.#started && isAlive(this.#started))) return;
    try {
      const child = this.system.start();
      this.#started = child.identity;
      child.onExit(() => {});
    } catch (error) {
      this.log(`cannot start a guard: ${String(error)}`);
    }
  }
}

/** The process that holds a lock of a node. The file names the last holder: its pid may be another program's now. */
export function holderOf(lock: string): ProcessIdentity | undefined {
  const pid = lockHolder(lock);
  return pid !== undefined && readArguments(pid).includes("--data-dir") ? identify(pid) : undefined;
}
