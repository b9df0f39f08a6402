/**
 * Processes of one simulated machine: start, end, stop and go on, pids that are
 * used again soon. What a dead process still tries to do has no effect; what
 * comes to a stopped one waits.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import type { RandomSource } from "../../core/random.ts";
import type { DetachedProcess, ProcessExit } from "../../armors/host/child_process.ts";
import type { SimClock } from "./sim_clock.ts";

/** Few, so that they come round. */
const pidFirst = 300;
const pidCount = 200;

/** One process. */
export class SimProcess {
  alive = true;
  stopped = false;
  exit: ProcessExit | undefined;
  /** A program that will end or hang by itself. */
  transient = false;
  /** Dies after so many more effects on the world. */
  dieAfter: number | undefined;
  /** Called when it is dead, by its machine's kernel. */
  readonly onDeath: (() => void)[] = [];
  /** Gets so little time that each thing that comes to it takes up to this long. */
  slowMs = 0;
  readonly #held: (() => void)[] = [];
  #working = false;

  constructor(
    readonly machine: SimMachine,
    readonly identity: ProcessIdentity,
    /** `guard`, `daemon`, a role, `shim` or `program`. */
    readonly role: string,
    /** What it is, for traces: `ftm`, `web.0`. */
    readonly name: string,
  ) {}

  get pid(): number {
    return this.identity.pid;
  }

  /** Something comes to it: now, when it has time, when it goes on, or never. */
  run(body: () => void): void {
    if (!this.alive) return;
    if (!this.#waits && this.#held.length === 0 && this.#slowMs === 0) return body();
    this.#held.push(body);
    this.work();
  }

  get #waits(): boolean {
    return this.stopped || this.machine.suspended;
  }

  get #slowMs(): number {
    return Math.max(this.slowMs, this.machine.slowMs);
  }

  /** Do what has come, one thing after the other. */
  work(): void {
    while (!this.#working && !this.#waits && this.#held.length > 0) {
      if (this.#slowMs === 0) this.#held.shift()!();
      else {
        this.#working = true;
        const { clock, random } = this.machine;
        clock.at(clock.nowMs + random.below(this.#slowMs + 1), () => {
          this.#working = false;
          if (!this.#waits) this.#held.shift()?.();
          this.work();
        });
      }
    }
  }

  /** It is about to do something that others see. @returns Whether it still does. */
  effect(): boolean {
    if (!this.alive) return false;
    if (this.dieAfter === undefined) return true;
    if (this.dieAfter > 0) {
      this.dieAfter -= 1;
      return true;
    }
    this.end({ code: null, signal: "SIGKILL" });
    return false;
  }

  /** It ends. */
  end(exit: ProcessExit): void {
    if (!this.alive) return;
    this.alive = false;
    this.exit = exit;
    this.#held.length = 0;
    for (const heard of this.onDeath.splice(0)) heard();
    this.machine.ended(this);
  }

  stop(): void {
    if (this.alive) this.stopped = true;
  }

  /** Go on with everything that has come meanwhile. */
  goOn(): void {
    if (!this.stopped || !this.alive) return;
    this.stopped = false;
    this.work();
  }

  /** Time as this process sees it. */
  readonly clock: Clock = {
    nowMs: () => this.machine.nowMs,
    after: (delayMs, run) => this.machine.clock.at(this.machine.clock.nowMs + Math.max(0, Math.ceil(delayMs)), () => this.run(run)),
    every: (intervalMs, run) => {
      let over = false;
      const next = (): void => {
        this.clock.after(intervalMs, () => {
          if (over) return;
          run();
          next();
        });
      };
      next();
      return () => void (over = true);
    },
  };

  /** A promise that is kept while this process lives. */
  later<T>(delayMs: number, value: () => T): Promise<T> {
    return new Promise((resolve) => {
      this.clock.after(delayMs, () => {
        this.machine.clock.settled = true;
        resolve(value());
      });
    });
  }

  /** Signal another process and wait for its end. */
  killAndConfirm(identity: ProcessIdentity, signal: string, timeoutMs: number): Promise<boolean> {
    if (this.alive) this.machine.find(identity)?.signal(signal);
    return this.confirmGone(() => this.machine.find(identity) === undefined, timeoutMs);
  }

  /** Ask again and again. */
  confirmGone(gone: () => boolean, timeoutMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (value: boolean): void => {
        this.machine.clock.settled = true;
        resolve(value);
      };
      const look = (waited: number, pause: number): void => {
        if (gone()) return settle(true);
        if (waited >= timeoutMs) return settle(false);
        this.clock.after(pause, () => look(waited + pause, Math.min(pause * 2, 32)));
      };
      look(0, 1);
    });
  }

  /** As the kernel delivers signals; programs handle SIGTERM themselves. */
  signal(signal: string): void {
    if (this.role === "foreign") this.machine.misled?.(this, signal);
    if (signal === "SIGKILL") this.end({ code: null, signal });
    else if (signal === "SIGSTOP") this.stop();
    else if (signal === "SIGCONT") this.goOn();
    else {
      this.run(() => {
        this.machine.clock.settled = true;
        this.handlers.get(signal)?.();
      });
    }
  }

  /** What it does on signals that can be caught. */
  readonly handlers = new Map<string, () => void>();
}

