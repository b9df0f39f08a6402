/**
 * FTM watch: how a daemon follows the FTM. It polls the FTM's liveness, so that
 * it knows whether to vote it out; when the FTM is lost it tells the heartbeat
 * armor, and where no heartbeat armor acts it leads the takeover itself.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { type Epoch, epochZero } from "../../core/generation.ts";
import { timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import { patienceMs } from "../../core/restart_policy.ts";
import { daemonOf, type NodeRegistration, type NodeReport } from "../shapes.ts";
import type { FtmLocation } from "./epoch_promise.ts";
import type { LivenessChange } from "./liveness_poll.ts";
import type { TakeoverRequest } from "./takeover.ts";

/** `ftm`: its node, as announced; a view may still tell of one before it. `prepared`: promises asked for since. */
type Volatile = { readonly ftm: string | null; readonly gone: Epoch | null; readonly silent: boolean; readonly heartbeat: string | null; readonly dead: readonly string[]; readonly absent: readonly string[]; readonly startedMs: number; readonly prepared: number };

/** The heartbeat armor has this long to begin before a daemon leads; longer when nobody testifies. */
const heartbeatActsWithinMs = 600;
/** A daemon that started this recently takes the other nodes to be starting too. */
const startingMs = 5_000;
const silenceMs = 2_000;
/** A node that was taken out of the cluster, and was started again, looks for the others so long before it acts alone. */
const returnsAloneMs = 10_000;

