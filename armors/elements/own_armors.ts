/**
 * Own armors: how operators install armors of their own, change the elements of
 * any armor, and reach armors by name. What must survive a node is in the
 * application table: names, ids, and elements with their sources.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { newId } from "../../core/id.ts";
import { limits } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import { namePattern, nameRule } from "../name_rule.ts";
import { elementsKey, type OwnArmorEntry, type Tombstone } from "../shapes.ts";
import { findArmor } from "./armor_names.ts";
import { type ElementsChange, type ElementSet, type ElementSource, isOld, removedAfter } from "./element_source.ts";
import { ownArmors } from "./own_placement.ts";
import type { NodeView } from "./node_view.ts";
import { refuseOverfull } from "./table_room.ts";
import type { TableChange } from "./table_version.ts";

type Table = { readonly [key: string]: Data };
const none: ElementSet = { own: [], sources: {} };

/** Arguments of `own.install`. */
type InstallArguments = { readonly name?: unknown; readonly node?: unknown; readonly source?: unknown; readonly hash?: unknown; readonly elements?: unknown };
/** Arguments of `elements.change`. */
type ChangeArguments = { readonly verb?: unknown; readonly armor?: unknown; readonly name?: unknown; readonly source?: unknown };

/** Changes of elements that this FTM has sent. */
type Volatile = { readonly changes: number };

/** The FTM's part in armors and elements of the user's own. */
export function ownArmorTable(): Element {
  return element<DataRecord, Volatile>({
    name: "own_armors",
    version: 1,
    state: {},
    volatile: () => ({ changes: 0 }),
    handlers: {
      "own.install": (_state, thread) =>
        thread.insert(op("nodes.read"), op("admission.check"), op("admission.room"), op("table.read"), op("own.enter"), op("table.change"), op("table.commit"), op("cluster.changed"), op("view.tell")),
      "own.enter": (_state, thread) => enter(thread),
      "elements.change": (_state, thread) => thread.insert(op("nodes.read"), op("admission.check"), op("admission.room"), op("table.read"), op("elements.send")),
      "elements.send": (_state, thread) => send(thread),
      // The armor has committed the change; the table follows, so that the armor is the same elsewhere.
      "elements.note": (_state, thread) => {
        if ((thread.payload["noted"] as string).includes("@")) forget(thread);
        else thread.insert(op("nodes.read"), op("table.read"), op("elements.record"), op("table.change"), op("table.commit"));
      },
      "elements.record": (_state, thread) => record(thread),
      "armor.route": (_state, thread) => {
        thread.insert(op("table.read"), op("armor.route-on"));
      },
      "armor.route-on": (_state, thread) => {
        const { armor, op: name } = thread.payload["route"] as { armor: string; op: string };
        const id = findArmor(armor, thread.payload["table"] as Table);
        if (id === undefined) throw new OperationError("refused", noArmor(armor));
        for (const field of ["route", "table"]) delete thread.payload[field];
        thread.insert(op(name, id));
      },
    },
  });
}

/** One line for a name that no armor has. */
export const noArmor = (name: string): string => `there is no armor "${name}": see "armor status"`;

function enter(thread: Thread): void {
  const { name, node = null, source, hash, elements } = thread.payload["args"] as InstallArguments;
  const table = thread.payload["table"] as Table;
  if (typeof name !== "string" || !namePattern.test(name)) throw new OperationError("usage", `--name ${JSON.stringify(name)} is not a name: ${nameRule}`);
  if (typeof source !== "string" || typeof hash !== "string" || !Array.isArray(elements) || !elements.every((one) => typeof one === "string")) {
    throw new OperationError("usage", "the elements of an armor are a source, its hash and their names");
  }
  if (source.length > limits.elementSourceMax) throw new OperationError("usage", `the elements are larger than ${limits.elementSourceMax} characters`);
  const given: ElementSet = { own: elements.map((one) => ({ name: one, hash, builtIn: false })), sources: { [hash]: source } };
  const present = table[`armor:${name}`] as OwnArmorEntry | undefined;
  if (present) {
    const same = (table[elementsKey(present.id)] as unknown as ElementSet).own.some((one) => one.hash === hash) && present.node === node;
    if (!same) throw new OperationError("refused", `armor "${name}" exists with other elements: "armor element replace" changes them, "armor remove ${name}" ends it`);
    return answer(thread, {}, { ok: true, changed: false, id: present.id, revision: present.revision });
  }
  if (table[`app:${name}`] !== undefined) throw new OperationError("refused", `"${name}" is the name of an application: choose another`);
  refuseFull(table, source.length);
  const nodes = thread.payload["nodes"] as unknown as readonly NodeView[];
  const known = nodes.filter(({ state }) => state !== "left");
  const preferred = known.find((one) => one.name === node);
  if (node !== null && !preferred) throw new OperationError("refused", `there is no node "${String(node)}": known are ${known.map((one) => one.name).join(", ")}`);
  if (preferred ? preferred.state === "alive" && !preferred.elements : !known.some((one) => one.elements)) {
    throw new OperationError("refused", `${preferred ? `node "${preferred.name}" takes` : "no node takes"} no elements by message: start its daemon with --allow-elements`);
  }
  const tombstone = `gone-armor:${name}`;
  const removed = table[tombstone] as Tombstone | undefined;
  // Counted on from the removal: another copy of the table that still has that must give way.
  const revision = (removed?.revision ?? 0) + 1;
  const entry: OwnArmorEntry = {
    id: newId(thread.random, 12),
    name,
    node: node as string | null,
    revision,
    revisionEpoch: thread.payload["epoch"] as OwnArmorEntry["revisionEpoch"],
  };
  const set = { [`armor:${name}`]: entry, [elementsKey(entry.id)]: given as unknown as Data };
  refuseOverfull(table, set);
  answer(thread, set, { ok: true, changed: true, id: entry.id, revision }, removed ? [tombstone] : []);
}

