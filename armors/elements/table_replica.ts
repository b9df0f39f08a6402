/**
 * Table replica: a daemon's copy of the FTM's application table and registered
 * nodes. Stored and synced before the FTM acknowledges a change; a takeover
 * starts from the freshest copy.
 *
 * @module
 */
import { type Data, dataEqual } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { epochZero } from "../../core/generation.ts";
import { op } from "../../core/micro_operation.ts";
import { elementsKey, nodeOf, type NodeRegistration, type NodeReport, type TableCopy, type TableVersion } from "../shapes.ts";
import type { ElementSet } from "./element_source.ts";
import { wrongTable } from "./state_checks.ts";
import { compareVersions, contains, tableEntries, type TableStore } from "./table_version.ts";

/** `version`, and the table's entries under their keys `app:NAME` and `node:ID`. */
type State = { readonly version: TableVersion; readonly lineage: readonly TableVersion[] } & { readonly [key: string]: Data };

/** How often a daemon asks for the table that it has lost. */
const wantEveryMs = 2_000;
const want = (thread: Thread): void => thread.after("want", 0, "table.want");

/** `table.store` keeps, `table.report` tells. */
export function tableReplica(): Element {
  return element<State>({
    name: "table_replica",
    version: 1,
    state: { version: { epoch: epochZero, sequence: 0 }, lineage: [] },
    check: wrongTable,
    handlers: {
      "table.store": (state, thread) => {
        const store = thread.payload["store"] as unknown as TableStore;
        delete thread.payload["store"];
        thread.payload["stored"] = state.version;
        // What was lost in part is stored anew even if it turns out to be all there.
        const order = compareVersions(store.version, state.version);
        if (order < 0 || (order === 0 && state["lost"] !== true)) return;
        if (store.base !== null && compareVersions(store.base, state.version) !== 0) return;
        if (!contains(store, state.version)) {
          // This copy has changes that the FTM does not know: it takes them in first.
          const copy: TableCopy = { version: state.version, lineage: state.lineage, entries: tableEntries(state) };
          thread.payload["diverged"] = copy;
          return;
        }
        thread.payload["stored"] = store.version;
        const { version, lineage } = store;
        const next: { [key: string]: Data } = { ...(store.base === null ? {} : state), ...store.set, version, lineage };
        for (const key of [...store.unset, "lost"]) delete next[key];
        // Who else is there must survive damage to the log: a daemon that forgot the others would lead alone.
        if (nodesOf(next) !== nodesOf(state)) thread.command({ kind: "checkpoint.snapshot", args: {} });
        align(thread, next, Object.keys(store.set).filter((key) => key.startsWith(elementsKey("")) && !dataEqual(next[key]!, state[key] ?? null)));
        return next as State;
      },
      "armor.started": (state, thread) => {
        if (state["lost"] === true) want(thread);
      },
      "ftm.changed": (state, thread) => {
        if (state["lost"] === true) want(thread);
      },
      "armor.registered": (state, thread) => align(thread, state, [elementsKey(thread.payload["armor"] as string)]),
      "table.want": (state, thread) => {
        if (state["lost"] !== true) return;
        thread.send({ ops: [op("table.wanted", "ftm")], payload: { node: nodeOf(thread.self) }, lane: "system", deadlineMs: wantEveryMs });
        thread.after("want", wantEveryMs, "table.want");
      },
      // Until an FTM has stored it anew, this copy is none. The nodes are known from elsewhere.
      "checkpoint.restored": (state, thread) => {
        if (thread.payload["complete"] !== false) return;
        const { nodes = [] } = (thread.payload["memory"] ?? {}) as { nodes?: readonly NodeRegistration[] };
        thread.insert(op("table.read"), op("gateway.peers"));
        want(thread);
        return { ...Object.fromEntries(nodes.map((node) => [`node:${node.id}`, node])), ...state, lost: true } as State;
      },
      "table.read": (state, thread) => {
        thread.payload["table"] = tableEntries(state);
      },
      "table.report": (state, thread) => {
        const report = thread.payload["report"] as NodeReport;
        const table: TableCopy = { version: state.version, lineage: state.lineage, entries: tableEntries(state), ...(state["lost"] === true && { lost: true }) };
        thread.payload["report"] = { ...report, table };
      },
    },
  });
}

/** Armors of this node are told of changes to their elements that are in the table: what their checkpoints have lost of that they make anew. */
function align(thread: Thread, table: { readonly [key: string]: Data }, keys: readonly string[]): void {
  const sets = keys.flatMap((key) => {
    const set = table[key] as unknown as ElementSet | undefined;
    const changed = set && (set.removed !== undefined || set.own.some(({ change }) => change !== undefined));
    return changed ? [[key.slice(elementsKey("").length), set as unknown as Data] as const] : [];
  });
  if (sets.length === 0) return;
  thread.payload["align"] = Object.fromEntries(sets);
  thread.insert(op("armors.align"));
}

/** Whom a table registers. */
function nodesOf(table: { readonly [key: string]: Data }): string {
  return Object.keys(table).filter((key) => key.startsWith("node:")).sort().join(" ");
}