/** A machine that is on or off. */
export class SimMachine {
  bootId = "";
  on = false;
  /** All of its processes get little time, see {@link SimProcess.slowMs}. */
  slowMs = 0;
  /** Asleep: nothing runs, its clock goes on. */
  suspended = false;
  /** Milliseconds by which its wall clock is wrong. */
  wallErrorMs = 0;
  /** A process that is not Armor's got a signal. */
  misled: ((process: SimProcess, signal: string) => void) | undefined;
  #bootedAtMs = 0;
  #uptimeMs = 0;
  #boots = 0;
  #nextPid = 0;
  #wantedPid: number | undefined;
  readonly #processes = new Map<number, SimProcess>();
  readonly #freedAtMs = new Map<number, number>();

  constructor(readonly name: string, readonly clock: SimClock, readonly random: RandomSource) {}

  /** Milliseconds since boot. */
  get nowMs(): number {
    return this.clock.nowMs - this.#bootedAtMs + this.#uptimeMs;
  }

  /** Power comes: another boot, another clock. */
  boot(): void {
    this.#boots += 1;
    this.on = true;
    this.suspended = false;
    this.bootId = `${this.name}-boot-${this.#boots}`;
    this.#bootedAtMs = this.clock.nowMs;
    this.#uptimeMs = this.#boots === 1 ? 100_000 + this.random.below(1_000_000) : 3_000 + this.random.below(2_000);
    this.#nextPid = this.random.below(20);
    this.#freedAtMs.clear();
  }

  /** Power goes: nobody hears of anything. */
  cut(): void {
    this.on = false;
    const all = [...this.#processes.values()];
    this.#processes.clear();
    for (const process of all) {
      process.onDeath.length = 0;
      process.end({ code: null, signal: "SIGKILL" });
    }
  }

  /** It wakes up. */
  wake(): void {
    this.suspended = false;
    for (const process of this.all()) process.work();
  }

  /** Its clock jumps ahead, as that of a virtual machine that was moved. */
  jump(milliseconds: number): void {
    this.#uptimeMs += milliseconds;
  }

  /** The next process gets this pid, if it is free by then. */
  wantPid(pid: number): void {
    this.#wantedPid = pid;
  }

  /** A new process; its code runs after `delayMs`. */
  spawn(role: string, name: string, delayMs: number, main: (process: SimProcess) => void): SimProcess {
    const identity = { pid: this.#newPid(), startTicks: Math.floor(this.nowMs / 10), bootId: this.bootId };
    const process = new SimProcess(this, identity, role, name);
    this.#processes.set(identity.pid, process);
    process.clock.after(delayMs, () => main(process));
    return process;
  }

  /** How a parent sees its child. */
  child(parent: SimProcess, child: SimProcess): DetachedProcess {
    return {
      pid: child.pid,
      identity: child.identity,
      onExit: (listener) => {
        const tell = (): void => void parent.clock.after(1 + this.random.below(4), () => listener(child.exit!));
        if (!child.alive) tell();
        else child.onDeath.push(tell);
      },
    };
  }

  /** Exactly this process, while it lives. */
  find({ pid, startTicks, bootId }: ProcessIdentity): SimProcess | undefined {
    const process = this.#processes.get(pid);
    return process && process.identity.startTicks === startTicks && bootId === this.bootId ? process : undefined;
  }

  /** A living process by its pid alone. */
  byPid(pid: number): SimProcess | undefined {
    return this.#processes.get(pid);
  }

  /** Living processes. */
  all(role?: string): SimProcess[] {
    return [...this.#processes.values()].filter((process) => role === undefined || process.role === role);
  }

  /** Called by processes. */
  ended(process: SimProcess): void {
    if (this.#processes.get(process.pid) !== process) return;
    this.#processes.delete(process.pid);
    this.#freedAtMs.set(process.pid, this.clock.nowMs);
  }

  #newPid(): number {
    const wanted = this.#wantedPid;
    this.#wantedPid = undefined;
    // Two processes of one pid that start in the same tick of the clock are beyond any identity.
    if (wanted !== undefined && !this.#processes.has(wanted) && this.clock.nowMs - (this.#freedAtMs.get(wanted) ?? 0) > 20) return wanted;
    for (;;) {
      const pid = pidFirst + this.#nextPid++ % pidCount;
      const freedAtMs = this.#freedAtMs.get(pid);
      if (!this.#processes.has(pid) && (freedAtMs === undefined || this.clock.nowMs - freedAtMs > 100)) return pid;
    }
  }
}
