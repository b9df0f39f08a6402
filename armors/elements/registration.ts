/**
 * Registration: the FTM's knowledge of nodes and armors. Source: it "maintains
 * registration information on all armor objects". Which nodes are registered is
 * part of the application table; their state and their armors are volatile and
 * rebuilt from the daemons' reports at every takeover.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { compareEpochs, type Epoch, epochZero } from "../../core/generation.ts";
import { timing } from "../../core/limits.ts";
import { type Failure, opFailed } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { type ArmorReport, daemonOf, executionOf, hasMajority, nodeOf, type NodeRegistration, type NodeState } from "../shapes.ts";
import type { LivenessChange, LivenessTarget } from "./liveness_poll.ts";
import type { FtmBegin } from "./takeover.ts";

/** A node as other elements of the FTM see it; payload field `nodes`. */
export type NodeView = {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly state: NodeState;
  /** `armor down` was acknowledged; it stays true while the node is away. */
  readonly draining: boolean;
  /** Its daemon has reported to this FTM. */
  readonly reported: boolean;
  /** Until then a silent node is only suspect. */
  readonly plannedUntilMs: number;
  /** It takes elements by message. */
  readonly elements: boolean;
};

/** An armor with its node; payload field `armors`. */
export type RegisteredArmor = ArmorReport & { readonly node: string };

type Volatile = {
  readonly epoch: Epoch;
  readonly nodes: ReadonlyMap<string, NodeView>;
  readonly armors: ReadonlyMap<string, RegisteredArmor>;
};
type Registering = Thread<Volatile>;

/** Programs that were told to end have ended by their grace and this. */
const clearWithinMs = 2_000;

