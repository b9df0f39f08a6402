/** What was held when an armor died is what a restore gives. */
import { expect, test } from "bun:test";
import type { ChannelSnapshot, Snapshot } from "../../core/checkpoint.ts";
import type { Generation } from "../../core/generation.ts";
import type { Life } from "./checkers/checker.ts";
import { restoredEqualsCommitted } from "./checkers/restored_equals_committed.ts";

const line = (counter: number): Generation => ({ epoch: 1, node: "n", counter });
const channel = (marks: number, inbound: Generation): ChannelSnapshot =>
  ({ peer: "ftm", inbound, numbered: line(0), marks: { system: marks, user: 0 }, next: { system: 1, user: 1 }, acked: { system: 0, user: 0 }, outbox: [] });
const snapshot = (...channels: ChannelSnapshot[]): Snapshot =>
  ({ format: 1, armor: "a", generation: line(0), commit: 3, elements: {}, continuations: {}, channels }) as unknown as Snapshot;

/** An armor dies with `held`; its disk holds `saved`. */
function died(held: Snapshot, saved: Snapshot): string[] {
  const failures: string[] = [];
  const node = { name: "n1", machine: { on: true, bootId: "b" }, disk: { altered: new Set() } };
  const kernel = { armor: "a", generation: line(0), steps: 1, snapshot: () => held };
  const life = { kernel, node, process: {}, store: { restore: () => ({ snapshot: saved, records: [] }) }, follows: true } as unknown as Life;
  restoredEqualsCommitted((_rule, text) => failures.push(text)).died!(life);
  return failures;
}

test("messages that were heard and are not on the disk are missed", () => {
  expect(died(snapshot(channel(2, line(0))), snapshot(channel(1, line(0))))).toHaveLength(1);
  expect(died(snapshot(channel(2, line(0))), snapshot(channel(2, line(0))))).toEqual([]);
});

test("those of a generation before are not, whether or not anything was heard of the new one", () => {
  for (const marks of [0, 2]) expect(died(snapshot(channel(marks, line(1))), snapshot(channel(9, line(0))))).toEqual([]);
});

test("what the host's work came to may wait in memory only; what another thread said is in a commit", () => {
  const waits = (kind: string, completion?: object): Snapshot =>
    ({ ...snapshot(), continuations: { "m#0": { message: { id: "m" }, work: { kind }, ...(completion && { completion }) } } }) as unknown as Snapshot;
  const [done, late] = [{ ok: true, value: 1 }, { ok: false, error: "timeout" }];
  expect(died(waits("node.probe", done), waits("node.probe"))).toEqual([]);
  expect(died(waits("wait", late), waits("wait"))).toEqual([]);
  expect(died(waits("wait", done), waits("wait"))).toHaveLength(1);
  expect(died(waits("node.probe"), snapshot())).toHaveLength(1);
});
