/** Which nodes must have a change before it is acknowledged: while one of them leaves, those that were members when it was made. */
import { expect, test } from "bun:test";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { op } from "../../core/micro_operation.ts";
import { seededRandom } from "../../core/random.ts";
import { applicationTable } from "../../armors/elements/application_table.ts";

const generation = { epoch: 1, node: "a", counter: 0 };
const registration = (id: string, left: boolean) => ({ id, name: id, address: `${id}:1`, draining: false, left });

/** An FTM's table on node `a` with the nodes `a` and `b`, of which `left` have left for good. */
function twoNodes() {
  const done: string[] = [];
  const left: string[] = [];
  const merged: string[] = [];
  const surroundings = element<Record<string, never>>({
    name: "surroundings",
    version: 1,
    state: {},
    handlers: {
      "nodes.read": (_, thread) => {
        thread.payload["nodes"] = ["a", "b"].map((id) => ({ id, state: left.includes(id) ? "left" : "alive" }));
      },
      "change.make": (_, thread) => thread.insert(op("table.change"), op("table.commit"), op("change.done")),
      "leaving.make": (_, thread) => thread.insert(op("node.register"), op("table.commit"), op("change.done")),
      "submission.make": (_, thread) => thread.insert(op("application.change"), op("table.commit"), op("change.done")),
      "cluster.changed": () => {},
      "nodes.merged": (_, thread) => void merged.push(...(thread.payload["merged"] as { id: string }[]).map(({ id }) => id)),
      "change.done": (_, thread) => void done.push(String(thread.payload["what"])),
    },
  });
  const kernel = new Microkernel({ armor: "ftm", generation, elements: [applicationTable("a"), surroundings], random: seededRandom(1) });
  let nowMs = 1_000;
  const step = (name: string, payload: { [field: string]: Data } = {}): void => {
    kernel.step({ kind: "local", op: name, payload }, nowMs);
    for (let count = 0; count < 5; count++) kernel.step({ kind: "tick" }, ++nowMs);
  };
  kernel.step({ kind: "start", payload: {} }, nowMs);
  for (const id of ["a", "b"]) step("node.register", { registration: registration(id, false) });
  const version = () => (kernel.state("application_table") as { version: Data }).version;
  return {
    done,
    left,
    merged,
    version,
    change: () => step("change.make", { what: "change", change: { set: { "gone:x": {} }, unset: [] } }),
    submit: (what: string) => step("submission.make", { what, operation: "application.submit", args: { application: { name: "web", command: "web" } } }),
    leaves: (id: string) => step("leaving.make", { what: "leaving", registration: registration(id, true) }),
    stores: (node: string, stored: Data) => step("table.stored", { node, stored }),
    /** The copy of `b` has gone its own way. */
    diverges: (entries: Data) => {
      const stored = { epoch: { number: 2, node: "b" }, sequence: 1 };
      step("table.stored", { node: "b", stored, diverged: { version: stored, lineage: [], entries } });
    },
    has: (key: string) => (kernel.state("application_table") as { [key: string]: Data })[key] !== undefined,
  };
}

test("a change of before the peer's leaving is not acknowledged by one of two while the leaving is stored by none", () => {
  const table = twoNodes();
  table.change();
  const changed = table.version();
  table.leaves("b");
  table.stores("a", changed);
  expect(table.done).toEqual([]);
  table.stores("b", changed);
  expect(table.done).toEqual(["change"]);
  table.stores("a", table.version());
  expect(table.done).toEqual(["change", "leaving"]);
});

test("it waits for the peer no more once that has left", () => {
  const table = twoNodes();
  table.change();
  table.leaves("b");
  table.stores("a", table.version());
  expect(table.done).toEqual(["leaving"]);
  table.left.push("b");
  table.stores("a", table.version());
  expect(table.done).toEqual(["leaving", "change"]);
});

test("an answer that nothing has to be changed waits like a change: an FTM that has a successor, whose orders are refused, gives none", () => {
  const table = twoNodes();
  table.submit("first");
  for (const node of ["a", "b"]) table.stores(node, table.version());
  expect(table.done).toEqual(["first"]);
  table.submit("again");
  expect(table.done).toEqual(["first"]);
  for (const node of ["a", "b"]) table.stores(node, table.version());
  expect(table.done).toEqual(["first", "again"]);
});

test("an answer is found anew when the copy of a node that was away is taken in before it is given", () => {
  const table = twoNodes();
  table.submit("first");
  for (const node of ["a", "b"]) table.stores(node, table.version());
  table.submit("again");
  table.diverges({ "gone:web": { revision: 2, revisionEpoch: { number: 2, node: "b" }, sequence: 1 } });
  expect(table.has("app:web")).toBe(false);
  for (const node of ["a", "b"]) table.stores(node, table.version());
  // It was to say that all is as it should be.
  expect(table.done).toEqual(["first"]);
  for (const node of ["a", "b"]) table.stores(node, table.version());
  expect(table.done).toEqual(["first", "again"]);
  expect(table.has("app:web")).toBe(true);
});

test("nodes that the other side took in while the two were apart are told to those who keep an eye on nodes", () => {
  const table = twoNodes();
  table.diverges({ "node:a": registration("a", false), "node:b": registration("b", false), "node:c": registration("c", false) });
  expect(table.merged).toEqual(["c"]);
});
