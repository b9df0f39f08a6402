import { describe, expect, test } from "bun:test";
import { findArmor } from "../../armors/elements/armor_names.ts";
import { ownArmorTable } from "../../armors/elements/own_armors.ts";
import { movedOwnArmors, type OwnSituation, planOwnArmors } from "../../armors/elements/own_placement.ts";
import type { NodeView, RegisteredArmor } from "../../armors/elements/node_view.ts";
import { mergeTables } from "../../armors/elements/table_version.ts";
import type { OwnArmorEntry } from "../../armors/shapes.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

const epoch = (number: number) => ({ number, node: "a" });
const entry = (name: string, rest: Partial<OwnArmorEntry> = {}): OwnArmorEntry => ({ id: `id-${name}`, name, node: null, revision: 1, revisionEpoch: epoch(1), ...rest });
const node = (id: string, rest: Partial<NodeView> = {}): NodeView =>
  ({ id, name: `name-${id}`, address: "h:1", state: "alive", reported: true, plannedUntilMs: 0, elements: true, ...rest }) as NodeView;
const armor = (id: string, at: string, state: RegisteredArmor["state"] = "running", role: RegisteredArmor["role"] = "own"): RegisteredArmor =>
  ({ armor: id, role, node: at, pid: 1, state, incarnation: { placement: 1, restart: 0 }, generation: null, elements: [] });

function plan(situation: Partial<OwnSituation> & { wanted?: OwnArmorEntry[] }): { install: string[]; remove: string[] } {
  const { nodes = [node("a"), node("b")], armors = [], wanted = [entry("x")], takenIn = nodes.map(({ id }) => id), lastNode = () => undefined } = situation;
  const table = Object.fromEntries(wanted.map((one) => [`armor:${one.name}`, one as unknown as Data]));
  const { install, remove } = planOwnArmors({ nodes, armors, table, takenIn, lastNode });
  return { install: install.map((one) => `${one.armor} on ${one.node}${one.before ? " again" : ""}`), remove: remove.map((one) => `${one.armor} on ${one.node}`) };
}

describe("armors of one's own are placed", () => {
  const cases: Record<string, [Parameters<typeof plan>[0], string[]]> = {
    "on the first node that takes elements": [{ nodes: [node("a", { elements: false }), node("b")] }, ["id-x on b"]],
    "on the preferred node": [{ wanted: [entry("x", { node: "name-b" })] }, ["id-x on b"]],
    // Two nodes in mode availability: the survivor decides alone.
    "elsewhere while that is not there": [{ wanted: [entry("x", { node: "name-b" })], nodes: [node("a"), node("b", { state: "failed", reported: false })] }, ["id-x on a"]],
    "where there are fewest": [{ armors: [armor("id-y", "a")], wanted: [entry("x"), entry("y")] }, ["id-x on b"]],
    "spread": [{ wanted: [entry("x"), entry("y")] }, ["id-x on a", "id-y on b"]],
    "where they were ordered before": [{ lastNode: () => "b" }, ["id-x on b"]],
    "nowhere while a node may have them": [{ nodes: [node("a"), node("b", { reported: false })] }, []],
    "nowhere while a suspect node may have them": [{ nodes: [node("a"), node("b"), node("c", { state: "suspect", reported: false })] }, []],
    "on the rest once it has failed": [{ nodes: [node("a"), node("b"), node("c", { state: "failed", reported: false })] }, ["id-x on a"]],
    "not without a majority": [{ nodes: [node("a"), node("b", { state: "failed" }), node("c", { state: "failed" })] }, []],
    "nowhere if no node takes elements": [{ nodes: [node("a", { elements: false })] }, []],
    "in place when their process is gone": [{ armors: [armor("id-x", "b", "recovering")] }, ["id-x on b again"]],
    "in place also where elements are no longer taken": [{ nodes: [node("a", { elements: false })], armors: [armor("id-x", "a", "recovering")] }, ["id-x on a again"]],
    "not again while they run or start": [{ armors: [armor("id-x", "b", "running")] }, []],
    "not elsewhere when they have failed for good": [{ armors: [armor("id-x", "b", "failed")] }, []],
  };
  for (const [what, [situation, expected]] of Object.entries(cases)) {
    test(what, () => expect(plan(situation).install).toEqual(expected));
  }

  test("and removed when they are no longer wanted; others' armors are left alone", () => {
    const armors = [armor("id-x", "a"), armor("id-old", "b"), armor("heartbeat", "b", "running", "heartbeat")];
    expect(plan({ armors }).remove).toEqual(["id-old on b"]);
  });

  test("but not where the node's own table is not taken in: it may say that they are wanted", () => {
    expect(plan({ armors: [armor("id-old", "a"), armor("id-old", "b")], takenIn: ["a"] }).remove).toEqual(["id-old on a"]);
    // What a node has whose name was given away is taken in no more.
    expect(plan({ nodes: [node("a"), node("b", { state: "draining", replaced: true })], armors: [armor("id-old", "b")], takenIn: ["a"] }).remove).toEqual(["id-old on b"]);
  });
});

