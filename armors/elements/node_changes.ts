/**
 * Changes of the nodes that count: one after the other, each by a majority of
 * those before. Nodes that want to join meanwhile wait, and join together; they
 * count when enough nodes, with them and without them, know of them.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import type { Handler } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { pauseAmongMany, timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import { hasMajority, type NodeRegistration } from "../shapes.ts";
import { isJoining, type Registering, type Registry } from "./node_view.ts";

/** A change of nodes should be stored by then. */
const changeWithinMs = 1_000;
/** One that wants to join asks again after this time. */
const joinAskedMs = 2_000;
/** Until those are counted whose FTM did not live to do it. */
export const countAgainMs = 1_000;

/**
 * Whether the nodes that count may change now: one after the other, by a majority of those before.
 * Else two minorities could each become a majority of their own. If not, the thread waits and comes back to `op`.
 */
export function mayChange(thread: Registering, id: string, again: string): boolean {
  const { nodes, changing } = thread.volatile;
  // Where all have left, the first that returns is all there is.
  const isEmpty = [...nodes.values()].every(({ state }) => state === "left");
  if (!isEmpty && !hasMajority([...nodes.values()])) throw new OperationError("stale", "no node is registered or leaves without a majority");
  thread.payload["settling"] = changing ?? id;
  if (changing === null || changing === id) {
    thread.setVolatile({ ...thread.volatile, changing: id });
    return true;
  }
  thread.insert(op("table.commit"), op("node.settled"), op(again));
  return false;
}

/** Nothing is being changed: those that have waited for that go on. */
function wake(thread: Registering): void {
  const { changing, waiting } = thread.volatile;
  if (changing !== null) return;
  thread.setVolatile({ ...thread.volatile, waiting: [] });
  for (const key of waiting) thread.complete(key, { ok: true, value: null });
}

/** Those that have asked while others were taken in. Each with a name of its own: one that has another's is looked at alone. */
export function joinersWith(thread: Registering, first: NodeRegistration): NodeRegistration[] {
  const { nodes, joiners } = thread.volatile;
  const names = new Set([first.name, ...[...nodes.values()].filter(({ state }) => state !== "left").map(({ name }) => name)]);
  const together = [...joiners.values()].filter(({ id, name, askedAtMs }) => {
    if (id === first.id || nodes.has(id) || names.has(name) || thread.nowMs - askedAtMs > joinAskedMs) return false;
    names.add(name);
    return true;
  });
  thread.setVolatile({ ...thread.volatile, joiners: new Map(), joinedAtMs: thread.nowMs });
  return together;
}

/** That they join is known to enough nodes: from now on they count like all others. */
function count(thread: Registering, ids: readonly string[]): void {
  const entries = ids.flatMap((id) => {
    const node = thread.volatile.nodes.get(id);
    if (!node || !isJoining(node)) return [];
    const { name, address, draining, replaced } = node;
    return [{ id, name, address, draining, left: false, ...(replaced && { replaced }) }];
  });
  if (entries.length === 0) return;
  thread.payload["registrations"] = entries;
  thread.payload["counted"] = entries.map(({ id }) => id);
  thread.insert(op("node.register"), op("table.commit"), op("node.counted"));
}

/** The part of the registration's handlers that belongs to this. */
export const nodeChangeHandlers: { readonly [op: string]: Handler<DataRecord, Registry> } = {
  "node.settled": (_state, thread) => {
    if (thread.volatile.changing !== thread.payload["settling"]) return;
    thread.setVolatile({ ...thread.volatile, changing: null });
    wake(thread);
  },
  "node.join-waiting": (_state, thread) => wake(thread),
  "node.await-change": (_state, thread) => {
    if (!thread.completion) {
      const pauseMs = pauseAmongMany(thread.volatile.nodes.size, timing.joinPausePerNodeMs);
      const key = thread.block({ kind: "wait", timeoutMs: changeWithinMs + pauseMs });
      return thread.setVolatile({ ...thread.volatile, waiting: [...thread.volatile.waiting, key] });
    }
    thread.payload["awaited"] = true;
    // Whoever made the change may have given up, although it is stored in the end.
    const { changing } = thread.volatile;
    if (thread.completion.ok || changing === null) return;
    thread.payload["settling"] = changing;
    thread.insert(op("table.commit"), op("node.settled"));
  },
  "node.count": (_state, thread) => count(thread, [...thread.volatile.nodes.keys()]),
  "node.counted": (_state, thread) => {
    const nodes = new Map(thread.volatile.nodes);
    for (const id of thread.payload["counted"] as string[]) {
      const { joining: _joining, ...node } = nodes.get(id)!;
      nodes.set(id, node);
    }
    thread.setVolatile({ ...thread.volatile, nodes });
  },
  // The FTM before did not live to do it.
  "node.count-all": (_state, thread) => {
    thread.after("count", countAgainMs, "node.count-all");
    const nodes = [...thread.volatile.nodes.values()];
    if (!nodes.some(isJoining)) return thread.cancel("count");
    if (!hasMajority(nodes) || !mayChange(thread, "count", "node.count-all")) return;
    thread.insert(op("node.count"), op("node.settled"));
  },
};
