import { describe, expect, test } from "bun:test";
import { executionHost } from "../../armors/host/execution_host.ts";
import { type PairSystem, watchPair } from "../../armors/host/pair_watch.ts";
import type { ProgramState } from "../../armors/host/process_table.ts";
import type { ProgramSystem } from "../../armors/host/program_host.ts";

/** Guard and daemon, and looks at them every half second. */
class Pair {
  nowMs = 0;
  readonly states: ProgramState[] = ["running", "running"];
  readonly pids = [1, 2];
  readonly woken: [which: number, durationMs: number][] = [];
  #look: () => void = () => {};

  constructor() {
    const system: PairSystem = {
      clock: {
        nowMs: () => this.nowMs,
        after: () => () => {},
        every: (_intervalMs, run) => {
          this.#look = run;
          return () => (this.#look = () => {});
        },
      },
      holders: () => [this.#identity(0), this.#identity(1)],
      state: ({ pid }) => this.states[this.pids.indexOf(pid)]!,
      wake: ({ pid }) => void (this.states[this.pids.indexOf(pid)] = "running"),
    };
    this.system = system;
    this.end = watchPair(system, (which, durationMs) => void this.woken.push([which, durationMs]));
  }

  readonly system: PairSystem;

  readonly end: () => void;

  #identity(which: number) {
    return this.states[which] === "gone" ? undefined : { pid: this.pids[which]!, startTicks: 1, bootId: "b" };
  }

  pass(ms: number): void {
    for (let left = ms; left > 0; left -= 500) {
      this.nowMs += 500;
      this.#look();
    }
  }
}

describe("watchPair()", () => {
  test("wakes both when both have been stopped for 3 s, once", () => {
    const pair = new Pair();
    pair.pass(10_000);
    pair.states.fill("stopped");
    pair.pass(3_000);
    expect(pair.woken).toEqual([]);
    pair.pass(500);
    expect(pair.woken).toEqual([[0, 3_000], [1, 3_000]]);
    pair.pass(10_000);
    expect(pair.woken.length).toBe(2);
  });

  test("wakes a guard whose daemon is gone, and a daemon whose guard is gone", () => {
    for (const which of [0, 1]) {
      const pair = new Pair();
      pair.states[which] = "stopped";
      pair.states[1 - which] = "gone";
      pair.pass(3_500);
      expect(pair.woken).toEqual([[which, 3_000]]);
    }
  });

  test("leaves alone what is replaced in time, what goes on by itself, and what a debugger holds", () => {
    const pair = new Pair();
    pair.states.fill("stopped");
    pair.pass(2_500);
    pair.pids[0] = 3;
    pair.states[1] = "running";
    pair.pass(500);
    pair.states.fill("stopped");
    pair.pass(2_500);
    pair.states.fill("traced");
    pair.pass(10_000);
    expect(pair.woken).toEqual([]);
  });

  test("looks no more once it is ended", () => {
    const pair = new Pair();
    pair.states.fill("stopped");
    pair.end();
    pair.pass(10_000);
    expect(pair.woken).toEqual([]);
  });
});

test("an execution armor watches from its start, before the daemon with which it has to register has answered; what it has done it tells then", () => {
  const pair = new Pair();
  const told: unknown[] = [];
  const { command } = executionHost({} as ProgramSystem, pair.system);
  pair.states.fill("stopped");
  pair.pass(3_500);
  expect(pair.states).toEqual(["running", "running"]);
  command({ kind: "pair.watch", args: { pair: ["guard@a", "daemon@a"] } }, (op, payload) => void told.push([op, payload]));
  pair.states[0] = "stopped";
  pair.pass(3_500);
  expect(told).toEqual(["guard@a", "daemon@a", "guard@a"].map((armor) => ["pair.woken", { armor, durationMs: 3_000 }]));
});