describe("an armor of one's own that runs elsewhere than before has begun anew:", () => {
  const cases: Record<string, [home: string | undefined, state: RegisteredArmor["state"], moved: string[], set: string[]]> = {
    "at first its node is noted": [undefined, "running", [], ["home:id-x b"]],
    "while it stays nothing is told": ["b", "running", [], []],
    "elsewhere it is told and noted": ["a", "running", ["x a b"], ["home:id-x b"]],
    "not before it runs": ["a", "starting", [], []],
    "not while it is recovered": ["a", "recovering", [], []],
  };
  for (const [what, [home, state, moved, set]] of Object.entries(cases)) {
    test(what, () => {
      const table = { "armor:x": entry("x") as unknown as Data, ...(home !== undefined && { "home:id-x": home }) };
      const found = movedOwnArmors({ armors: [armor("id-x", "b", state)], table });
      expect(found.moved.map(({ name, from, node: to }) => `${name} ${from} ${to}`)).toEqual(moved);
      expect(Object.entries(found.change.set).map(([key, value]) => `${key} ${String(value)}`)).toEqual(set);
    });
  }

  test("a removed one is forgotten", () => {
    expect(movedOwnArmors({ armors: [], table: { "home:id-x": "b" } }).change).toEqual({ set: {}, unset: ["home:id-x"] });
  });
});

test("armors are found by the names operators use", () => {
  const registration = (id: string, name: string, left = false): Data => ({ id, name, address: "h:1", draining: false, left });
  const table = { "armor:ping": entry("ping") as unknown as Data, "node:k1": registration("k1", "n1"), "node:k2": registration("k2", "n2", true), "app:web": {} };
  const found = ["ping", "id-ping", "ftm", "heartbeat", "daemon@n1", "daemon@k1", "execution@n1", "execution@n2", "own@n1", "web", "", "nobody"].map((text) => findArmor(text, table) ?? "-");
  expect(found).toEqual(["id-ping", "id-ping", "ftm", "heartbeat", "daemon@k1", "daemon@k1", "execution@k1", "-", "-", "-", "-", "-"]);
});

describe("tables that went their own ways are merged:", () => {
  const set = (one: OwnArmorEntry, source: string): { [key: string]: Data } => ({
    [`armor:${one.name}`]: one as unknown as Data,
    [`elements:${one.id}`]: { own: [{ name: "e", hash: source, builtIn: false }], sources: { [source]: source } },
  });
  /** Both from `1.1` of the table on, or the second from nothing that the first has had. */
  const merged = (ours: { [key: string]: Data }, theirs: { [key: string]: Data }, shared = true): [{ [key: string]: Data }, string[]] => {
    const copy = (node: string, entries: { [key: string]: Data }) => ({
      version: { epoch: { number: 3, node }, sequence: 1 },
      lineage: shared ? [{ epoch: epoch(1), sequence: 1 }] : [],
      entries,
    });
    const merge = mergeTables(copy("a", ours), copy("b", theirs));
    const next = { ...ours, ...merge.set };
    for (const key of merge.unset) delete next[key];
    return [next, merge.superseded.map(({ name }) => name)];
  };
  const shared = set(entry("x"), "s");

  test("an armor of the other side comes with its elements", () => {
    expect(merged({}, shared)).toEqual([shared, []]);
  });

  test("the later change of elements stays", () => {
    const later = set(entry("x", { revision: 2 }), "later");
    expect(merged(shared, later)).toEqual([later, []]);
    expect(merged(later, shared)).toEqual([later, []]);
  });

  test("a removal counts as a change, and takes the elements along", () => {
    const gone = { "gone-armor:x": { revision: 2, revisionEpoch: epoch(1) } };
    expect(merged(shared, gone)).toEqual([gone, []]);
    expect(merged(gone, shared)).toEqual([gone, []]);
  });

  test("of two armors of one name that of the higher epoch stays, and the other is named", () => {
    const [low, high] = [set(entry("x", { id: "low" }), "l"), set(entry("x", { id: "high", revisionEpoch: epoch(2) }), "h")];
    expect(merged(low, high, false)).toEqual([high, ["x"]]);
    expect(merged(high, low, false)).toEqual([high, ["x"]]);
  });

  test("elements of built-in armors stay ours where both have some", () => {
    const of = (text: string): { [key: string]: Data } => ({ "elements:ftm": { own: [], sources: { [text]: text } } });
    expect(merged({}, of("a"))).toEqual([of("a"), []]);
    expect(merged(of("b"), of("a"))).toEqual([of("b"), []]);
  });
});

test("a change of elements is of the epoch in which it is recorded: of two sides' changes the later stays", () => {
  const network = new KernelNetwork(1);
  const table = { "armor:x": entry("x"), "elements:id-x": { own: [{ name: "e", hash: "old", builtIn: false }], sources: { old: "old" } } };
  let change: Data = null;
  const world = element({
    name: "world",
    version: 1,
    state: {},
    handlers: {
      "nodes.read": (_state, thread) => void (thread.payload["epoch"] = epoch(2)),
      "table.read": (_state, thread) => void (thread.payload["table"] = table as unknown as Data),
      "table.change": (_state, thread) => void (change = thread.payload["change"] ?? null),
      "table.commit": () => {},
    },
  });
  network.add("ftm", [ownArmorTable(), world]);
  network.local("ftm", "elements.note", { noted: "id-x", verb: "replace", element: { name: "e", source: "new" }, answer: { hash: "new" } });
  expect((change as unknown as { set: DataRecord }).set["armor:x"]).toEqual(entry("x", { revision: 2, revisionEpoch: epoch(2) }) as unknown as Data);
});
