import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { op } from "../../core/micro_operation.ts";
import { seededRandom } from "../../core/random.ts";
import { eventNumbering } from "../../armors/elements/event_numbering.ts";

/** Numbers of two events by the FTM of this epoch. */
function numbersOf(epoch: { number: number; node: string }, ids: readonly string[] = ["a", "b"]): number[] {
  const nodes = element({ name: "nodes", version: 1, state: {}, handlers: { "table.complete": () => {}, "nodes.read": (_state, thread) => void (thread.payload["nodes"] = [{ id: "a", name: "a", state: "alive" }]) } });
  const generation = { epoch: epoch.number, node: epoch.node, counter: 0 };
  const kernel = new Microkernel({ armor: "ftm", generation, elements: [eventNumbering(), nodes], random: seededRandom(1) });
  const act = (op: string, payload: Record<string, unknown>) => kernel.step({ kind: "local", op, payload: payload as Record<string, Data> }, 1);
  const entries = Object.fromEntries(ids.map((id, number) => [`node:${id}`, { id, number }]));
  act("ftm.begin", { begin: { epoch, reports: [{ node: "a", armors: [], table: { version: { epoch, sequence: 0 }, lineage: [], entries } }] } });
  const { commits } = act("events.record", { events: [{ kind: "one" }, { kind: "two" }] });
  const published = commits.flatMap(({ sent = [] }) => sent).map(({ body }) => decode(body) as Message);
  return published.flatMap(({ payload }) => payload["events"] as DataRecord[]).map(({ seq }) => seq as number);
}

test("two FTMs whose epochs have the same number give away different ones", () => {
  const numbers = [...numbersOf({ number: 5, node: "a" }), ...numbersOf({ number: 5, node: "b" })];
  expect(new Set(numbers).size).toBe(4);
  expect(numbers.every((number) => Math.floor(number / 2 ** 32) === 5)).toBe(true);
});

test("also where one does not know a node that joined last, whatever the order of their ids", () => {
  const numbers = [...numbersOf({ number: 5, node: "b" }, ["b", "c"]), ...numbersOf({ number: 5, node: "c" }, ["b", "c", "a"]), ...numbersOf({ number: 5, node: "a" }, ["b", "c", "a"])];
  expect(new Set(numbers).size).toBe(6);
});

test("the numbers of a thousand nodes are all of their epoch", () => {
  const ids = Array.from({ length: 1_000 }, (_, index) => `n${String(index).padStart(3, "0")}`);
  const numbers = ids.flatMap((node) => numbersOf({ number: 5, node }, ids));
  expect(new Set(numbers).size).toBe(2_000);
  expect(numbers.every((number) => Math.floor(number / 2 ** 32) === 5)).toBe(true);
});

test.each([
  [2, 5, 1, 30],
  [100, 10, 10, 600],
])("events that come soon after the last are told together, to %i nodes; whoever brought them hears only then that they are kept", (count, events, everyMs, laterMs) => {
  const all = Array.from({ length: count }, (_, index) => ({ id: `n${index}`, name: `n${index}`, state: "alive" }));
  const recorded: number[] = [];
  const surroundings = element({
    name: "surroundings",
    version: 1,
    state: {},
    handlers: {
      "nodes.read": (_state, thread) => void (thread.payload["nodes"] = all),
      "table.complete": () => {},
      "record.ask": (_state, thread) => thread.insert(op("events.record"), op("record.done")),
      "record.done": (_state, thread) => void recorded.push(thread.nowMs),
    },
  });
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 1, node: "a", counter: 0 }, elements: [eventNumbering(), surroundings], random: seededRandom(1) });
  const told: number[] = [];
  const step = (event: Parameters<Microkernel["step"]>[0], nowMs: number): void => {
    for (const { sent = [] } of kernel.step(event, nowMs).commits) for (const { body } of sent) told.push(((decode(body) as Message).payload["events"] as DataRecord[]).length);
  };
  for (let nowMs = 1_000; nowMs < 1_000 + events * everyMs; nowMs += everyMs) step({ kind: "local", op: "record.ask", payload: { events: [{ kind: "one", node: "n1" }] } }, nowMs);
  expect([told.length, recorded]).toEqual([count, [1_000]]);
  step({ kind: "tick" }, 1_000 + laterMs);
  expect([told.length, recorded.length]).toEqual([2 * count, events]);
  expect(told.slice(count).every((together) => together === events - 1)).toBe(true);
});

