import { expect, test } from "bun:test";
import { type Avoided, avoidedAfter } from "../../armors/elements/avoidance.ts";
import type { InstanceReport } from "../../armors/shapes.ts";

const report = (fields: Partial<InstanceReport>): InstanceReport =>
  ({ id: "web.0", serial: "1", name: "web", placement: { epoch: { number: 1, node: "a" }, number: 1 }, state: "failed", pid: null, restarts: 0, restart: 0, crashLoop: false, cannot: "", ...fields });
const cannot = report({ cannot: "there is no such program" });

test("a node on which a program cannot be started is tried again after half a minute, then ever later, five minutes at most", () => {
  let avoided: Avoided | undefined;
  const waits: number[] = [];
  for (let nowMs = 1_000, round = 0; round < 7; round++, nowMs = avoided!.untilMs) {
    avoided = avoidedAfter(avoided, cannot, nowMs);
    waits.push((avoided!.untilMs - nowMs) / 1_000);
  }
  expect(waits).toEqual([30, 60, 120, 240, 300, 300, 300]);
});

test("what is told again while it counts is no further attempt, and keeps it from the place where it is", () => {
  const first = avoidedAfter(undefined, cannot, 0);
  expect(avoidedAfter(first, cannot, 29_000)).toEqual({ untilMs: 59_000, times: 1, restart: 0 });
  expect(avoidedAfter({ untilMs: 120_000, times: 2, restart: 0 }, cannot, 29_000)).toEqual({ untilMs: 120_000, times: 2, restart: 0 });
});

test("a crash loop counts for five minutes, and what runs has nothing against it", () => {
  expect(avoidedAfter(undefined, report({ crashLoop: true }), 0)).toEqual({ untilMs: 300_000, times: 1, restart: 0 });
  expect(avoidedAfter({ untilMs: 300_000, times: 1, restart: 0 }, report({ state: "running" }), 0)).toBeUndefined();
  expect(avoidedAfter({ untilMs: 300_000, times: 1, restart: 0 }, report({ state: "starting" }), 0)).toEqual({ untilMs: 300_000, times: 1, restart: 0 });
});

test("after an operator's restart everything is tried again", () => {
  const before = { untilMs: 300_000, times: 4, restart: 0 };
  expect(avoidedAfter(before, { ...cannot, restart: 1 }, 1_000)).toEqual({ untilMs: 31_000, times: 1, restart: 1 });
  expect(avoidedAfter(before, report({ state: "starting", restart: 1 }), 1_000)).toBeUndefined();
});
