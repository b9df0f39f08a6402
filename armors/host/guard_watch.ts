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
import { late, type Lateness, patienceMs, punctual } from "../../core/restart_policy.ts";
import { armorEnvironment } from "../environment.ts";
import { type DetachedProcess, selfArgv, spawnDetached } from "./child_process.ts";
import type { DataDir } from "./data_dir.ts";
import { lockHolder } from "./lock_file.ts";
import { onParentEnd } from "./parent_watch.ts";
import { findArmorProcesses, identify, isAlive, isStopped, kill, killAndConfirm, readArguments } from "./process_table.ts";
import { systemClock } from "./system_clock.ts";

const lookEveryMs = 50;
/** Between looks at a guard whose end will be told. */
const lookSlowlyEveryMs = 500;
/** A service manager gets this long to start a guard of its own. */
const replaceAfterMs = 100;
const killWithinMs = 2_000;
/** After a new guard: a service manager may have started one of its own, and that have been stopped before it could find the lock taken. */
const wakeOthersAfterMs = [2_000, 10_000] as const;
/** A guard that has just been started gets this long to take its lock, and again to answer. */
const startWithinMs = 2_000;
/** Doubled for each one that did not, up to here: on a slow or busy machine some start does succeed. */
const startWithinMsMax = 32_000;

/** What is asked of the machine. */
export interface GuardSystem {
  readonly clock: Clock;
  /** Who holds the guard's lock. */
  holder(): ProcessIdentity | undefined;
  isAlive(identity: ProcessIdentity): boolean;
  /** By a signal. */
  isStopped(identity: ProcessIdentity): boolean;
  killAndConfirm(identity: ProcessIdentity, signal: NodeJS.Signals, timeoutMs: number): Promise<boolean>;
  /** @throws If it cannot be started. */
  start(): DetachedProcess;
  /** Wake stopped processes that were to be this node's guard too: of two one ends, if both go on. */
  wakeOthers(guard: ProcessIdentity): void;
  /** Call `ended` when that guard has. @returns Listens no more; `undefined` where it will not be told. */
  onEnd(guard: ProcessIdentity, ended: () => void): (() => void) | undefined;
}

/**
 * Guards as processes of this machine.
 *
 * @param flags The node's flags, which a new guard gets too.
 */
export function guardSystem(data: DataDir, flags: readonly string[]): GuardSystem {
  let child: DetachedProcess | undefined;
  return {
    clock: systemClock,
    holder: () => holderOf(data.guardLock),
    isAlive,
    isStopped,
    killAndConfirm,
    start: () =>
      child = spawnDetached({
        argv: [...selfArgv(), "--role", "guard", ...flags],
        env: armorEnvironment(process.env),
        logFile: `${data.path}/guard.log`,
      }),
    wakeOthers: (guard) => {
      try {
        for (const pid of findArmorProcesses(["daemon", "guard"], data.path)) {
          const other = pid === guard.pid ? undefined : identify(pid);
          if (other && isStopped(other)) kill(pid, "SIGCONT");
        }
      } catch {
        // they cannot be seen now: those that stay stopped hold nothing up
      }
    },
    onEnd: (guard, ended) => {
      if (child?.pid !== guard.pid) return onParentEnd(guard, ended);
      let listens = true;
      child.onExit(() => listens && ended());
      return () => void (listens = false);
    },
  };
}

/** A guard's process, and since when it has been known. */
type Known = { readonly process: ProcessIdentity; readonly sinceMs: number };

/** Watches the guard of one node. */
export class GuardWatch {
  #guard: Known | undefined;
  #goneSinceMs: number | undefined;
  /** A replacement that does not hold the lock yet. */
  #started: Known | undefined;
  /** Starts that were not over in time. */
  #late: Lateness = punctual;
  /** It answers nothing. */
  #silent = false;
  #lookEveryMs = 0;
  #stopLooking = (): void => {};
  /** Its end will be told. */
  #stopListening: (() => void) | undefined;
  #stopWaking: readonly (() => void)[] = [];

  constructor(
    readonly system: GuardSystem,
    readonly onEvent: (kind: string, cause: string) => void,
    readonly log: (text: string) => void,
  ) {
    this.#pace(lookEveryMs);
  }

  /** It answers nothing, nor will a successor, until {@link heard} says so. One that has had its time to start is ended; its replacement follows as for any other end. */
  hung(): void {
    this.#silent = true;
    this.#look();
  }

  /** It answers again. */
  heard(): void {
    this.#silent = false;
    this.#late = punctual;
  }

  close(): void {
    this.#stopLooking();
    this.#stopListening?.();
    for (const stop of this.#stopWaking) stop();
  }

  /** Look that often from now on. */
  #pace(everyMs: number): void {
    if (everyMs === this.#lookEveryMs) return;
    this.#lookEveryMs = everyMs;
    this.#stopLooking();
    this.#stopLooking = this.system.clock.every(everyMs, () => this.#look());
  }

  #look(): void {
    this.#judge();
    const quiet = this.#goneSinceMs === undefined && !this.#silent;
    this.#pace(quiet && this.#stopListening !== undefined ? lookSlowlyEveryMs : lookEveryMs);
  }

  #judge(): void {
    const { clock, isAlive } = this.system;
    if (this.#guard && isAlive(this.#guard.process)) {
      if (this.#silent) this.#guard = this.#endLate(this.#guard, "silent");
      return;
    }
    const holder = this.system.holder();
    if (holder && isAlive(holder)) {
      if (this.#goneSinceMs !== undefined) {
        this.onEvent("guard.recovered", "");
        for (const stop of this.#stopWaking) stop();
        this.#stopWaking = wakeOthersAfterMs.map((afterMs) => clock.after(afterMs, () => this.#guard?.process === holder && this.system.wakeOthers(holder)));
      }
      this.#guard = { process: holder, sinceMs: this.#goneSinceMs === undefined ? -Infinity : clock.nowMs() };
      this.#goneSinceMs = undefined;
      this.#stopListening?.();
      this.#stopListening = this.system.onEnd(holder, () => this.#look());
      return;
    }
    if (this.#goneSinceMs === undefined) {
      this.#goneSinceMs = clock.nowMs();
      this.onEvent("guard.crashed", "");
    }
    if (clock.nowMs() - this.#goneSinceMs < replaceAfterMs) return;
    if (this.#started && isAlive(this.#started.process)) this.#started = this.#endLate(this.#started, "did not start");
    else this.#start();
  }

  #start(): void {
    try {
      const child = this.system.start();
      this.#started = child.identity && { process: child.identity, sinceMs: this.system.clock.nowMs() };
      child.onExit(() => {});
    } catch (error) {
      this.log(`cannot start a guard: ${String(error)}`);
    }
  }

  /** End a guard whose time to start is over. @returns What is known of it now. */
  #endLate(known: Known, cause: string): Known {
    const nowMs = this.system.clock.nowMs();
    if (nowMs - known.sinceMs < patienceMs(startWithinMs, this.#late.inRow, startWithinMsMax)) return known;
    this.#late = late(this.#late, this.system.isStopped(known.process));
    this.onEvent("guard.hung", cause);
    void this.system.killAndConfirm(known.process, "SIGKILL", killWithinMs);
    return { ...known, sinceMs: nowMs };
  }
}

/** The process that holds a lock of a node. The file names the last holder: its pid may be another program's now. */
export function holderOf(lock: string): ProcessIdentity | undefined {
  const pid = lockHolder(lock);
  return pid !== undefined && readArguments(pid).includes("--data-dir") ? identify(pid) : undefined;
}