test("a node that is to leave is told until it has left: it may be the only one in reach, and the events its own", () => {
  const all = ["alive", "suspect", "draining", "failed", "left"].map((state) => ({ id: state, name: state, state }));
  const nodes = element({ name: "nodes", version: 1, state: {}, handlers: { "table.complete": () => {}, "nodes.read": (_state, thread) => void (thread.payload["nodes"] = all) } });
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 1, node: "a", counter: 0 }, elements: [eventNumbering(), nodes], random: seededRandom(1) });
  const { commits } = kernel.step({ kind: "local", op: "events.record", payload: { events: [{ kind: "one", node: "draining" }] } }, 1_000);
  const told = commits.flatMap(({ sent = [] }) => sent).map(({ body }) => (decode(body) as Message).to);
  expect(told).toEqual(["daemon@alive", "daemon@suspect", "daemon@draining"]);
});

test("of very many at once only some wait: daemons that died again and again without an FTM have each sent what they hold", () => {
  const nodes = element({ name: "nodes", version: 1, state: {}, handlers: { "table.complete": () => {}, "nodes.read": (_state, thread) => void (thread.payload["nodes"] = [{ id: "a", name: "a", state: "alive" }]) } });
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 1, node: "a", counter: 0 }, elements: [eventNumbering(), nodes], random: seededRandom(1) });
  let most = 0;
  for (let brought = 0; brought < 500; brought++) {
    kernel.step({ kind: "local", op: "events.record", payload: { events: [{ kind: "one", node: "a" }] } }, 1_000);
    most = Math.max(most, Object.keys(kernel.snapshot().continuations).length);
  }
  expect(most).toBeGreaterThan(1);
  expect(most).toBeLessThanOrEqual(50);
});

test("of many that are told together each message has as many as fit; what could not be told is kept by those who brought it", () => {
  let cannot = false;
  const kept: number[] = [];
  const surroundings = element({
    name: "surroundings",
    version: 1,
    state: {},
    handlers: {
      "nodes.read": (_state, thread) => {
        if (cannot && thread.payload["events"] === undefined) throw new OperationError("refused", "not now");
        thread.payload["nodes"] = [{ id: "a", name: "a", state: "alive" }];
      },
      "table.complete": () => {},
      "record.ask": (_state, thread) => thread.insert(op("events.record"), op("record.done")),
      "record.done": (_state, thread) => void kept.push((thread.payload["keys"] as string[]).length),
    },
  });
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 1, node: "a", counter: 0 }, elements: [eventNumbering(), surroundings], random: seededRandom(1) });
  const told: number[] = [];
  const step = (event: Parameters<Microkernel["step"]>[0], nowMs: number): void => {
    for (const { sent = [] } of kernel.step(event, nowMs).commits) for (const { body } of sent) told.push(((decode(body) as Message).payload["events"] as DataRecord[]).length);
  };
  const bring = (count: number, nowMs: number): void => {
    const events = Array.from({ length: count }, () => ({ kind: "one", node: "n1" }));
    step({ kind: "local", op: "record.ask", payload: { events, keys: events.map((_, index) => `n${index}`) } }, nowMs);
  };
  bring(1, 1_000);
  for (const count of [150, 150, 150]) bring(count, 1_001);
  step({ kind: "tick" }, 2_000);
  expect({ told, kept }).toEqual({ told: [1, 200, 200, 50], kept: [1, 150, 150, 150] });
  cannot = true;
  bring(3, 2_001);
  for (let nowMs = 2_002; nowMs < 70_000; nowMs += 500) step({ kind: "tick" }, nowMs);
  expect(kept.slice(4)).toEqual([0]);
});
