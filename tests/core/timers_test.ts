import { describe, expect, test } from "bun:test";
import { InvariantError } from "../../core/invariant.ts";
import { nextTogetherMs, Timers } from "../../core/timers.ts";

const due = (timers: Timers, nowMs: number): string[] => [...timers.takeDue(nowMs)].map(({ op }) => op);
const set = (timers: Timers, key: string, atMs: number, op = key): void => timers.set(key, { atMs, op, payload: {} });

describe("Timers", () => {
  test("gives what is due, the earliest first, those of one time in the order in which they were set; once", () => {
    const timers = new Timers(10);
    set(timers, "c", 30);
    set(timers, "a", 10);
    set(timers, "b", 20);
    set(timers, "also a", 10);
    expect(timers.wakeAtMs).toBe(10);
    expect([due(timers, 9), due(timers, 10), due(timers, 10)]).toEqual([[], ["a", "also a"], []]);
    expect(timers.wakeAtMs).toBe(20);
    expect([due(timers, 1_000), timers.wakeAtMs, timers.size]).toEqual([["b", "c"], undefined, 0]);
  });

  test("replaces and forgets by key; wakes never too late", () => {
    const timers = new Timers(10);
    set(timers, "a", 10);
    set(timers, "a", 20, "later");
    set(timers, "b", 5);
    timers.cancel("b");
    timers.cancel("unknown");
    expect(timers.wakeAtMs!).toBeLessThanOrEqual(20);
    expect([due(timers, 10), due(timers, 20), timers.wakeAtMs]).toEqual([[], ["later"], undefined]);
  });

  test("one that is cancelled or set anew while those before it run is left out; one set meanwhile waits for the next time", () => {
    const timers = new Timers(10);
    for (const key of ["first", "cancelled", "anew", "last"]) set(timers, key, 1);
    const seen: string[] = [];
    for (const { op } of timers.takeDue(1)) {
      seen.push(op);
      if (op !== "first") continue;
      timers.cancel("cancelled");
      set(timers, "anew", 1, "anew again");
      set(timers, "zero delay", 1);
    }
    expect(seen).toEqual(["first", "last"]);
    expect(timers.wakeAtMs).toBe(1);
    expect(due(timers, 1)).toEqual(["anew again", "zero delay"]);
  });

  test("never holds more than its bound", () => {
    const timers = new Timers(2);
    set(timers, "a", 1);
    set(timers, "b", 1);
    set(timers, "b", 2);
    expect(() => set(timers, "c", 1)).toThrow(InvariantError);
  });
});

test.each([
  [0, 400],
  [1, 400],
  [199, 400],
  [200, 800],
  [399, 800],
  [400, 800],
  [1_000_400, 1_000_800],
])("nextTogetherMs() is a multiple of the interval, half to one and a half of it away: from %d on %d", (nowMs, nextMs) => {
  expect(nextTogetherMs(nowMs, 400)).toBe(nextMs);
});
