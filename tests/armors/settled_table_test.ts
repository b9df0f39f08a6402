/** What an FTM acts on, and what it tells, is what enough nodes have: its successor knows it too. */
import { expect, test } from "bun:test";
import type { Data, DataRecord } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { op } from "../../core/micro_operation.ts";
import { seededRandom } from "../../core/random.ts";
import { applicationTable } from "../../armors/elements/application_table.ts";
import type { NodeState } from "../../armors/shapes.ts";

const epoch = { number: 2, node: "a" };
const completion = { kind: "application.completed", subject: "job.0", completion: { name: "job", serial: "1.a.1", restart: 0 } };

/** The table of an FTM that begins on node `a` of three with a job, and what is numbered of the events that daemons bring. */
function begin() {
  const states: Record<string, NodeState> = { a: "alive", b: "alive", c: "alive" };
  const numbered: { readonly events: readonly Data[]; readonly keys: readonly Data[] }[] = [];
  const seen: { readonly settled: Data; readonly takenIn: Data }[] = [];
  let rounds = 0;
  const surroundings = element<DataRecord>({
    name: "surroundings",
    version: 1,
    state: {},
    handlers: {
      "nodes.read": (_, thread) => void (thread.payload["nodes"] = Object.entries(states).map(([id, state]) => ({ id, state }))),
      "nodes.merged": () => {},
      "cluster.changed": () => void rounds++,
      "change.make": (_, thread) => thread.insert(op("table.change"), op("table.commit")),
      "settled.read": (_, thread) => thread.insert(op("table.read-settled"), op("settled.see")),
      "settled.see": (_, thread) => void seen.push({ settled: thread.payload["settled"]!, takenIn: thread.payload["takenIn"]! }),
      "events.bring": (_, thread) => thread.insert(op("table.complete"), op("events.number")),
      "events.number": (_, thread) => void numbered.push(thread.payload as unknown as (typeof numbered)[number]),
    },
  });
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 2, node: "a", counter: 0 }, elements: [applicationTable("a"), surroundings], random: seededRandom(1) });
  let nowMs = 1_000;
  const wait = (ms: number): void => {
    for (const end = nowMs + ms; nowMs < end;) kernel.step({ kind: "tick" }, ++nowMs);
  };
  const step = (name: string, payload: DataRecord = {}): void => {
    kernel.step({ kind: "local", op: name, payload }, nowMs);
    wait(5);
  };
  const entries = {
    ...Object.fromEntries(["a", "b", "c"].map((id) => [`node:${id}`, { id, name: id, address: `${id}:1`, draining: false, left: false }])),
    "app:job": { serial: "1.a.1", restart: 0, revision: 1, revisionEpoch: { number: 1, node: "a" }, desired: "running", completed: [], application: { name: "job", kind: "job", instances: 1 } },
  };
  const version = { epoch: { number: 1, node: "a" }, sequence: 1 };
  kernel.step({ kind: "start", payload: {} }, nowMs);
  step("ftm.begin", { begin: { epoch, reports: [{ node: "a", armors: [], table: { version, lineage: [], entries } }] } });
  const table = () => kernel.state("application_table") as { readonly version: Data } & { readonly [key: string]: Data };
  return {
    step,
    wait,
    states,
    numbered,
    rounds: () => rounds,
    table,
    /** These have stored the table as it is. */
    stored: (...nodes: string[]) => nodes.forEach((node) => step("table.stored", { node, stored: table().version })),
    settled: (): { readonly [key: string]: Data } | null => {
      step("settled.read");
      return seen.at(-1)!.settled as { readonly [key: string]: Data } | null;
    },
    takenIn: (): Data => {
      step("settled.read");
      return seen.at(-1)!.takenIn;
    },
  };
}

test("there is nothing to act on before enough nodes have the table of this epoch", () => {
  const ftm = begin();
  expect(ftm.settled()).toBeNull();
  ftm.stored("a");
  expect(ftm.settled()).toBeNull();
  ftm.stored("b");
  expect(Object.keys(ftm.settled()!)).toContain("app:job");
});

