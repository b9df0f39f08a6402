/** Nodes that want to join while others are being taken in are taken in together: fewer tables for everybody, and no two majorities that do not know each other. */
import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { op } from "../../core/micro_operation.ts";
import { seededRandom } from "../../core/random.ts";
import { applicationTable } from "../../armors/elements/application_table.ts";
import { registration } from "../../armors/elements/registration.ts";
import { hasMajority, type NodeRegistration, type NodeState } from "../../armors/shapes.ts";

const epoch = { number: 2, node: "a" };
const entry = (id: string, more: Partial<NodeRegistration> = {}): NodeRegistration => ({ id, name: `name-${id}`, address: `${id}:1`, draining: false, left: false, ...more });

/** An FTM on node `a`, with its registration and its table. */
function begin(registered: readonly NodeRegistration[]) {
  const joined: string[] = [];
  const others = element<DataRecord>({
    name: "others",
    version: 1,
    state: {},
    handlers: {
      ...Object.fromEntries(["liveness.watch", "liveness.unwatch", "node.confirm", "cluster.changed"].map((name) => [name, () => {}])),
      "join.ask": (_state, thread) => thread.insert(op("node.join"), op("join.done")),
      "join.done": (_state, thread) => void joined.push((thread.payload["wanted"] as NodeRegistration).id),
    },
  });
  const elements = [registration("a"), applicationTable("a"), others];
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 2, node: "a", counter: 0 }, elements, random: seededRandom(1) });
  let nowMs = 1_000;
  const stores: { readonly to: string; readonly sequence: number }[] = [];
  const step = (event: Parameters<Microkernel["step"]>[0]): void => {
    for (const { sent = [] } of kernel.step(event, nowMs).commits) {
      for (const { peer, body } of sent) {
        const { store } = (decode(body) as Message).payload as { store?: { version: { sequence: number } } };
        if (store) stores.push({ to: peer, sequence: store.version.sequence });
      }
    }
  };
  const act = (name: string, payload: DataRecord): void => {
    step({ kind: "local", op: name, payload });
    for (let count = 0; count < 3; count++, nowMs++) step({ kind: "tick" });
  };
  const table = () => kernel.state("application_table") as { readonly version: Data } & { readonly [key: string]: Data };
  const nodes = Object.fromEntries(registered.map((one) => [`node:${one.id}`, one]));
  const reports = registered.map(({ id }) => ({ node: id, armors: [], table: { version: { epoch: { number: 1, node: "a" }, sequence: 1 }, lineage: [], entries: nodes } }));
  step({ kind: "start", payload: {} });
  act("ftm.begin", { begin: { epoch, reports, dead: [], avoid: [], cause: "silent", leader: "heartbeat", durationMs: 1 } as unknown as Data });
  const stored = (ids: readonly string[]): void => {
    for (const id of ids) act("table.stored", { node: id, stored: table().version });
  };
  return {
    joined,
    stores,
    join: (id: string, name = `name-${id}`) => act("join.ask", { registration: { ...entry(id), name } as unknown as Data }),
    stored,
    wait: (milliseconds: number) => {
      nowMs += milliseconds;
      act("cluster.changed", {});
    },
    joining: () => Object.values(table()).flatMap((value) => ((value as NodeRegistration).joining ? [(value as NodeRegistration).id] : [])),
    numbers: () => Object.fromEntries(Object.entries(table()).filter(([key]) => key.startsWith("node:")).map(([key, value]) => [key.slice(5), (value as NodeRegistration).number])),
    members: () => Object.keys(table()).filter((key) => key.startsWith("node:")).map((key) => key.slice(5)),
  };
}

test("those that ask while one is taken in are taken in together, and count when enough with and without them know it", () => {
  const ftm = begin(["a", "b", "c"].map((id) => entry(id)));
  ftm.stored(["a", "b", "c"]);
  for (const id of ["d", "e", "f", "g"]) ftm.join(id);
  expect(ftm.members()).toEqual(["a", "b", "c", "d"]);
  ftm.stored(["a", "b", "c"]);
  expect(ftm.joined).toEqual(["d"]);
  expect(ftm.joining()).toEqual(["e", "f", "g"]);
  // Four of seven, but not three of the four that were there before.
  ftm.stored(["a", "e", "f", "g"]);
  expect(ftm.joining()).toEqual(["e", "f", "g"]);
  ftm.stored(["b", "c"]);
  expect(ftm.joining()).toEqual([]);
  expect(ftm.joined).toEqual(["d"]);
  ftm.stored(["a", "b", "c", "d"]);
  expect(ftm.joined.toSorted()).toEqual(["d", "e", "f", "g"]);
});

