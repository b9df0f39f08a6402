/**
 * Application table: the FTM's durable state. Every change is stored and synced
 * on enough daemons, the FTM's own included, before it is acknowledged.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { compareEpochs, epochZero } from "../../core/generation.ts";
import { timing } from "../../core/limits.ts";
import { type Failure, opFailed } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { type ApplicationEntry, type Completion, daemonOf, type InstanceReport, type NodeRegistration, type NodeState, quorum, type TableCopy, type TableVersion } from "../shapes.ts";
import { changeApplication } from "./application_change.ts";
import { completed, isCompletion } from "./completions.ts";
import type { NodeView } from "./node_view.ts";
import { wrongTable } from "./state_checks.ts";
import { compareVersions, contains, dated, extendLineage, mergeTables, type TableChange, tableEntries, type TableStore } from "./table_version.ts";
import type { FtmBegin } from "./takeover.ts";

type State = { readonly version: TableVersion; readonly lineage: readonly TableVersion[] } & { readonly [key: string]: Data };
/**
 * `members`: nodes of which enough must have it. One that leaves counts until its leaving is stored, one that joins since does
 * not. `before`: those without the ones that are joining together, if there are any; of these, too, enough must have it.
 */
type Waiting = { readonly key: string; readonly version: TableVersion; readonly members: readonly string[]; readonly before: readonly string[] | null };
type Entries = { readonly [key: string]: Data };
/** A state of the table that enough nodes may not have yet, and which nodes have to. */
type Unsettled = Omit<Waiting, "key"> & { readonly entries: Entries };
type Volatile = {
  /** What each daemon has confirmed as stored. */
  readonly stored: { readonly [node: string]: TableVersion };
  /** What each daemon has been sent. */
  readonly sent: { readonly [node: string]: TableVersion };
  /** Changes since the version before, for those who have that. */
  readonly last: TableStore | null;
  readonly waiting: readonly Waiting[];
  /** Oldest first. */
  readonly unsettled: readonly Unsettled[];
  /** The last that enough nodes have: a successor of this FTM begins from it or from a later one. Null until there is one in this epoch. */
  readonly settled: { readonly version: TableVersion; readonly entries: Entries } | null;
  /** By node, a version that contains the copy which it had when this FTM began. */
  readonly takenIn: { readonly [node: string]: TableVersion };
  /** Copies taken in that had gone their own way. */
  readonly merges: number;
};
type Table = Thread<Volatile>;

const commitWithinMs = timing.operatorDeadlineMs - 500;
const failedAgainMs = 2_000;
/** Of more states that enough nodes may not have yet the newest is kept in the place of the last. */
const unsettledMax = 64;