test("a change is acted on when enough nodes have it, and that causes a round", () => {
  const ftm = begin();
  ftm.stored("a", "b", "c");
  ftm.step("change.make", { change: { set: { "gone:x": {} }, unset: ["app:job"] } });
  const rounds = ftm.rounds();
  expect([ftm.table()["app:job"], Object.keys(ftm.settled()!).includes("app:job")]).toEqual([undefined, true]);
  ftm.stored("a", "c");
  expect(Object.keys(ftm.settled()!)).not.toContain("app:job");
  expect(ftm.rounds()).toBeGreaterThan(rounds);
});

test("of more changes than are kept apart the last is acted on when enough nodes have it", () => {
  const ftm = begin();
  for (let change = 0; change < 200; change++) ftm.step("change.make", { change: { set: { [`gone:x${change}`]: {} }, unset: [] } });
  ftm.stored("a", "b");
  expect(Object.keys(ftm.settled()!)).toContain("gone:x199");
});

test("a node that had no part in the takeover is ordered nothing before enough nodes have stored what it knew", () => {
  const ftm = begin();
  ftm.stored("a");
  expect(ftm.takenIn()).toEqual([]);
  const old = { epoch: { number: 1, node: "a" }, sequence: 7 };
  ftm.step("table.stored", { node: "c", stored: old });
  ftm.stored("b");
  expect(ftm.takenIn()).toEqual(["a", "b"]);
  const entries = { "app:other": { serial: "1.c.9", restart: 0, revision: 1, revisionEpoch: { number: 1, node: "c" }, desired: "running", completed: [], application: { name: "other", kind: "job", instances: 1 } } };
  ftm.step("table.stored", { node: "c", stored: old, diverged: { version: old, lineage: [], entries } });
  const rounds = ftm.rounds();
  ftm.stored("c");
  expect([ftm.takenIn(), Object.keys(ftm.settled()!).includes("app:other")]).toEqual([["a", "b"], false]);
  expect(ftm.rounds()).toBeGreaterThan(rounds);
  ftm.stored("a");
  expect([ftm.takenIn(), Object.keys(ftm.settled()!).includes("app:other")]).toEqual([["a", "b", "c"], true]);
});

test("that a job has completed is told when enough nodes have it in the table, which knows it from the event itself", () => {
  const ftm = begin();
  ftm.stored("a", "b", "c");
  ftm.step("events.bring", { events: [{ kind: "node.joined" }, completion], keys: ["n1", "n2"] });
  expect(ftm.table()["app:job"]).toMatchObject({ completed: ["job.0"] });
  expect(ftm.numbered).toEqual([]);
  ftm.stored("a");
  expect(ftm.numbered).toEqual([]);
  ftm.stored("c");
  expect(ftm.numbered).toMatchObject([{ keys: ["n1", "n2"], events: [{}, completion] }]);
});

test("it waits also where the table has it already, but too few nodes", () => {
  const ftm = begin();
  ftm.stored("a", "b", "c");
  ftm.step("application.completed", { instances: [{ ...completion.completion, id: "job.0", state: "completed" }] });
  expect(ftm.table()["app:job"]).toMatchObject({ completed: ["job.0"] });
  ftm.step("events.bring", { events: [completion], keys: ["n1"] });
  expect(ftm.numbered).toEqual([]);
  ftm.stored("a", "b");
  expect(ftm.numbered).toHaveLength(1);
});

test("where too few nodes can be reached its daemon keeps it, and all others are told", () => {
  const ftm = begin();
  ftm.stored("a", "b", "c");
  ftm.step("events.bring", { events: [{ kind: "node.joined" }, completion, { kind: "node.left" }], keys: ["n1", "n2", "n3"] });
  ftm.stored("a");
  ftm.wait(4_600);
  expect(ftm.numbered).toMatchObject([{ keys: ["n1", "n3"], events: [{ kind: "node.joined" }, { kind: "node.left" }] }]);
});

test("of a run before the operator's restart, or of an application that is gone, it is told, and changes nothing", () => {
  for (const other of [{ name: "job", serial: "1.a.1", restart: -1 }, { name: "job", serial: "1.a.0", restart: 5 }, { name: "gone", serial: "1.a.1", restart: 0 }]) {
    const ftm = begin();
    ftm.stored("a", "b", "c");
    const before = ftm.table();
    ftm.step("events.bring", { events: [{ ...completion, completion: other }], keys: ["n1"] });
    expect(ftm.table()).toEqual(before);
    expect(ftm.numbered).toHaveLength(1);
  }
});