/** @param self The FTM's own node. */
export function registration(self: string): Element {
  const setNode = (thread: Registering, node: NodeView): void =>
    thread.setVolatile({ ...thread.volatile, nodes: new Map(thread.volatile.nodes).set(node.id, node) });

  const target = ({ id, address }: Pick<NodeView, "id" | "address">): LivenessTarget => ({
    id: `guard@${id}`,
    address,
    suspectMisses: timing.nodeSuspectMisses,
    failedMisses: timing.nodeFailedMisses,
  });

  const announce = (thread: Registering, id: string, deadlineMs?: number): void => {
    const { epoch, nodes } = thread.volatile;
    const payload = { ftm: { epoch, node: self }, address: nodes.get(self)?.address ?? null };
    const ops = [op("epoch.announce", daemonOf(id)), op("armors.tell", daemonOf(id)), op("epoch.announced", thread.self)];
    thread.send({ ops, payload, lane: "system", ...(deadlineMs !== undefined && { deadlineMs }) });
  };

  /** Nothing is to run there. */
  const clear = (thread: Registering, id: string): void => {
    const ops = [op("epoch.guard", executionOf(id)), op("instances.assign", executionOf(id))];
    thread.send({ ops, payload: { epoch: thread.volatile.epoch, instances: [] }, lane: "system" });
  };

  /** In reach again. */
  const back = ({ draining }: NodeView): NodeState => draining ? "draining" : "alive";

  const setArmors = (thread: Registering, node: string, reports: readonly ArmorReport[]): void => {
    const armors = new Map(thread.volatile.armors);
    for (const [id, { node: at }] of armors) if (at === node) armors.delete(id);
    for (const report of reports) {
      const other = armors.get(report.armor);
      if (other && other.incarnation.placement > report.incarnation.placement) continue;
      armors.set(report.armor, { ...report, node });
    }
    thread.setVolatile({ ...thread.volatile, armors });
  };

  const changed = (thread: Registering): void => thread.insert(op("cluster.changed"));

  /** The FTM's own node is to be absent: another FTM takes over first, if there is a node for it. */
  const handOver = (thread: Registering, id: string): void => {
    if (id !== self || ![...thread.volatile.nodes.values()].some((node) => node.id !== self && node.state === "alive")) return;
    const payload = { gone: thread.volatile.epoch, avoid: [self] };
    thread.send({ ops: [op("ftm.hand-over", "heartbeat")], payload, lane: "system", deadlineMs: timing.takeoverRetryMs });
  };

  return element<DataRecord, Volatile>({
    name: "registration",
    version: 1,
    state: {},
    volatile: () => ({ epoch: epochZero, nodes: new Map(), armors: new Map() }),
    handlers: {
      "ftm.begin": (_state, thread) => {
        const { epoch, reports, dead, avoid } = thread.payload["begin"] as unknown as FtmBegin;
        const entries = Object.assign({}, ...reports.map(({ table }) => table.entries)) as { [key: string]: Data };
        const nodes = new Map<string, NodeView>();
        for (const [key, value] of Object.entries(entries)) {
          if (!key.startsWith("node:")) continue;
          const { id, name, address, left, draining } = value as NodeRegistration;
          const reported = reports.some(({ node }) => node === id);
          const absent = avoid.includes(id) && !draining;
          const state = left ? "left" : !reported || absent ? "suspect" : draining ? "draining" : "alive";
          const plannedUntilMs = absent ? thread.nowMs + timing.plannedAbsenceMs : 0;
          const elements = reports.some((report) => report.node === id && report.allowElements);
          nodes.set(id, { id, name, address, reported, state, draining, plannedUntilMs, elements });
        }
        thread.setVolatile({ ...thread.volatile, epoch, nodes });
        for (const report of reports) setArmors(thread, report.node, report.armors);
        const others = [...nodes.values()].filter(({ id, state }) => id !== self && state !== "left");
        // One that has left may not have been told so by the FTM before; most are off.
        for (const { id, state } of nodes.values()) announce(thread, id, state === "left" ? timing.takeoverRetryMs : undefined);
        thread.payload["targets"] = others.map(target);
        thread.payload["subjects"] = others.filter(({ id }) => dead.includes(id)).map(({ id }) => id);
        thread.payload["withinMs"] = timing.probeWithinMs;
        thread.insert(op("liveness.watch"), op("node.confirm"), op("cluster.changed"));
      },
      // A daemon has promised a higher epoch: this FTM is over, and its successor starts above that.
      "epoch.announced": (_state, thread) => {
        const promised = thread.payload["promised"] as Epoch | undefined;
        if (promised && compareEpochs(promised, thread.volatile.epoch) > 0) {
          thread.command({ kind: "exit", args: { text: `epoch ${promised.number} has been promised` } });
        }
      },
      // A daemon that lost a part of its state promises more than it may have promised before: it says how much.
      [opFailed]: (_state, thread) => {
        const { code, armor } = thread.payload["failure"] as Failure;
        if (code === "stale-epoch" && armor.startsWith("daemon@")) announce(thread, nodeOf(armor));
      },
      "armors.told": (_state, thread) => {
        const { node: id, armors, allowElements = false } = thread.payload as unknown as { node: string; armors: ArmorReport[]; allowElements?: boolean };
        const node = thread.volatile.nodes.get(id);
        if (!node || node.state === "left") return;
        // Held dead by the leader of the takeover, it speaks: a poll that found it alive from the start says nothing.
        const silent = node.state === "suspect" && !node.reported && node.plannedUntilMs === 0;
        setNode(thread, { ...node, reported: true, elements: allowElements, state: silent ? back(node) : node.state });
        for (const { armor, incarnation } of armors) {
          const other = thread.volatile.armors.get(armor);
          if (!other || other.node === id || other.incarnation.placement === incarnation.placement) continue;
          // Of two copies the later placement stays, whichever node speaks first.
          const [loser, { placement }] = other.incarnation.placement > incarnation.placement ? [id, incarnation] : [other.node, other.incarnation];
          thread.send({
            ops: [op("epoch.guard", daemonOf(loser)), op("armor.remove", daemonOf(loser))],
            payload: { epoch: thread.volatile.epoch, armor, placement },
            lane: "system",
          });
        }
        setArmors(thread, id, armors);
        changed(thread);
      },
      "node.join": (_state, thread) => {
        const wanted = thread.payload["registration"] as NodeRegistration;
        const same = [...thread.volatile.nodes.values()].find(({ name, id }) => name === wanted.name && id !== wanted.id);
        if (same && (same.state === "alive" || same.state === "draining")) {
          throw new OperationError("refused", `node name "${wanted.name}" is taken by a running node at ${same.address}`);
        }
        const nodes = new Map(thread.volatile.nodes);
        if (same) {
          // A known name with a new id: a new node that inherits nothing.
          nodes.delete(same.id);
          const { id, name, address } = same;
          thread.payload["replaced"] = { [`node:${id}`]: { id, name, address, draining: false, left: true } };
        }
        const { id, name, address } = wanted;
        const before = nodes.get(id);
        nodes.set(id, { id, name, address, state: "alive", draining: false, reported: true, plannedUntilMs: 0, elements: before?.elements ?? false });
        thread.setVolatile({ ...thread.volatile, nodes });
        if (!before) thread.event({ kind: "node.joined", subject: name, node: id });
        announce(thread, id);
        thread.payload["targets"] = [target(wanted)];
        thread.insert(op("liveness.watch"), op("node.register"), op("table.commit"), op("cluster.changed"));
      },
      // A registered daemon has found a new FTM, or has restarted, perhaps elsewhere.
      "node.hello": (_state, thread) => {
        const { id, name, address } = thread.payload["registration"] as NodeRegistration;
        const node = thread.volatile.nodes.get(id);
        const other = [...thread.volatile.nodes.values()].find((one) => one.name === name && one.id !== id && one.state !== "left");
        if (!node && !other) return;
        if (!node || node.state === "left") {
          if (thread.payload["returning"] !== true) {
            // It has not heard, or has crashed before it had ended. One that was replaced while it was cut off runs programs yet.
            if (other) clear(thread, id);
            thread.after(`dismiss ${id}`, other ? timing.stopGraceMs + clearWithinMs : 0, "node.dismiss", { subject: id });
            return;
          }
          if (!node || other) {
            throw new OperationError("refused", `node name "${name}" is taken by the node at ${other?.address} since this one left: start it with an empty data dir under another name`);
          }
          // Started again after it had left, it belongs to the cluster once more.
          setNode(thread, { ...node, state: "alive", draining: false, address, reported: false, plannedUntilMs: 0 });
          thread.event({ kind: "node.joined", subject: name, node: id });
          announce(thread, id);
          thread.payload["registration"] = { id, name, address, draining: false, left: false };
          thread.payload["targets"] = id === self ? [] : [target({ id, address })];
          thread.insert(op("liveness.watch"), op("node.register"), op("table.commit"), op("cluster.changed"));
          return;
        }
        if (node.plannedUntilMs > 0 || node.state === "failed") {
          if (node.state === "failed") {
            thread.event({ kind: "node.returned", subject: name, node: id });
            // What it told while it was held dead does not count; it tells it again.
            announce(thread, id);
          }
          setNode(thread, { ...node, state: back(node), reported: node.state !== "failed" && node.reported, plannedUntilMs: 0 });
          changed(thread);
        }
        if (node.address === address) return;
        setNode(thread, { ...thread.volatile.nodes.get(id)!, address });
        thread.payload["registration"] = { id, name, address, draining: node.draining, left: false };
        thread.payload["targets"] = [target({ id, address })];
        thread.insert(op("liveness.watch"), op("node.register"), op("table.commit"), op("cluster.changed"));
      },
      "node.leaving": (_state, thread) => {
        const node = thread.volatile.nodes.get(thread.payload["node"] as string);
        if (!node) return;
        setNode(thread, { ...node, state: "suspect", plannedUntilMs: thread.nowMs + timing.plannedAbsenceMs });
        thread.event({ kind: "node.suspected", subject: node.name, node: node.id, cause: "planned absence" });
        handOver(thread, node.id);
        changed(thread);
      },
      "node.down": (_state, thread) => {
        const id = (thread.payload["args"] as { node?: string }).node ?? thread.payload["node"] as string;
        const node = thread.volatile.nodes.get(id);
        if (!node) throw new OperationError("refused", `there is no node "${id}"`);
        if (node.state === "left") {
          thread.payload["answer"] = { ok: true, changed: false };
          return;
        }
        if (node.state !== "draining") thread.event({ kind: "node.draining", subject: node.name, node: id });
        setNode(thread, { ...node, state: "draining", draining: true });
        const { name, address } = node;
        thread.payload["registration"] = { id, name, address, draining: true, left: false };
        thread.payload["answer"] = { ok: true, changed: true };
        thread.payload["subject"] = id;
        thread.insert(op("node.register"), op("table.commit"), op("node.hand-over"), op("cluster.changed"));
      },
      "node.hand-over": (_state, thread) => handOver(thread, thread.payload["subject"] as string),
      // Nothing runs on it any more: it may end.
      "node.drained": (_state, thread) => {
        const id = thread.payload["subject"] as string;
        const node = thread.volatile.nodes.get(id);
        if (!node || node.state !== "draining") {
          thread.finish();
          return;
        }
        const { name, address } = node;
        setNode(thread, { ...node, state: "left", draining: false });
        setArmors(thread, id, []);
        thread.payload["registration"] = { id, name, address, draining: false, left: true };
        thread.payload["unwatch"] = [`guard@${id}`];
        thread.event({ kind: "node.left", subject: name, node: id });
        thread.insert(op("liveness.unwatch"), op("node.register"), op("table.commit"), op("node.dismiss"), op("cluster.changed"));
      },
      "node.dismiss": (_state, thread) => {
        const id = thread.payload["subject"] as string;
        const payload = { epoch: thread.volatile.epoch };
        thread.send({ ops: [op("epoch.guard", daemonOf(id)), op("membership.end", daemonOf(id))], payload, lane: "system" });
      },
      "liveness.changed": (_state, thread) => {
        for (const { id, liveness, silentMs } of thread.payload["changes"] as LivenessChange[]) {
          const node = thread.volatile.nodes.get(id.slice("guard@".length));
          if (!node || node.state === "left" || !id.startsWith("guard@")) continue;
          if (liveness === "suspect" && node.state === "alive") {
            setNode(thread, { ...node, state: "suspect" });
            thread.event({ kind: "node.suspected", subject: node.name, node: node.id, durationMs: silentMs });
            changed(thread);
          } else if (liveness === "failed") {
            thread.payload["subjects"] = [...(thread.payload["subjects"] as string[] ?? []), node.id];
            thread.insert(op("node.confirm"));
          } else if (liveness === "alive" && node.state !== "alive" && node.state !== "draining") {
            if (node.state === "failed") thread.event({ kind: "node.returned", subject: node.name, node: node.id });
            // It tells its armors again: one of them may have been placed elsewhere meanwhile.
            announce(thread, node.id);
            setNode(thread, { ...node, state: back(node), reported: node.state !== "failed" && node.reported, plannedUntilMs: 0 });
            changed(thread);
          }
        }
      },
      "node.confirmed-failed": (_state, thread) => {
        const { subject, silentMs } = thread.payload as { subject: string; silentMs: number };
        const node = thread.volatile.nodes.get(subject);
        if (!node || node.state === "failed" || node.state === "left") return;
        if (thread.nowMs < node.plannedUntilMs) return;
        const accused = node.state === "alive" || node.state === "draining" ? 1 : 0;
        if (!hasMajority([...thread.volatile.nodes.values()], accused)) return;
        setNode(thread, { ...node, state: "failed", reported: false });
        const armors = new Map(thread.volatile.armors);
        for (const [id, { node: at }] of armors) if (at === subject) armors.delete(id);
        thread.setVolatile({ ...thread.volatile, armors });
        thread.event({ kind: "node.failed", subject: node.name, node: subject, detectedBy: "ftm", durationMs: silentMs < 0 ? null : silentMs });
        thread.payload["heldFailed"] = `guard@${subject}`;
        thread.insert(op("liveness.held-failed"));
        changed(thread);
      },
      "nodes.read": (_state, thread) => {
        thread.payload["nodes"] = [...thread.volatile.nodes.values()];
        thread.payload["armors"] = [...thread.volatile.armors.values()];
        thread.payload["epoch"] = thread.volatile.epoch;
      },
    },
  });
}