/** @param node The FTM's own node. */
export function applicationTable(node: string): Element {
  const change = (state: State, thread: Table, set: { [key: string]: Data }, unset: readonly string[] = []): State => {
    const version = { epoch: state.version.epoch, sequence: state.version.sequence + 1 };
    const next: { [key: string]: Data } = { ...state, ...set, version };
    for (const key of unset) delete next[key];
    const { lineage } = state;
    thread.setVolatile({ ...thread.volatile, last: { version, lineage, base: state.version, set, unset } });
    unsettle(next as State, thread);
    return next as State;
  };

  /** Until enough nodes have it as it is now. */
  const wait = (state: State, thread: Table): void => {
    const { members, before } = counting(state, node);
    spread(state, thread, members);
    const key = thread.block({ kind: "wait", timeoutMs: commitWithinMs });
    const waiting = [...thread.volatile.waiting.slice(-1_000), { key, version: state.version, members, before }];
    thread.setVolatile({ ...thread.volatile, waiting });
    thread.after("settle", 0, "table.settle-now");
  };

  const unsettle = (state: State, thread: Table): void => {
    const { unsettled } = thread.volatile;
    const newest: Unsettled = { version: state.version, ...counting(state, node), entries: tableEntries(state) };
    thread.setVolatile({ ...thread.volatile, unsettled: [...unsettled.slice(0, unsettledMax - 1), newest] });
    thread.after("settle", 0, "table.settle-now");
  };

  const spread = (state: State, thread: Table, nodes: readonly string[]): void => {
    const { last } = thread.volatile;
    const sent: Record<string, TableVersion> = { ...thread.volatile.sent };
    for (const id of nodes) {
      const before = sent[id];
      if (before && compareVersions(before, state.version) === 0) continue;
      const follows = before && last?.base && compareVersions(before, last.base) === 0;
      const store: TableStore = follows ? last : { version: state.version, lineage: state.lineage, base: null, set: tableEntries(state), unset: [] };
      const delivered = thread.send({
        ops: [op("epoch.guard", daemonOf(id)), op("table.store", daemonOf(id)), op("table.stored", thread.self)],
        payload: { epoch: state.version.epoch, store: store as unknown as Data, node: id },
        lane: "system",
      });
      if (delivered) sent[id] = state.version;
    }
    thread.setVolatile({ ...thread.volatile, sent });
  };

  /** Take in a copy that went its own way while its node could not be reached. */
  const takeIn = (state: State, thread: Table, copy: TableCopy): State => {
    const merge = mergeTables({ version: state.version, lineage: state.lineage, entries: tableEntries(state) }, copy);
    for (const { name, revision, epoch } of merge.superseded) {
      thread.event({ kind: "application.superseded", subject: name, node, revision, revisionEpoch: epoch });
    }
    thread.setVolatile({ ...thread.volatile, merges: thread.volatile.merges + 1 });
    const lineage = extendLineage(state.lineage, [...copy.lineage, copy.version]);
    return change({ ...state, lineage }, thread, merge.set, merge.unset);
  };

  return element<State, Volatile>({
    name: "application_table",
    version: 1,
    state: { version: { epoch: epochZero, sequence: 0 }, lineage: [] },
    volatile: () => ({ stored: {}, sent: {}, last: null, waiting: [], unsettled: [], settled: null, takenIn: {}, merges: 0 }),
    check: wrongTable,
    blocking: ["table.commit", "table.await"],
    handlers: {
      "ftm.begin": (_state, thread) => {
        const { epoch, reports } = thread.payload["begin"] as unknown as FtmBegin;
        let freshest = reports[0]!.table;
        for (const { table } of reports) if (compareVersions(table.version, freshest.version) > 0) freshest = table;
        thread.insert(op("table.spread"));
        const lineage = extendLineage(freshest.lineage, [freshest.version]);
        let state: State = { ...freshest.entries, version: { epoch, sequence: 1 }, lineage };
        for (const { table } of reports) if (!contains(state, table.version)) state = takeIn(state, thread, table);
        // What was just merged is not a difference to anything the daemons have.
        const takenIn = Object.fromEntries(reports.map((report) => [report.node, state.version]));
        thread.setVolatile({ ...thread.volatile, last: null, unsettled: [], settled: null, takenIn });
        unsettle(state, thread);
        return state;
      },
      "table.spread": (state, thread) => spread(state, thread, registered(state, node)),
      "table.read": (state, thread) => {
        thread.payload["table"] = tableEntries(state);
      },
      // For those who act on it: what a successor of this FTM may not know must not have had an effect,
      // and no node is told what is to be there before it has told what it knows itself.
      "table.read-settled": (_state, thread) => {
        const { settled, takenIn } = thread.volatile;
        thread.payload["settled"] = settled && settled.entries;
        thread.payload["takenIn"] = Object.keys(takenIn).filter((id) => settled && compareVersions(takenIn[id]!, settled.version) <= 0);
      },
      "application.change": (state, thread) => {
        const { set, unset, answer } = changeApplication(state, thread.payload, state.version);
        thread.payload["answer"] = answer as unknown as Data;
        thread.payload["merges"] = thread.volatile.merges;
        // Also if nothing has to be changed: an FTM that has a successor and does not know it would answer from an old table.
        return change(state, thread, dated(state, set, state.version.sequence + 1), unset);
      },
      "table.change": (state, thread) => {
        const { set, unset } = thread.payload["change"] as unknown as TableChange;
        delete thread.payload["change"];
        const answers = thread.payload["answer"] !== undefined;
        if (answers || Object.keys(set).length + unset.length > 0) return change(state, thread, dated(state, set, state.version.sequence + 1), unset);
      },
      // Of what an execution armor tells.
      "application.completed": (state, thread) => {
        const reports = thread.payload["instances"] as unknown as readonly InstanceReport[];
        const set = completed(state, reports.filter((one) => one.state === "completed").map(({ id, ...report }) => ({ ...report, instance: id })));
        if (Object.keys(set).length === 0) return;
        thread.insert(op("table.spread"));
        return change(state, thread, set);
      },
      // Of events that a daemon brings: a completion may be told when the table has it.
      "table.complete": (state, thread) => {
        const events = thread.payload["events"] as DataRecord[];
        const completions = events.filter(isCompletion).map(({ subject, completion }) => ({ ...completion as Completion, instance: String(subject) }));
        if (completions.length === 0) return;
        thread.insert(op("table.await"));
        const set = completed(state, completions);
        if (Object.keys(set).length > 0) return change(state, thread, set);
      },
      "table.await": (state, thread) => {
        if (!thread.completion) return wait(state, thread);
        if (thread.completion.ok) return;
        // Their daemon keeps them, and brings them again.
        const { events, keys } = thread.payload as unknown as { events: DataRecord[]; keys: string[] };
        thread.payload["keys"] = keys.filter((_, index) => !isCompletion(events[index]!));
        thread.payload["events"] = events.filter((event) => !isCompletion(event));
      },
      "node.register": (state, thread) => {
        const { registration, registrations = [registration] } = thread.payload as unknown as { registration: NodeRegistration; registrations?: readonly NodeRegistration[] };
        delete thread.payload["registrations"];
        const set: { [key: string]: NodeRegistration } = {};
        let next = 1 + Math.max(-1, ...Object.entries(state).filter(([key]) => key.startsWith("node:")).map(([, entry]) => (entry as NodeRegistration).number ?? 0));
        for (const one of registrations) {
          const before = state[`node:${one.id}`] as NodeRegistration | undefined;
          // Told once more to leave while its leaving is stored: else it would have left by a majority that counts it.
          const leaves = before?.left === true && one.draining;
          set[`node:${one.id}`] = leaves ? { ...before, address: one.address } : { ...one, number: before ? before.number ?? 0 : next++ };
        }
        return change(state, thread, set);
      },
      "table.commit": (state, thread) => {
        if (thread.completion) {
          if (!thread.completion.ok) {
            throw new OperationError("unknown", "unknown: the change is not stored on enough nodes within 5 s; repeat the command");
          }
          // What was answered may have given way to what the other of two nodes had: the operator is told what is true now.
          const { merges = thread.volatile.merges } = thread.payload;
          if (merges !== thread.volatile.merges) return thread.insert(op("application.change"), op("table.commit"));
          for (const field of ["nodes", "table", "armors", "heard", "merges"]) delete thread.payload[field];
          return;
        }
        wait(state, thread);
      },
      "table.stored": (state, thread) => {
        const { node: id, stored, diverged } = thread.payload as unknown as { node: string; stored: TableVersion; diverged?: TableCopy };
        if (diverged && !contains(state, diverged.version)) {
          const { [id]: _sent, ...others } = thread.volatile.sent;
          thread.setVolatile({ ...thread.volatile, sent: others });
          delete thread.payload["diverged"];
          const merged = takeIn(state, thread, diverged);
          thread.payload["merged"] = Object.keys(merged).filter((key) => key.startsWith("node:") && merged[key] !== state[key]).map((key) => merged[key]!);
          thread.insert(op("nodes.merged"), op("table.spread"), op("cluster.changed"));
          return merged;
        }
        const before = thread.volatile.stored[id];
        if (!before || compareVersions(stored, before) > 0) {
          thread.setVolatile({ ...thread.volatile, stored: { ...thread.volatile.stored, [id]: stored } });
        }
        if (!thread.volatile.takenIn[id] && compareEpochs(stored.epoch, state.version.epoch) === 0) {
          thread.setVolatile({ ...thread.volatile, takenIn: { ...thread.volatile.takenIn, [id]: stored } });
          thread.insert(op("cluster.changed"));
        }
        const sent = thread.volatile.sent[id];
        if (sent && compareVersions(stored, state.version) < 0 && compareVersions(sent, state.version) === 0) {
          // It lacks the base of a difference: the whole table once more.
          const { [id]: _old, ...others } = thread.volatile.sent;
          thread.setVolatile({ ...thread.volatile, sent: others });
          if (compareEpochs(stored.epoch, state.version.epoch) <= 0) thread.after(`again ${id}`, 50, "table.again", { id });
        }
        thread.insert(op("nodes.read"), op("table.settle"));
      },
      // A daemon has lost what it had stored.
      "table.wanted": (state, thread) => {
        const id = thread.payload["node"] as string;
        if (!registered(state, node).includes(id)) return;
        const { [id]: _stored, ...stored } = thread.volatile.stored;
        const { [id]: _sent, ...sent } = thread.volatile.sent;
        thread.setVolatile({ ...thread.volatile, stored, sent });
        spread(state, thread, [id]);
      },
      // It would not be sent to that node again before the next change.
      [opFailed]: (_state, thread) => {
        const { code } = thread.payload["failure"] as Failure;
        const { node: id, store } = (thread.payload["message"] as unknown as { payload: DataRecord }).payload;
        if (store === undefined || code === "stale-epoch") return;
        const { [String(id)]: _sent, ...sent } = thread.volatile.sent;
        thread.setVolatile({ ...thread.volatile, sent });
        thread.after(`again ${String(id)}`, failedAgainMs, "table.again", { id: String(id) });
      },
      "table.again": (state, thread) => spread(state, thread, registered(state, node).filter((id) => id === thread.payload["id"])),
      "table.settle-now": (_state, thread) => thread.insert(op("nodes.read"), op("table.settle")),
      "table.settle": (_state, thread) => {
        const { waiting, unsettled, stored } = thread.volatile;
        if (waiting.length + unsettled.length === 0) return;
        const nodes = new Map((thread.payload["nodes"] as unknown as readonly NodeView[]).map((one) => [one.id, one.state]));
        const still = waiting.filter((one) => {
          if (!isSettled(one, stored, nodes, node)) return true;
          thread.complete(one.key, { ok: true, value: null });
          return false;
        });
        thread.setVolatile({ ...thread.volatile, waiting: still });
        const last = unsettled.findLastIndex((one) => isSettled(one, stored, nodes, node));
        if (last < 0) return;
        const { version, entries } = unsettled[last]!;
        thread.setVolatile({ ...thread.volatile, unsettled: unsettled.slice(last + 1), settled: { version, entries } });
        thread.insert(op("cluster.changed"));
      },
    },
  });
}

