/**
 * How a daemon looks after its guard, in virtual time: guards that end, hang, or
 * hang before anybody can ask them.
 */
import { expect, test } from "bun:test";
import type { DetachedProcess } from "../../armors/host/child_process.ts";
import { GuardWatch } from "../../armors/host/guard_watch.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";

/** A machine on which guards take their lock `lockAfterMs` after their start; `undefined`: never. */
class Machine {
  nowMs = 0;
  lockAfterMs: number | undefined = 30;
  readonly starts: number[] = [];
  readonly events: string[] = [];
  readonly living = new Map<number, { readonly identity: ProcessIdentity; readonly lockedAtMs: number | undefined }>();
  /** All guards are stopped by a signal. */
  stopped = false;
  /** It tells a guard's end. */
  tells = false;
  looks = 0;
  /** When it has woken all guards but which. */
  readonly woken: string[] = [];
  #later: { readonly atMs: number; readonly run: () => void }[] = [];
  #everyMs = 0;
  #nextMs = 0;
  #ended: (() => void) | undefined;
  #look = (): void => {};
  readonly watch: GuardWatch;

  constructor() {
    this.#spawn();
    const clock = { nowMs: () => this.nowMs, every: (ms: number, run: () => void) => {
      [this.#everyMs, this.#nextMs, this.#look] = [ms, this.nowMs + ms, run];
      return () => {};
    }, after: (ms: number, run: () => void) => {
      this.#later.push({ atMs: this.nowMs + ms, run });
      return () => {};
    } };
    this.watch = new GuardWatch({
      clock,
      holder: () => [...this.living.values()].find(({ lockedAtMs = Number.POSITIVE_INFINITY }) => lockedAtMs <= this.nowMs)?.identity,
      isAlive: ({ pid }) => (this.looks++, this.living.has(pid)),
      isStopped: () => this.stopped,
      killAndConfirm: ({ pid }) => Promise.resolve(this.living.delete(pid)),
      start: () => {
        this.starts.push(this.nowMs);
        return this.#spawn();
      },
      wakeOthers: ({ pid }) => void this.woken.push(`${this.nowMs} but ${pid}`),
      onEnd: (_guard, ended) => {
        if (!this.tells) return undefined;
        this.#ended = ended;
        return () => void (this.#ended = undefined);
      },
    }, (kind, cause) => this.events.push(`${kind} ${cause}`.trimEnd()), () => {});
  }

  run(untilMs: number): void {
    for (; this.nowMs < untilMs; this.nowMs = Math.min(untilMs, this.#nextMs)) {
      for (const { run } of this.#later.filter(({ atMs }) => atMs <= this.nowMs)) run();
      this.#later = this.#later.filter(({ atMs }) => atMs > this.nowMs);
      if (this.nowMs < this.#nextMs) continue;
      this.#nextMs += this.#everyMs;
      this.#look();
    }
  }

  /** Kill whichever lives. */
  kill(): void {
    this.living.clear();
    this.#ended?.();
  }

  #spawn(): DetachedProcess {
    const pid = 100 + this.living.size + this.starts.length;
    const identity = { pid, startTicks: this.nowMs, bootId: "b" };
    const lockedAtMs = this.starts.length === 0 ? 0 : this.lockAfterMs === undefined ? undefined : this.nowMs + this.lockAfterMs;
    this.living.set(pid, { identity, lockedAtMs });
    return { pid, identity, onExit: () => {} };
  }
}

/** Pauses between starts. */
const pauses = ({ starts }: Machine): number[] => starts.slice(1).map((at, index) => at - starts[index]!);

test("a guard that has ended is replaced, after a service manager's time", () => {
  const machine = new Machine();
  machine.run(1_000);
  machine.kill();
  machine.run(3_000);
  expect(machine.events).toEqual(["guard.crashed", "guard.recovered"]);
  expect(machine.starts).toEqual([1_100]);
});

test("after a new guard others that are stopped are woken: a service manager's may have been before it found the lock taken", () => {
  const machine = new Machine();
  machine.run(10_000);
  expect(machine.woken).toEqual([]);
  machine.kill();
  machine.run(30_000);
  const [start] = machine.starts;
  const [guard] = machine.living.keys();
  expect(machine.woken.map((text) => text.replace(/^\d+/, (at) => `${Math.round((Number(at) - start!) / 1_000)} s`))).toEqual([`2 s but ${guard}`, `10 s but ${guard}`]);
});

test("a guard that answers nothing is ended at once", () => {
  const machine = new Machine();
  machine.run(1_000);
  machine.watch.hung();
  machine.run(2_000);
  machine.watch.heard();
  machine.run(60_000);
  expect(machine.events).toEqual(["guard.hung silent", "guard.crashed", "guard.recovered"]);
  expect(machine.starts).toHaveLength(1);
});

test("a replacement that hangs before it has the lock is ended; each gets twice the time of the one before", () => {
  const machine = new Machine();
  machine.lockAfterMs = undefined;
  machine.kill();
  machine.run(40_000);
  expect(machine.events.slice(0, 2)).toEqual(["guard.crashed", "guard.hung did not start"]);
  expect(pauses(machine).map((ms) => Math.round(ms / 1_000))).toEqual([2, 4, 8, 16]);
  machine.lockAfterMs = 20_000;
  machine.run(120_000);
  expect(machine.events.at(-1)).toBe("guard.recovered");
});

test("a replacement that is stopped is not slow: the one after it gets no longer, but for each second one in a row", () => {
  const machine = new Machine();
  [machine.lockAfterMs, machine.stopped] = [undefined, true];
  machine.kill();
  machine.run(20_000);
  expect(pauses(machine).map((ms) => Math.round(ms / 1_000))).toEqual([2, 2, 4, 4]);
});

test("a replacement that has the lock and never answers is ended too", () => {
  const machine = new Machine();
  machine.run(1_000);
  machine.kill();
  machine.run(1_500);
  // Nobody has heard it since; the daemon is told once.
  machine.watch.hung();
  machine.run(20_000);
  expect(machine.events.slice(0, 3)).toEqual(["guard.crashed", "guard.recovered", "guard.hung silent"]);
  expect(pauses(machine).map((ms) => Math.round(ms / 1_000))).toEqual([2, 4, 8]);
  machine.watch.heard();
  const { length } = machine.events;
  machine.run(120_000);
  expect(machine.events).toHaveLength(length);
});

test("a guard whose end is told is looked at seldom, and its end known at once", () => {
  const machine = new Machine();
  machine.tells = true;
  machine.run(10_000);
  const { looks } = machine;
  machine.run(20_020);
  expect(machine.looks - looks).toBeWithin(15, 25);
  machine.kill();
  expect(machine.events).toEqual(["guard.crashed"]);
  machine.run(23_000);
  expect(machine.events).toEqual(["guard.crashed", "guard.recovered"]);
  expect(machine.starts).toEqual([20_120]);
  machine.kill();
  expect(machine.events.at(-1)).toBe("guard.crashed");
});

test("an end that was to be told and is not is found by a look", () => {
  const machine = new Machine();
  machine.tells = true;
  machine.run(10_000);
  machine.living.clear();
  machine.run(10_700);
  expect(machine.events).toEqual(["guard.crashed", "guard.recovered"]);
  expect(machine.starts[0]).toBeWithin(10_100, 10_651);
});

test("a guard that answers nothing is looked at often, until it answers", () => {
  const machine = new Machine();
  machine.tells = true;
  machine.living.clear();
  machine.run(150);
  machine.watch.hung();
  // It has 2 s to start: not until the next seldom look.
  machine.run(2_300);
  expect(machine.events.slice(0, 3)).toEqual(["guard.crashed", "guard.recovered", "guard.hung silent"]);
});
