/**
 * A change of an armor's elements that was acknowledged stays: what the armor's
 * checkpoint has lost of it comes from the application table, and what is told
 * again after a rewind does not undo a later change.
 */
import { expect, test } from "bun:test";
import { basicElements } from "../../armors/elements/basic.ts";
import type { ElementsChange, ElementSet } from "../../armors/elements/element_source.ts";
import { localArmors } from "../../armors/elements/local_armors.ts";
import { ownArmorTable } from "../../armors/elements/own_armors.ts";
import { tableReplica } from "../../armors/elements/table_replica.ts";
import { decode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import type { Effects } from "../../core/effects.ts";
import { type Element, element } from "../../core/element.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

const change = (number: number): ElementsChange => ({ epoch: { number: 3, node: "a" }, number });
const made = (source: string): Element => element({ name: "e", version: Number(source), state: {}, handlers: {}, migrate: (state) => state });
const set = (source: string, number?: number): ElementSet => ({ own: [{ name: "e", hash: source, builtIn: false, ...(number !== undefined && { change: change(number) }) }], sources: { [source]: source } });

/** An armor that was installed with version 1 of the element `e`. */
function armor() {
  const network = new KernelNetwork(1, { work: { "element.load": (_key, args) => ({ delayMs: 1, completion: { ok: true, value: { hash: (args as { source: string }).source } } }) } });
  const supply = { library: (hash: string) => [made(hash)], given: set("1") };
  network.add("x", [...basicElements(supply), made("1")]);
  const local = (op: string, payload: DataRecord): void => {
    network.local("x", op, payload as { [field: string]: Data });
    network.advance(10);
  };
  return {
    replace: (source: string, number: number) => local("element.replace", { element: { name: "e", source }, numbered: change(number) }),
    remove: (number: number) => local("element.remove", { element: { name: "e" }, numbered: change(number) }),
    align: (elements: ElementSet) => local("elements.align", { elements: elements as unknown as Data }),
    version: () => network.armor("x").kernel!.describe().find(({ name }) => name === "e")?.version,
  };
}

test("an armor makes anew what the table knows of a later change", () => {
  const { align, version } = armor();
  align(set("2", 5));
  expect(version()).toBe(2);
  align({ own: [], sources: {}, removed: { e: change(6) } });
  expect(version()).toBeUndefined();
  align(set("3", 7));
  expect(version()).toBe(3);
});

test("an older change does nothing, whichever way it comes", () => {
  const { replace, remove, align, version } = armor();
  replace("4", 8);
  align(set("2", 5));
  replace("3", 7);
  remove(6);
  align({ own: [], sources: {}, removed: { e: change(6) } });
  expect(version()).toBe(4);
  remove(9);
  align(set("4", 8));
  expect(version()).toBeUndefined();
});

/** What the FTM enters in the table when an armor has made a change. */
function entered(before: ElementSet, note: DataRecord): ElementSet | undefined {
  const network = new KernelNetwork(1);
  const table = { "armor:x": { id: "x", name: "x", node: null, revision: 1, revisionEpoch: { number: 1, node: "a" } }, "elements:x": before as unknown as Data };
  let found: DataRecord = {};
  const world = element({
    name: "world",
    version: 1,
    state: {},
    handlers: {
      "nodes.read": (_state, thread) => void (thread.payload["epoch"] = { number: 3, node: "a" }),
      "table.read": (_state, thread) => void (thread.payload["table"] = table),
      "table.change": (_state, thread) => void (found = (thread.payload["change"] as { set: DataRecord }).set),
      "table.commit": () => {},
    },
  });
  network.add("ftm", [ownArmorTable(), world]);
  network.local("ftm", "elements.note", { noted: "x", verb: "replace", element: { name: "e", source: "new" }, answer: { hash: "new" }, ...note } as { [field: string]: Data });
  return found["elements:x"] as unknown as ElementSet | undefined;
}

test("the table notes a change with its number, and leaves alone what a later one has made", () => {
  expect(entered(set("1"), { numbered: change(2) })).toEqual(set("new", 2));
  expect(entered(set("2", 5), { numbered: change(4) })).toBeUndefined();
  expect(entered(set("2", 5), { numbered: change(6), verb: "remove" })).toEqual({ own: [], sources: {}, removed: { e: change(6) } });
  expect(entered({ own: [], sources: {}, removed: { e: change(6) } }, { numbered: change(5) })).toBeUndefined();
});

test("a daemon tells an armor of its node of changes in the table, when it registers and when they come; of none there is nothing to tell", () => {
  const surroundings = element({ name: "surroundings", version: 1, state: {}, handlers: { "liveness.watch": () => {}, "armors.tell": () => {} } });
  const kernel = new Microkernel({ armor: "daemon@a", generation: { epoch: 1, node: "a", counter: 0 }, elements: [localArmors("a"), tableReplica(), surroundings], random: seededRandom(1) });
  const aligned: Data[] = [];
  const take = ({ commits }: Effects): void => {
    for (const { sent = [] } of commits) {
      for (const { body } of sent) {
        const { ops, to, payload } = decode(body) as Message;
        if (ops[0]!.name === "elements.align") aligned.push([to, (payload["elements"] as unknown as ElementSet).own[0]!.hash]);
      }
    }
  };
  const local = (op: string, payload: object): void => take(kernel.step({ kind: "local", op, payload: payload as { [field: string]: Data } }, 1_000));
  const store = (sequence: number, elements: ElementSet): void =>
    local("table.store", { store: { version: { epoch: { number: 1, node: "a" }, sequence }, lineage: [], base: null, set: { "elements:x": elements, "elements:elsewhere": set("9", 9) }, unset: [] } });
  const register = (): void => local("armor.registered", { armor: "x", process: { pid: 1, startTicks: 1, bootId: "b" }, generation: { epoch: 1, node: "a", counter: 0 }, elements: [] });
  take(kernel.step({ kind: "start", payload: {} }, 1_000));
  local("armor.install", { install: { armor: "x", role: "own", placement: 1, generation: { epoch: 1, node: "a", counter: 0 }, begin: null } });
  store(1, set("1"));
  register();
  expect(aligned).toEqual([]);
  store(2, set("2", 1));
  store(3, set("2", 1));
  expect(aligned).toEqual([["x", "2"]]);
  register();
  expect(aligned).toEqual([["x", "2"], ["x", "2"]]);
});
