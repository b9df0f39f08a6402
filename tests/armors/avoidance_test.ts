import { expect, test } from "bun:test";
import { type Avoided, avoidedAfter } from "../../armors/elements/avoidance.ts";
import type { InstanceReport } from "../../armors/shapes.ts";

const report = (fields: Partial<InstanceReport>): InstanceReport =>
  ({ id: "web.0", serial: "1", name: "web", placement: { epoch: { number: 1, node: "a" }, number: 1 }, state: "failed", pid: null, restarts: 0, launch: 1, restart: 0, crashLoop: false, cannot: "", ...fields });
/** The attempt of this number. */
const cannot = (launch: number, more: Partial<InstanceReport> = {}): InstanceReport => report({ cannot: "there is no such program", launch, ...more });
const after = (untilMs: number, times: number, launch: number, more: Partial<Avoided> = {}): Avoided => ({ untilMs, times, restart: 0, starts: false, attempt: `1.a.1 ${launch}`, ...more });

test("a node on which a program cannot be started is tried again after half a minute, then ever later, five minutes at most", () => {
  let avoided: Avoided | undefined;
  const waits: number[] = [];
  for (let nowMs = 1_000, launch = 0; launch < 7; launch++, nowMs = avoided!.untilMs) {
    avoided = avoidedAfter(avoided, cannot(launch), nowMs);
    waits.push((avoided!.untilMs - nowMs) / 1_000);
  }
  expect(waits).toEqual([30, 60, 120, 240, 300, 300, 300]);
});

test("an attempt while it counts does not count more, and keeps it at the place where it is", () => {
  expect(avoidedAfter(after(30_000, 1, 1), cannot(2), 29_000)).toEqual(after(59_000, 1, 2));
  expect(avoidedAfter(after(120_000, 2, 1), cannot(2), 29_000)).toEqual(after(120_000, 2, 2));
});

test("what is told again is no further attempt, however long ago that was", () => {
  const first = avoidedAfter(undefined, cannot(1), 0)!;
  expect(avoidedAfter(first, cannot(1), 100_000)).toEqual(first);
  expect(avoidedAfter(first, cannot(2), 100_000)).toMatchObject({ untilMs: 160_000, times: 2 });
});

test("a crash loop counts for five minutes, and what runs has nothing against it", () => {
  const looped = after(300_000, 1, 1, { starts: true });
  expect(avoidedAfter(undefined, report({ crashLoop: true }), 0)).toEqual(looped);
  expect(avoidedAfter(looped, report({ state: "running" }), 0)).toBeUndefined();
  expect(avoidedAfter(looped, report({ state: "starting" }), 0)).toEqual(looped);
});

test("a node on which it did not stay up and now cannot be started at all is one of the latter", () => {
  expect(avoidedAfter(after(300_000, 1, 1, { starts: true }), cannot(2), 1_000)).toEqual(after(31_000, 1, 2));
});

test("after an operator's restart everything is tried again", () => {
  const before = after(300_000, 4, 1);
  expect(avoidedAfter(before, cannot(2, { restart: 1 }), 1_000)).toEqual(after(31_000, 1, 2, { restart: 1 }));
  expect(avoidedAfter(before, report({ state: "starting", restart: 1 }), 1_000)).toBeUndefined();
});