/** @param bootstrap This node starts a cluster of its own. */
export function ftmWatch(node: { readonly id: string; readonly name: string; readonly address: string }, bootstrap: boolean): Element {
  const self: NodeRegistration = { ...node, draining: false, left: false };

  const lead = (thread: Thread<Volatile>, delayMs: number): void =>
    thread.after("lead", delayMs, "ftm.lead");

  const watch = (thread: Thread<Volatile>, address: string): void => {
    thread.payload["targets"] = [{ id: "ftm", address, suspectMisses: timing.nodeSuspectMisses, failedMisses: timing.heartbeatMisses }];
    thread.insert(op("liveness.watch"));
  };

  /** Nodes in the table. */
  const registered = (thread: Thread<Volatile>): NodeRegistration[] =>
    Object.entries(thread.payload["table"] as { [key: string]: Data }).filter(([key]) => key.startsWith("node:")).map(([, value]) => value as NodeRegistration);

  return element<DataRecord, Volatile>({
    name: "ftm_watch",
    version: 1,
    state: {},
    volatile: () => ({ ftm: null, gone: null, silent: false, heartbeat: null, dead: [], absent: [], startedMs: 0, prepared: 0 }),
    handlers: {
      "armor.started": (_state, thread) => {
        thread.setVolatile({ ...thread.volatile, startedMs: thread.nowMs });
        thread.after("first", 0, "ftm.expect");
      },
      // Nobody has announced himself yet: bootstrap at once, otherwise wait for the others.
      "ftm.expect": (_state, thread) => {
        thread.insert(op("epoch.read"), op("ftm.expect-epoch"));
      },
      "ftm.expect-epoch": (_state, thread) => {
        const { ftm, promised } = thread.payload["epochs"] as { ftm: FtmLocation | null; promised: Epoch };
        if (bootstrap && promised.number === 0) lead(thread, 0);
        else if (!ftm && promised.number > 0) lead(thread, timing.coldStartWaitMs + thread.random.below(1_000));
      },
      "ftm.changed": (_state, thread) => {
        const ftm = thread.payload["ftm"] as FtmLocation;
        thread.cancel("lead");
        thread.setVolatile({ ...thread.volatile, ftm: ftm.node, gone: null, silent: false, prepared: 0 });
        if (ftm.node === node.id) return;
        thread.insert(op("table.read"), op("ftm.follow"));
      },
      "ftm.follow": (_state, thread) => {
        const ftm = thread.payload["ftm"] as FtmLocation;
        const registration = (thread.payload["table"] as { [key: string]: Data })[`node:${ftm.node}`] as NodeRegistration | undefined;
        const address = registration?.address ?? (thread.payload["address"] as string | undefined);
        if (!address) return;
        watch(thread, address);
        // Of another FTM: forgotten first.
        thread.payload["unwatch"] = ["ftm"];
        thread.insert(op("liveness.unwatch"));
      },
      // Whom the others hear, also those that had left: they may be back. What they answer is for `epoch_promise`.
      "ftm.ask-around": (_state, thread) => {
        for (const { id } of registered(thread).filter((one) => one.id !== node.id && one.replaced !== true)) {
          const ops = [op("epoch.poll", daemonOf(id)), op("takeover.polled", thread.self)];
          thread.send({ ops, payload: { gone: null, round: "", node: id }, lane: "system", deadlineMs: timing.takeoverRetryMs });
        }
      },
      // It is known, and others hear it under this address.
      "ftm.located": (_state, thread) => {
        if (thread.volatile.ftm !== null && thread.volatile.ftm !== node.id) watch(thread, thread.payload["address"] as string);
      },
      "heartbeat.located": (_state, thread) => {
        const { heartbeat = null, dead = [], absent = [], addresses } = thread.payload;
        const { ftm } = thread.volatile;
        const address = ftm !== null && ftm !== node.id ? (addresses as { [node: string]: string })[ftm] : undefined;
        // It may have moved to another address.
        if (address !== undefined) watch(thread, address);
        thread.setVolatile({ ...thread.volatile, heartbeat: heartbeat as string | null, dead: dead as string[], absent: absent as string[] });
      },
      // The FTM's process on this node is gone: that is certain knowledge.
      "ftm.lost": (_state, thread) => {
        const gone = thread.payload["gone"] as Epoch;
        const { heartbeat, dead } = thread.volatile;
        thread.setVolatile({ ...thread.volatile, gone });
        if (heartbeat === null || dead.includes(heartbeat)) lead(thread, 0);
        else {
          thread.send({ ops: [op("ftm.failed", "heartbeat")], payload: { gone, node: node.id }, lane: "system", deadlineMs: timing.takeoverRetryMs });
          lead(thread, heartbeatActsWithinMs);
        }
      },
      "liveness.changed": (_state, thread) => {
        for (const { id, liveness } of thread.payload["changes"] as LivenessChange[]) {
          if (id !== "ftm") continue;
          thread.setVolatile({ ...thread.volatile, silent: liveness === "failed" });
          if (liveness === "failed") lead(thread, silenceMs + thread.random.below(1_000));
          else if (thread.volatile.gone === null) thread.cancel("lead");
        }
      },
      "epoch.prepare": (_state, thread) => {
        const { gone, silent, prepared } = thread.volatile;
        thread.setVolatile({ ...thread.volatile, prepared: prepared + 1 });
        // Somebody leads: give him time before doing it too.
        if (gone !== null || silent) lead(thread, patienceMs(timing.takeoverRetryMs, prepared, timing.takeoverRetryMsMax) + thread.random.below(1_000));
      },
      "ftm.lead": (_state, thread) => {
        thread.insert(op("epoch.read"), op("table.read"), op("membership.read"), op("ftm.lead-takeover"));
      },
      "ftm.lead-takeover": (_state, thread) => {
        const { ftm, promised } = thread.payload["epochs"] as { ftm: FtmLocation | null; promised: Epoch };
        const { gone, silent } = thread.volatile;
        const known = registered(thread);
        const nodes = known.filter(({ left }) => !left).map(({ id }) => id);
        // The last one to leave goes on alone when it is started again.
        if (known.length === 0 && !bootstrap) return;
        if (!nodes.includes(node.id)) nodes.push(node.id);
        // It was taken out, and others went on without it: what they have decided since it does not know. They come first, if there still are any.
        const waits = thread.payload["returning"] === true && nodes.length > 1 && thread.nowMs - thread.volatile.startedMs < returnsAloneMs;
        if (waits) return lead(thread, silenceMs);
        const dead = silent && ftm && ftm.node !== node.id ? [ftm.node] : [];
        const cause = ftm === null ? (bootstrap && promised.number === 0 ? "first start" : "cold start") : gone ? "crashed" : "silent";
        // After a power cut the others may still be starting: what they know must not be passed over.
        const patient = thread.nowMs - thread.volatile.startedMs < startingMs && nodes.length > 1;
        const request: TakeoverRequest = { cause, nodes, seen: promised, from: ftm?.node ?? "", gone, dead, patient, avoid: thread.volatile.absent };
        thread.payload["takeover"] = request as unknown as Data;
        thread.insert(op("takeover.begin"));
      },
      "table.report": (_state, thread) => {
        // A node that starts a cluster registers itself with its first report.
        const report = thread.payload["report"] as NodeReport;
        if (!bootstrap || Object.keys(report.table.entries).length > 0) return;
        const table = { version: { epoch: epochZero, sequence: 1 }, lineage: [], entries: { [`node:${node.id}`]: self } };
        thread.payload["report"] = { ...report, table };
      },
    },
  });
}

