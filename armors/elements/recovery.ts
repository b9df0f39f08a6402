/**
 * Recovery: the FTM's decisions about armors, and the round in which all its
 * elements compare what is with what should be. One op, `cluster.changed`, asks
 * for a round; many changes at once make one.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { compareGenerations, type Epoch, type Generation } from "../../core/generation.ts";
import { limits, pauseAmongMany, timing } from "../../core/limits.ts";
import { type ArmorId, op } from "../../core/micro_operation.ts";
import { daemonOf, executionOf, type Role } from "../shapes.ts";
import { findArmor } from "./armor_names.ts";
import type { InstallOrder } from "./local_armors.ts";
import { movedOwnArmors, planOwnArmors } from "./own_placement.ts";
import type { NodeView, RegisteredArmor } from "./node_view.ts";
import type { FtmBegin } from "./takeover.ts";

type Order = { readonly node: string; readonly placement: number; readonly generation: Generation; readonly atMs: number };
type Volatile = {
  readonly orders: ReadonlyMap<ArmorId, Order>;
  readonly placements: number;
  /** Armors that are ending for ever, with the placement that was told to. */
  readonly removing: ReadonlyMap<ArmorId, number>;
  /** Among many nodes, when the next round may be: each looks at all of them. */
  readonly nextMs: number;
  /** This FTM was elected by the daemons: they had no heartbeat armor, or did not hear it. */
  readonly alone: boolean;
};
type Recovering = Thread<Volatile>;
type Table = { readonly [key: string]: Data };

/** An order is repeated when nothing was heard of it for this long. */
const repeatAfterMs = 3_000;