/** Nodes that keep the table; the FTM's own in any case, also while it leaves as the last one. */
function registered(state: State, own: string): string[] {
  return Object.entries(state)
    .filter(([key, value]) => key.startsWith("node:") && (key.slice(5) === own || !(value as NodeRegistration).left))
    .map(([key]) => key.slice(5));
}

/** Those of which enough must have a state, now that it is this one. */
function counting(state: State, own: string): Pick<Waiting, "members" | "before"> {
  const members = registered(state, own);
  const settled = members.filter((id) => (state[`node:${id}`] as NodeRegistration | undefined)?.joining !== true);
  return { members, before: settled.length < members.length ? settled : null };
}

/**
 * 1 of 1; 2 of 2, or 1 once the peer is failed (availability mode); a majority from three up; always the own node.
 * While nodes join together, enough with them and enough without them.
 */
function isSettled(waiting: Omit<Waiting, "key">, stored: Volatile["stored"], nodes: ReadonlyMap<string, NodeState>, own: string): boolean {
  const { version, members, before } = waiting;
  return isStored(members, version, stored, nodes, own) && (before === null || isStored(before, version, stored, nodes, own));
}

function isStored(members: readonly string[], version: TableVersion, stored: Volatile["stored"], nodes: ReadonlyMap<string, NodeState>, own: string): boolean {
  const ids = members.filter((id) => id === own || nodes.get(id) !== "left");
  const have = ids.filter((id) => stored[id] && compareVersions(stored[id], version) >= 0);
  if (ids.includes(own) && !have.includes(own)) return false;
  if (ids.length !== 2) return have.length >= quorum(ids.length);
  const missing = ids.find((id) => !have.includes(id));
  return missing === undefined || (have.length === 1 && nodes.get(missing) === "failed");
}