test("of two that join together under one name only the first is taken in", () => {
  const ftm = begin(["a", "b", "c"].map((id) => entry(id)));
  ftm.stored(["a", "b", "c"]);
  ftm.join("d");
  ftm.join("e", "same");
  ftm.join("f", "same");
  ftm.stored(["a", "b", "c"]);
  expect(ftm.members()).toEqual(["a", "b", "c", "d", "e"]);
});

test("an FTM that finds nodes half taken in lets them count as soon as that is stored", () => {
  const ftm = begin(["a", "b", "c"].map((id) => entry(id)).concat(["d", "e", "f"].map((id) => entry(id, { joining: true }))));
  expect(ftm.joining()).toEqual(["d", "e", "f"]);
  ftm.stored(["a", "d", "e", "f"]);
  expect(ftm.joining()).toEqual(["d", "e", "f"]);
  ftm.stored(["b"]);
  expect(ftm.joining()).toEqual([]);
});

test("one that waits longer than a change may take looks for itself whether that is stored", () => {
  const ftm = begin(["a", "b", "c"].map((id) => entry(id)));
  ftm.stored(["a", "b", "c"]);
  ftm.join("d");
  ftm.join("e");
  // Whoever took in `d` has given up.
  ftm.wait(6_000);
  ftm.stored(["a", "b", "c"]);
  ftm.stored(["a", "b", "c"]);
  expect(ftm.members()).toEqual(["a", "b", "c", "d", "e"]);
});

test("if it takes longer to be stored than a thread waits, they are taken in all the same", () => {
  const ftm = begin(["a", "b", "c"].map((id) => entry(id)));
  ftm.stored(["a", "b", "c"]);
  for (const id of ["d", "e", "f"]) ftm.join(id);
  ftm.stored(["a", "b", "c"]);
  expect(ftm.joining()).toEqual(["e", "f"]);
  for (let seconds = 0; seconds < 6; seconds++) ftm.wait(1_000);
  expect(ftm.joining()).toEqual(["e", "f"]);
  for (let round = 0; round < 4; round++) {
    ftm.stored(ftm.members());
    ftm.wait(1_000);
  }
  expect(ftm.joining()).toEqual([]);
  ftm.join("e");
  ftm.stored(ftm.members());
  expect(ftm.joined.toSorted()).toEqual(["d", "e"]);
});

test("a majority is one with those that are joining and one without them", () => {
  const nodes = (states: readonly (readonly [NodeState, boolean])[]) => states.map(([state, joining]) => ({ state, joining }));
  expect(hasMajority(nodes([["alive", false], ["failed", false], ["failed", false], ["alive", true], ["alive", true]]))).toBe(false);
  expect(hasMajority(nodes([["alive", false], ["alive", false], ["failed", false], ["failed", true], ["failed", true]]))).toBe(false);
  expect(hasMajority(nodes([["alive", false], ["alive", false], ["failed", false], ["alive", true], ["failed", true]]))).toBe(true);
});

test("the more nodes come at a time, the fewer tables there are for each", () => {
  const sent = (count: number): number => {
    const ftm = begin([entry("a")]);
    ftm.stored(["a"]);
    for (let index = 0; index < count; index++) ftm.join(`b${index}`);
    for (let round = 0; round < 10; round++) {
      ftm.stored(ftm.members());
      ftm.wait(1_000);
    }
    expect(ftm.joined.length).toBe(count);
    return ftm.stores.length / count;
  };
  // One after the other it would be half as many for each as there are nodes.
  expect(sent(40)).toBeLessThan(6);
});

test("each node has the number of those that had joined before it, and keeps it", () => {
  const ftm = begin([entry("a", { number: 0 }), entry("b", { number: 1, left: true })]);
  ftm.stored(["a"]);
  ftm.join("c");
  expect(ftm.numbers()).toEqual({ a: 0, b: 1, c: 2 });
  ftm.stored(["a", "c"]);
  ftm.join("c", "name-c");
  ftm.stored(["a", "c"]);
  expect(ftm.numbers()).toEqual({ a: 0, b: 1, c: 2 });
});