function answer(thread: Thread, set: { readonly [key: string]: Data }, body: DataRecord, unset: readonly string[] = []): void {
  thread.payload["answer"] = body;
  thread.payload["change"] = { set, unset } satisfies TableChange as unknown as Data;
  forget(thread);
}

/** What is not needed on the way back. */
function forget(thread: Thread): void {
  for (const field of ["args", "element", "table", "nodes", "armors", "epoch", "noted", "verb", "numbered"]) delete thread.payload[field];
}

function refuseFull(table: Table, more: number): void {
  let length = more;
  for (const [key, value] of Object.entries(table)) {
    if (key.startsWith("elements:")) for (const source of Object.values((value as unknown as ElementSet).sources)) length += source.length;
  }
  if (length > limits.tableSourcesMax) {
    throw new OperationError("refused", `the cluster keeps ${limits.tableSourcesMax} characters of elements at most: these would make it ${length}`);
  }
}

/** The change travels to the armor and comes back here. */
function send(thread: Thread<Volatile>): void {
  const { verb, armor, name, source = "" } = thread.payload["args"] as ChangeArguments;
  const table = thread.payload["table"] as Table;
  if (verb !== "add" && verb !== "replace" && verb !== "remove") throw new OperationError("usage", `unknown change ${JSON.stringify(verb)} of an element`);
  if (typeof armor !== "string" || typeof name !== "string" || typeof source !== "string") throw new OperationError("usage", "a change of an element needs armor, name and source");
  const id = findArmor(armor, table);
  if (id === undefined) throw new OperationError("refused", noArmor(armor));
  if (verb !== "remove" && !id.includes("@")) refuseFull(table, source.length);
  const number = thread.volatile.changes + 1;
  thread.setVolatile({ changes: number });
  const numbered: ElementsChange = { epoch: thread.payload["epoch"] as ElementsChange["epoch"], number };
  forget(thread);
  thread.payload["numbered"] = numbered;
  thread.payload["element"] = { name, source } satisfies ElementSource;
  thread.payload["verb"] = verb;
  thread.payload["noted"] = id;
  thread.insert(op(`element.${verb}`, id), op("elements.note", thread.self));
}

function record(thread: Thread): void {
  const { noted: id, verb, element: given, numbered } = thread.payload as unknown as { noted: string; verb: string; element: ElementSource; numbered?: ElementsChange };
  const { hash = "" } = thread.payload["answer"] as { hash?: string };
  const table = thread.payload["table"] as Table;
  const before = (table[elementsKey(id)] ?? none) as unknown as ElementSet;
  const entry = ownArmors(table).find((one) => one.id === id);
  const { name, source } = given;
  const present = before.own.find((one) => one.name === name);
  const change = numbered && { change: numbered };
  const own = verb === "remove"
    ? before.own.filter((one) => one !== present)
    : present
    ? before.own.map((one) => (one === present ? { ...one, hash, ...change } : one))
    : [...before.own, { name, hash, builtIn: (thread.payload["answer"] as { builtIn?: boolean }).builtIn === true, ...change }];
  const sources: { [hash: string]: string } = {};
  for (const one of own) sources[one.hash] = one.hash === hash ? source : before.sources[one.hash]!;
  const removed = removedAfter(before, name, verb === "remove" ? numbered : undefined);
  const set: { [key: string]: Data } = { [elementsKey(id)]: { own, sources, ...removed } as unknown as Data };
  if (entry) set[`armor:${entry.name}`] = { ...entry, revision: entry.revision + 1, revisionEpoch: thread.payload["epoch"] as OwnArmorEntry["revisionEpoch"] };
  // An armor of one's own that was removed meanwhile is not brought back; nor is what a later change has replaced, said once more after a rewind.
  const over = (!entry && id !== "ftm" && id !== "heartbeat") || isOld(before, name, numbered);
  thread.payload["change"] = { set: over ? {} : set, unset: [] } satisfies TableChange as unknown as Data;
  forget(thread);
}