/** @param self The FTM's own node. */
export function recovery(self: string): Element {
  /** @returns Whether it was ordered, and not just lately. */
  const order = (thread: Recovering, epoch: Epoch, node: string, role: Role, armor: ArmorId, before?: RegisteredArmor, reset = false): boolean => {
    const { orders } = thread.volatile;
    const last = orders.get(armor);
    if (!reset && last && last.node === node && thread.nowMs - last.atMs < repeatAfterMs && before?.state !== "recovering") return false;
    // Ordered elsewhere since, it has been told to end here: its generation is not to begin once more.
    const givenUp = last !== undefined && before !== undefined && last.node !== node && last.placement > before.incarnation.placement;
    const inPlace = !reset && !givenUp && before !== undefined && before.node === node && before.generation !== null;
    if (!reset && last && last.node === node && last.atMs === thread.nowMs) return false;
    const number = thread.volatile.placements + 1;
    // What is known of it may be older than what was ordered last.
    const newer = inPlace && last?.node === node && compareGenerations(last.generation, before.generation!) > 0 ? last : undefined;
    const placement = newer?.placement ?? (inPlace ? before.incarnation.placement : epoch.number * 2 ** 20 + number);
    const generation = newer?.generation ?? (inPlace ? before.generation! : { epoch: epoch.number, node: epoch.node, counter: number * limits.generationsPerPlacement });
    const install: InstallOrder = { armor, role, placement, generation, begin: null, ...(reset && { reset }) };
    thread.send({
      ops: [op("epoch.guard", daemonOf(node)), op("armor.install", daemonOf(node))],
      payload: { epoch, install: install as unknown as Data },
      lane: "system",
    });
    const next = new Map(orders).set(armor, { node, placement, generation, atMs: thread.nowMs });
    thread.setVolatile({ ...thread.volatile, orders: next, placements: number });
    thread.after("again", repeatAfterMs, "cluster.changed");
    return true;
  };

  return element<DataRecord, Volatile>({
    name: "recovery",
    version: 1,
    state: {},
    volatile: () => ({ orders: new Map(), placements: 0, removing: new Map(), nextMs: 0, alone: false }),
    handlers: {
      "ftm.begin": (_state, thread) => {
        const { epoch, cause, leader, durationMs } = thread.payload["begin"] as unknown as FtmBegin;
        thread.setVolatile({ ...thread.volatile, alone: leader !== "heartbeat" });
        thread.event({ kind: "ftm.takeover", subject: "ftm", node: self, epochNumber: epoch.number, cause, detectedBy: leader, durationMs });
      },
      "cluster.changed": (_state, thread) => thread.after("round", Math.max(0, thread.volatile.nextMs - thread.nowMs), "cluster.round"),
      "cluster.round": (_state, thread) =>
        thread.insert(
          op("nodes.read"),
          op("table.settle"),
          op("table.read"),
          op("table.read-settled"),
          op("recovery.decide"),
          op("placement.decide"),
          op("view.publish"),
        ),
      // The one way in which an armor begins anew: its operator says so.
      "armor.reset": (_state, thread) => {
        thread.insert(op("nodes.read"), op("table.read"), op("armor.reset-decide"));
      },
      "armor.reset-decide": (_state, thread) => {
        const named = String((thread.payload["args"] as { armor?: unknown }).armor ?? "");
        const armor = findArmor(named, thread.payload["table"] as { readonly [key: string]: Data });
        const present = (thread.payload["armors"] as unknown as readonly RegisteredArmor[]).find((one) => one.armor === armor);
        const nodes = thread.payload["nodes"] as unknown as readonly NodeView[];
        const node = nodes.find(({ id }) => id === present?.node);
        if (armor === undefined || !present || !node) throw new OperationError("refused", `there is no armor "${named}": see "armor status"`);
        if (present.role === "ftm" || present.role === "daemon") {
          const why = present.role === "ftm" ? "its state is the table of applications" : "it holds the promises of its node; start the node with an empty data dir instead";
          throw new OperationError("refused", `"${named}" cannot be reset: ${why}`);
        }
        if (node.state !== "alive") throw new OperationError("refused", `node "${node.name}" of "${named}" is ${node.state}: it cannot be reset now`);
        order(thread, thread.payload["epoch"] as Epoch, node.id, present.role, armor, present, true);
        for (const field of ["nodes", "armors", "epoch", "table"]) delete thread.payload[field];
        thread.payload["answer"] = { ok: true, changed: true, text: `"${named}" begins anew on node "${node.name}", without its state` };
      },
      // It runs, by its daemon's word, and the FTM does not hear it: in a new generation it is heard.
      "heartbeat.replace": (_state, thread) => {
        const armors = thread.payload["armors"] as unknown as readonly RegisteredArmor[];
        const present = armors.find(({ armor, state }) => armor === "heartbeat" && state === "running");
        if (!present) return;
        const { node } = present;
        const ordered = order(thread, thread.payload["epoch"] as Epoch, node, "heartbeat", "heartbeat");
        if (ordered) thread.event({ kind: "armor.hung", subject: "heartbeat", node, cause: "it does not answer the FTM", detectedBy: thread.self });
      },
      "recovery.decide": (_state, thread) => {
        const nodes = thread.payload["nodes"] as unknown as readonly NodeView[];
        const armors = thread.payload["armors"] as unknown as readonly RegisteredArmor[];
        const epoch = thread.payload["epoch"] as Epoch;
        const byId = new Map(armors.map((one) => [one.armor, one]));
        const find = (id: ArmorId): RegisteredArmor | undefined => byId.get(id);
        thread.setVolatile({ ...thread.volatile, nextMs: thread.nowMs + pauseAmongMany(nodes.length, 1 / timing.roundNodesPerMs) });
        const usable = nodes.filter(({ state, reported }) => state === "alive" && reported);
        // One that is to leave may just have joined: it has to say that nothing runs there.
        const leaving = nodes.filter(({ state, reported }) => state === "draining" && reported);
        for (const { id } of [...usable, ...leaving]) {
          const present = find(executionOf(id));
          if (!present || present.state === "recovering") order(thread, epoch, id, "execution", executionOf(id), present);
        }
        recoverHeartbeat(thread, epoch, usable, find("heartbeat"));
        recoverOwn(thread, epoch, nodes, armors);
      },
    },
  });

  /** Armors of the user's own: installed, recovered, and ended when they are no longer wanted. */
  function recoverOwn(thread: Recovering, epoch: Epoch, nodes: readonly NodeView[], armors: readonly RegisteredArmor[]): void {
    // Where they are is noted at once; what is to be done about it waits until enough nodes know what is wanted.
    const [table, settled] = [thread.payload["table"], thread.payload["settled"]] as [Table, Table | null];
    if (settled === null) return;
    const takenIn = thread.payload["takenIn"] as readonly string[];
    const { install, remove } = planOwnArmors({ nodes, armors, table: settled, takenIn, lastNode: (armor) => thread.volatile.orders.get(armor)?.node });
    const anew = new Set<ArmorId>();
    for (const { armor, name, node, before, forgotten } of install) {
      // A node that was away has brought back the entry of an armor whose removal is under way: nothing of it stays, not even its generation.
      const removed = thread.volatile.removing.has(armor);
      const ordered = order(thread, epoch, node, "own", armor, removed ? undefined : before);
      const cause = removed ? "began anew, it was being removed" : "began anew, its node had forgotten it";
      if (ordered) anew.add(armor);
      if (ordered && (forgotten || removed)) thread.event({ kind: "armor.rewound", subject: armor, name, node, cause });
    }
    for (const { armor, node } of remove) {
      const ops = [op("epoch.guard", daemonOf(node)), op("armor.remove", daemonOf(node))];
      thread.send({ ops, payload: { epoch, armor }, lane: "system" });
    }
    const { moved, change } = movedOwnArmors({ armors, table });
    for (const { armor, name, node, from } of moved) {
      thread.event({ kind: "armor.rewound", subject: armor, name, node, cause: "began anew, its checkpoint stayed behind", from });
    }
    if (Object.keys(change.set).length + change.unset.length > 0) {
      thread.send({ ops: [op("table.change"), op("table.commit")], payload: { change: change as unknown as Data }, lane: "system" });
    }
    const removing = new Map(remove.map(({ armor, incarnation }) => [armor, incarnation.placement]));
    // Wanted again, it is ended all the same: the order to do so is on its way, before any to begin anew.
    for (const { armor, incarnation } of armors) {
      if (thread.volatile.removing.get(armor) === incarnation.placement && !anew.has(armor)) removing.set(armor, incarnation.placement);
    }
    const ended = [...thread.volatile.removing.keys()].filter((id) => !removing.has(id));
    thread.setVolatile({ ...thread.volatile, removing });
    if (ended.length === 0) return;
    for (const id of ended) {
      thread.forgetPeer(id);
      thread.event({ kind: "armor.removed", subject: id, node: thread.volatile.orders.get(id)?.node ?? null });
    }
    for (const { armor } of armors) {
      if (armor !== thread.self) thread.send({ ops: [op("armor.forget", armor)], payload: { forget: ended }, lane: "system" });
    }
  }

  /** On a node other than the FTM's; as soon as there is one. */
  function recoverHeartbeat(
    thread: Recovering,
    epoch: Epoch,
    usable: readonly NodeView[],
    present: RegisteredArmor | undefined,
  ): void {
    const others = usable.filter(({ id }) => id !== self);
    if (others.length === 0) return;
    const inPlace = present && present.node !== self && others.some(({ id }) => id === present.node);
    if (inPlace && present.state !== "failed") {
      // One of before may be older than what the daemons have heard since, and could not lead the next takeover.
      if (thread.volatile.alone && present.generation && present.generation.epoch < epoch.number) {
        order(thread, epoch, present.node, "heartbeat", "heartbeat");
        return;
      }
      if (present.state === "recovering") order(thread, epoch, present.node, "heartbeat", "heartbeat", present);
      return;
    }
    const last = thread.volatile.orders.get("heartbeat");
    if (last && others.some(({ id }) => id === last.node) && thread.nowMs - last.atMs < repeatAfterMs) return;
    if (present) {
      thread.send({
        ops: [op("epoch.guard", daemonOf(present.node)), op("armor.remove", daemonOf(present.node))],
        payload: { epoch, armor: "heartbeat", placement: present.incarnation.placement },
        lane: "system",
      });
    }
    // One that has failed for good is not put where it failed, if there is another place.
    const failedOn = present?.state === "failed" ? present.node : "";
    const target = [...others].sort((a, b) => Number(a.id === failedOn) - Number(b.id === failedOn) || (a.id < b.id ? -1 : 1))[0]!;
    order(thread, epoch, target.id, "heartbeat", "heartbeat");
  }
}
