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
import { compareEpochs, compareGenerations, type Epoch, epochZero } from "../../core/generation.ts";
import { pauseAmongMany, timing } from "../../core/limits.ts";
import { type Failure, opFailed } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { type ArmorReport, daemonOf, executionOf, hasMajority, nodeOf, type NodeRegistration, type NodeState } from "../shapes.ts";
import type { LivenessChange, LivenessTarget } from "./liveness_poll.ts";
import { countAgainMs, joinersWith, mayChange, nodeChangeHandlers } from "./node_changes.ts";
import { isJoining, type NodeView, type Registering, type Registry, setNode } from "./node_view.ts";
import { wrongRegistry } from "./state_checks.ts";
import { compareVersions } from "./table_version.ts";
import type { FtmBegin } from "./takeover.ts";

/** A node that is to leave, and perhaps the last that lives, waits so long before it looks again. */
const drainedAgainMs = 1_000;
/** Programs that were told to end have ended by their grace and this. */
const clearWithinMs = 2_000;
/** @param self The FTM's own node. */
export function registration(self: string): Element {
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
      // This FTM is the one of its own node; what another node says is of one before, or of the other side of a partition.
      if (report.armor === "ftm" && node !== self) continue;
      const other = armors.get(report.armor);
      if (other && comparePlaced(other, report) > 0) continue;
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

  const admit = (thread: Registering, registration: NodeRegistration): void => {
    const { id, name, address } = registration;
    const before = thread.volatile.nodes.get(id);
    // One that has left may have forgotten everything about it.
    const fresh = !before || before.state === "left";
    thread.payload["wanted"] = registration;
    const { changing, nodes, joinedAtMs } = thread.volatile;
    const pauseMs = before ? 0 : joinedAtMs + pauseAmongMany(nodes.size, timing.joinPausePerNodeMs) - thread.nowMs;
    if (pauseMs > 0) thread.after("join", pauseMs, "node.join-waiting");
    if (isJoining(before) || pauseMs > 0 || (fresh && changing !== null && changing !== id && changing !== "takeover")) {
      if (!before) thread.setVolatile({ ...thread.volatile, joiners: new Map(thread.volatile.joiners).set(id, { ...registration, askedAtMs: thread.nowMs }) });
      return thread.insert(op("node.await-change"), op("node.join-again"));
    }
    // It was taken in together with another.
    if (thread.payload["awaited"] === true && before?.state === "alive" && before.address === address && before.name === name) return;
    if (fresh && !mayChange(thread, id, "node.join-again")) return;
    const together = before ? [] : joinersWith(thread, registration);
    const joining = together.length > 0;
    // If this thread does not live to do it.
    if (joining) thread.after("count", countAgainMs, "node.count-all");
    // Said once more while it is to leave, that stays so.
    const draining = !fresh && before.draining;
    for (const one of [registration, ...together]) {
      setNode(thread, {
        id: one.id, name: one.name, address: one.address, state: draining ? "draining" : "alive", draining, reported: !before, plannedUntilMs: 0, replaced: false,
        elements: before?.elements ?? false, full: before?.full ?? false, ...(joining && { joining }),
      });
      if (fresh) thread.event({ kind: "node.joined", subject: one.name, node: one.id });
      announce(thread, one.id);
    }
    const entries = [registration, ...together].map((one) => ({ id: one.id, name: one.name, address: one.address, draining, left: false, ...(joining && { joining }) }));
    thread.payload["registrations"] = entries;
    thread.payload["targets"] = entries.filter((one) => one.id !== self).map(target);
    const counted = joining ? [op("node.count")] : [];
    const settled = fresh ? [op("node.settled")] : [];
    thread.insert(op("liveness.watch"), op("node.register"), op("table.commit"), ...counted, ...settled, op("cluster.changed"));
  };

  /** States of the other members. */
  const others = (thread: Registering): NodeState[] =>
    [...thread.volatile.nodes.values()].filter(({ id, state }) => id !== self && state !== "left").map(({ state }) => state);

  /** All others have failed: it ends and stays a member. The cluster would else have none but them, and if their disks are gone nobody could lead it again. */
  const isLastToLive = (thread: Registering): boolean => others(thread).length > 0 && others(thread).every((state) => state === "failed");

  /** Of no other member it is certain that it lives, and of one not that it does not. */
  const mayBeLast = (thread: Registering): boolean => others(thread).includes("suspect") && others(thread).every((state) => state === "failed" || state === "suspect");

  /** Another node of this name. */
  const named = (thread: Registering, wanted: string, except: string): NodeView | undefined =>
    [...thread.volatile.nodes.values()].find(({ name, id, state }) => name === wanted && id !== except && state !== "left");

  /** Does anybody else than the one at `except` answer where this node is registered? */
  const lookFor = (thread: Registering, { id, address }: NodeView, except: string, then: string): void => {
    Object.assign(thread.payload, { subject: id, address, except });
    thread.insert(op("node.probe", daemonOf(self)), op(then, thread.self));
  };

  /** Its name was given to another node while it was away: what runs on it ends, and so does it. */
  const sendAway = (thread: Registering, before: NodeView, address: string): NodeView => {
    const node: NodeView = { ...before, address, state: "draining", draining: true, reported: false };
    setNode(thread, node);
    announce(thread, node.id);
    thread.payload["targets"] = [target({ id: node.id, address })];
    thread.insert(op("liveness.watch"), op("cluster.changed"));
    return node;
  };

  return element<DataRecord, Registry>({
    name: "registration",
    version: 1,
    state: {},
    volatile: () => ({ epoch: epochZero, nodes: new Map(), armors: new Map(), changing: null, joiners: new Map(), waiting: [], joinedAtMs: -Infinity }),
    blocking: ["node.await-change"],
    check: (_state, { nodes, armors }) => wrongRegistry(nodes, armors),
    handlers: {
      "ftm.begin": (_state, thread) => {
        const { epoch, reports, dead, avoid } = thread.payload["begin"] as unknown as FtmBegin;
        // As the application table takes them up: what only an older copy has, and else what the freshest says.
        const copies = reports.map(({ table }) => table).toSorted((a, b) => compareVersions(a.version, b.version));
        const entries = Object.assign({}, ...copies.map((copy) => copy.entries)) as { [key: string]: Data };
        const nodes = new Map<string, NodeView>();
        for (const [key, value] of Object.entries(entries)) {
          if (!key.startsWith("node:")) continue;
          const { id, name, address, left, draining, replaced = false, joining = false } = value as NodeRegistration;
          const reported = reports.some(({ node }) => node === id);
          const absent = avoid.includes(id) && !draining;
          const state = left ? "left" : !reported || absent ? "suspect" : draining ? "draining" : "alive";
          const plannedUntilMs = absent ? thread.nowMs + timing.plannedAbsenceMs : 0;
          const elements = reports.some((report) => report.node === id && report.allowElements);
          const full = reports.some((report) => report.node === id && report.full === true);
          nodes.set(id, { id, name, address, reported, state, draining, plannedUntilMs, replaced, elements, full, ...(joining && { joining }) });
        }
        if ([...nodes.values()].some(isJoining)) thread.after("count", 0, "node.count-all");
        // The FTM before may have left a change half stored.
        thread.setVolatile({ ...thread.volatile, epoch, nodes, changing: "takeover" });
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
        const { promised, promiser } = thread.payload as { promised?: Epoch; promiser?: string };
        if (!promised || compareEpochs(promised, thread.volatile.epoch) <= 0) return;
        const isMember = promiser === undefined || (thread.volatile.nodes.get(promiser)?.state ?? "left") !== "left";
        if (isMember) return thread.insert(op("epoch.over"));
        // Nobody will ask that node before the successor begins.
        thread.send({ ops: [op("epoch.raise", daemonOf(self)), op("epoch.over", thread.self)], payload: { promised }, lane: "system" });
      },
      "epoch.over": (_state, thread) => {
        thread.command({ kind: "exit", args: { text: `epoch ${(thread.payload["promised"] as Epoch).number} has been promised` } });
      },
      // A daemon that lost a part of its state promises more than it may have promised before: it says how much.
      [opFailed]: (_state, thread) => {
        const { code, armor } = thread.payload["failure"] as Failure;
        if (code === "stale-epoch" && armor.startsWith("daemon@")) announce(thread, nodeOf(armor));
      },
      "armors.told": (_state, thread) => {
        const { node: id, armors, allowElements = false, full = false } = thread.payload as unknown as { node: string; armors: ArmorReport[]; allowElements?: boolean; full?: boolean };
        let node = thread.volatile.nodes.get(id);
        if (!node || (node.state === "left" && !node.replaced)) return;
        if (node.replaced && node.state !== "draining") node = sendAway(thread, node, node.address);
        // Held dead by the leader of the takeover, it speaks: a poll that found it alive from the start says nothing.
        const silent = node.state === "suspect" && !node.reported && node.plannedUntilMs === 0;
        setNode(thread, { ...node, reported: true, elements: allowElements, full, state: silent ? back(node) : node.state });
        for (const report of armors) {
          const { armor, incarnation } = report;
          const other = thread.volatile.armors.get(armor);
          if (!other || other.node === id || comparePlaced(other, report) === 0) continue;
          // Of two copies the later placement stays, whichever node speaks first.
          const [loser, { placement }] = comparePlaced(other, report) > 0 ? [id, incarnation] : [other.node, other.incarnation];
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
        const same = named(thread, wanted.name, wanted.id);
        if (thread.volatile.nodes.get(wanted.id)?.replaced) throw new OperationError("refused", givenAway(wanted.name));
        if (!same) return admit(thread, wanted);
        if (same.id === self) throw new OperationError("refused", taken(same));
        // A known name with a new id: one that has lost its data dir, unless the old one still answers.
        thread.payload["wanted"] = wanted;
        lookFor(thread, same, wanted.address, "node.join-looked");
      },
      "node.join-looked": (_state, thread) => {
        const node = thread.volatile.nodes.get(thread.payload["subject"] as string)!;
        const { id, name, address, state } = node;
        if (state === "left") return thread.insert(op("node.join-again"));
        if (thread.payload["answered"] === true) throw new OperationError("refused", taken(node));
        // It had said that it would be away for a while; another in its place says that it does not come back.
        if (thread.nowMs < node.plannedUntilMs) {
          setNode(thread, { ...node, plannedUntilMs: 0 });
          thread.payload["silentMs"] = -1;
          return thread.insert(op("node.confirmed-failed"), op("node.join-again"));
        }
        if (!mayChange(thread, id, "node.join-again")) return;
        // The old one leaves first, and counts until that is stored.
        thread.payload["registration"] = { id, name, address, draining: false, left: true, replaced: true };
        thread.insert(op("node.register"), op("table.commit"), op("node.settled"), op("node.replace"));
      },
      // It inherits nothing.
      "node.replace": (_state, thread) => {
        const node = thread.volatile.nodes.get(thread.payload["subject"] as string)!;
        thread.insert(op("node.join-again"));
        if (node.state === "left") return;
        setNode(thread, { ...node, state: "left", draining: false, replaced: true, reported: false });
        setArmors(thread, node.id, []);
        thread.event({ kind: "node.replaced", subject: node.name, node: node.id, by: (thread.payload["wanted"] as NodeRegistration).id });
        thread.payload["unwatch"] = [`guard@${node.id}`];
        thread.insert(op("liveness.unwatch"));
      },
      // What was found out may be old.
      "node.join-again": (_state, thread) => {
        thread.payload["registration"] = thread.payload["wanted"]!;
        thread.insert(op("node.join"));
      },
      // Another FTM has taken in nodes while its side could not be reached.
      "nodes.merged": (_state, thread) => {
        const merged = thread.payload["merged"] as NodeRegistration[];
        delete thread.payload["merged"];
        const came = merged.filter(({ id, left }) => !left && !thread.volatile.nodes.has(id));
        for (const { id, name, address, draining, replaced = false, joining = false } of came) {
          setNode(thread, { id, name, address, draining, state: "suspect", reported: false, plannedUntilMs: 0, replaced, elements: false, full: false, ...(joining && { joining }) });
          announce(thread, id);
        }
        if (came.some(({ joining }) => joining)) thread.after("count", countAgainMs, "node.count-all");
        thread.payload["targets"] = came.map(target);
        thread.insert(op("liveness.watch"));
      },
      ...nodeChangeHandlers,
      // A registered daemon has found a new FTM, or has restarted, perhaps elsewhere.
      "node.hello": (_state, thread) => {
        const { id, address } = thread.payload["registration"] as NodeRegistration;
        const node = thread.volatile.nodes.get(id);
        if (!node && thread.payload["sighted"] === true) return;
        if (!node) return thread.insert(op("node.join"));
        // One id at two addresses: a copied data dir, unless the node is silent where it was.
        if (node.address !== address) return lookFor(thread, node, address, "node.hello-looked");
        thread.payload["subject"] = id;
        thread.insert(op("node.spare"), op("node.greet"));
      },
      "node.hello-looked": (_state, thread) => {
        const { address } = thread.volatile.nodes.get(thread.payload["subject"] as string)!;
        if (thread.payload["answered"] === true && thread.payload["sighted"] === true) return thread.finish();
        if (thread.payload["answered"] === true) throw new OperationError("copied", `cannot start: the node of this data dir answers at ${address}; a data dir belongs to one node: start with an empty one`);
        // The others, if they are being asked about it, are asked where it was.
        thread.insert(op("node.spare"), op("node.greet"));
      },
      "node.greet": (_state, thread) => {
        const { id, address } = thread.payload["registration"] as NodeRegistration;
        const node = thread.volatile.nodes.get(id);
        if (!node) return;
        const { name } = node;
        const sighted = thread.payload["sighted"] === true;
        if (sighted && node.state === "left") return;
        if (node.replaced) {
          sendAway(thread, node, address);
          return;
        }
        if (node.state === "left") {
          const other = named(thread, name, id);
          if (thread.payload["returning"] !== true) {
            // It has not heard, or has crashed before it had ended. One that was replaced while it was cut off runs programs yet.
            if (other) clear(thread, id);
            thread.after(`dismiss ${id}`, other ? timing.stopGraceMs + clearWithinMs : 0, "node.dismiss", { subject: id });
            return;
          }
          if (other) throw new OperationError("refused", `${taken(other)} since this one left: start it with an empty data dir under another name`);
          // Started again after it had left, it belongs to the cluster once more.
          return admit(thread, { id, name, address, draining: false, left: false });
        }
        if (!sighted && (node.plannedUntilMs > 0 || node.state === "failed")) {
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
        thread.event({ kind: "node.moved", subject: name, node: id, from: node.address, address });
        thread.payload["registration"] = { id, name, address, draining: node.draining, left: false, ...(node.joining && { joining: true }) };
        thread.payload["targets"] = id === self ? [] : [target({ id, address })];
        thread.insert(op("liveness.watch"), op("node.register"), op("table.commit"), op("cluster.changed"));
      },
      "node.leaving": (_state, thread) => {
        const node = thread.volatile.nodes.get(thread.payload["node"] as string);
        // One that has left, or is held dead, would count again and be watched by nobody.
        if (!node || node.state === "left" || node.state === "failed") return;
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
        thread.payload["registration"] = { id, name, address, draining: true, left: false, ...(node.joining && { joining: true }) };
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
        if (thread.volatile.changing === id && thread.payload["again"] !== true) return thread.finish();
        if (id === self && mayBeLast(thread)) {
          thread.after(`drained ${id}`, drainedAgainMs, "node.drained", { subject: id, again: true });
          return thread.finish();
        }
        if (!mayChange(thread, id, "node.drained")) return;
        // If it is not stored in time.
        thread.after(`drained ${id}`, timing.operatorDeadlineMs, "node.drained", { subject: id, again: true });
        const { name, address, replaced } = node;
        const left = id !== self || !isLastToLive(thread);
        thread.payload["registration"] = { id, name, address, draining: false, left, ...(replaced && { replaced }) };
        thread.insert(op("node.register"), op("table.commit"), op("node.settled"), op(left ? "node.gone" : "node.dismiss"));
      },
      "node.gone": (_state, thread) => {
        const node = thread.volatile.nodes.get(thread.payload["subject"] as string)!;
        if (node.state === "left") return thread.finish();
        if (node.id === self && isLastToLive(thread)) {
          // The others have failed while its leaving was being stored.
          const { id, name, address } = node;
          thread.payload["registration"] = { id, name, address, draining: false, left: false };
          return thread.insert(op("node.register"), op("table.commit"), op("node.dismiss"));
        }
        setNode(thread, { ...node, state: "left", draining: false });
        setArmors(thread, node.id, []);
        thread.payload["unwatch"] = [`guard@${node.id}`];
        thread.event({ kind: "node.left", subject: node.name, node: node.id });
        thread.insert(op("liveness.unwatch"), op("node.dismiss"), op("cluster.changed"));
      },
      "node.dismiss": (_state, thread) => {
        const id = thread.payload["subject"] as string;
        const node = thread.volatile.nodes.get(id);
        const payload = { epoch: thread.volatile.epoch, text: node?.replaced ? givenAway(node.name) : null };
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
        const accused = (node.state === "alive" || node.state === "draining") && !node.replaced ? 1 : 0;
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

const taken = ({ name, address }: NodeView): string => `node name "${name}" is taken by a running node at ${address}`;
const givenAway = (name: string): string => `node name "${name}" was given to another node while this one was away: start with an empty data dir and another name`;

/**
 * Which copy of an armor was placed later; 0: it is the same placement. Two FTMs that did not hear each other count on
 * from the same number: there the generation says it, as channels understand it. They listen to no older one.
 */
function comparePlaced(a: ArmorReport, b: ArmorReport): number {
  const order = a.incarnation.placement - b.incarnation.placement;
  if (order === 0 || !a.generation || !b.generation) return order;
  return compareGenerations(a.generation, b.generation) || order;
}
