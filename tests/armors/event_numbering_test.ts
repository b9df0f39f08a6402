import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { eventNumbering } from "../../armors/elements/event_numbering.ts";

/** Numbers of two events by the FTM of this epoch. */
function numbersOf(epoch: { number: number; node: string }): number[] {
  const nodes = element({ name: "nodes", version: 1, state: {}, handlers: { "nodes.read": (_state, thread) => void (thread.payload["nodes"] = [{ id: "a", name: "a", state: "alive" }]) } });
  const generation = { epoch: epoch.number, node: epoch.node, counter: 0 };
  const kernel = new Microkernel({ armor: "ftm", generation, elements: [eventNumbering(), nodes], random: seededRandom(1) });
  const act = (op: string, payload: Record<string, unknown>) => kernel.step({ kind: "local", op, payload: payload as Record<string, Data> }, 1);
  const entries = { "node:a": { id: "a" }, "node:b": { id: "b" } };
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
