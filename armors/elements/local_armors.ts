/**
 * Local armors: the daemon's placements. Installs and removes the armors of its
 * node by the FTM's order, notices their end, and asks for their recovery; when
 * the FTM does not answer in time it restarts them itself, so that a cut-off
 * node keeps serving.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { compareGenerations, type Generation } from "../../core/generation.ts";
import { timing } from "../../core/limits.ts";
import { type ArmorId, op } from "../../core/micro_operation.ts";
import type { Payload } from "../../core/payload.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { late, type Lateness, patienceMs, punctual } from "../../core/restart_policy.ts";
import type { ArmorReport, ArmorState, Incarnation, LocalArmor, NodeReport, Role } from "../shapes.ts";
import { daemonOf } from "../shapes.ts";
import { wrongArmors } from "./state_checks.ts";

/** Payload field `install` of `armor.install`. */
export type InstallOrder = {
  readonly armor: ArmorId;
  readonly role: Role;
  /** The FTM's placement number; a restart by the daemon keeps it. */
  readonly placement: number;
  readonly generation: Generation;
  /** What the armor starts from; handed over when it registers, before any message. */
  readonly begin: DataRecord | null;
  /** Its state is put aside: the operator wants it to begin anew. */
  readonly reset?: true;
};

type Kept = LocalArmor & { readonly begin: DataRecord | null };
type State = { readonly [armor: ArmorId]: Kept };
/** `late`: starts that did not register in time; `lateNow`: the last one, which is being ended for that. */
type Live = { readonly state: ArmorState; readonly elements: DataRecord[] | null; readonly lostAtMs: number | undefined; readonly late: Lateness; readonly lateNow: boolean };
/** `self` is the daemon's own entry, as its host describes it; `full`: the node's disk is. */
type Volatile = { readonly live: { readonly [armor: ArmorId]: Live }; readonly self: ArmorReport | null; readonly full: boolean };
type Local = Thread<Volatile>;

const unseen: Live = { state: "starting", elements: null, lostAtMs: undefined, late: punctual, lateNow: false };

/** How long the FTM may take to order a reinstallation before the daemon does it alone. */
const orderWithinMs = 300;

/** The armors of one node, by its daemon. `allowElements`: it takes elements by message. */
export function localArmors(node: string, allowElements: boolean = false): Element {
  const setLive = (thread: Local, armor: ArmorId, live: Partial<Live>): void => {
    const before = thread.volatile.live[armor] ?? unseen;
    thread.setVolatile({ ...thread.volatile, live: { ...thread.volatile.live, [armor]: { ...before, ...live } } });
  };

  const awaitRegistration = (thread: Local, armor: ArmorId): void => {
    const withinMs = patienceMs(timing.registerWithinMs, (thread.volatile.live[armor] ?? unseen).late.inRow, timing.registerWithinMsMax);
    thread.after(`register ${armor}`, withinMs, "armor.register-late", { armor, withinMs, dueMs: thread.nowMs + withinMs });
  };

  const spawn = (thread: Local, kept: Kept, reset = false): Kept => {
    const { armor, role, incarnation, generation } = kept;
    thread.command({ kind: "armor.spawn", args: { armor, role, incarnation, generation, process: kept.process, reset } });
    setLive(thread, armor, { state: "starting", elements: null });
    awaitRegistration(thread, armor);
    return { ...kept, process: null };
  };

  const restart = (thread: Local, kept: Kept): Kept =>
    spawn(thread, { ...kept, incarnation: { ...kept.incarnation, restart: kept.incarnation.restart + 1 } });

  const report = (kept: Kept, live: Live | undefined): ArmorReport => ({
    armor: kept.armor,
    role: kept.role,
    pid: kept.process?.pid ?? null,
    state: kept.failed ? "failed" : live?.state ?? "recovering",
    incarnation: kept.incarnation,
    // Of this placement, also until it registers: what it had before belongs to another one.
    generation: kept.generation,
    elements: live?.elements ?? [],
  });

  const reports = (state: State, thread: Local): ArmorReport[] => {
    const { live, self } = thread.volatile;
    const armors = Object.values(state).map((kept) => report(kept, live[kept.armor]));
    return self ? [self, ...armors] : armors;
  };

  const tell = (thread: Thread): void => thread.after("tell", 0, "armors.tell");

  return element<State, Volatile>({
    name: "local_armors",
    version: 1,
    state: {},
    volatile: () => ({ live: {}, self: null, full: false }),
    check: wrongArmors,
    handlers: {
      "armor.started": (state, thread) => {
        const live: Record<ArmorId, Live> = {};
        for (const { armor, process, role } of Object.values(state)) {
          // Most likely it runs, and only has to find its new daemon: nobody may start another meanwhile.
          live[armor] = unseen;
          thread.command({ kind: "process.watch", args: { armor, role, process } });
          awaitRegistration(thread, armor);
        }
        // What it does not know it would refuse to register; one that hangs would stay for ever. Its end may have been this daemon's last word, or its entry is lost.
        for (const armor of ["ftm", "heartbeat"]) if (!state[armor]) thread.command({ kind: "armor.end", args: { armor, role: armor, process: null } });
        thread.setVolatile({ ...thread.volatile, live, self: (thread.payload["self"] ?? null) as ArmorReport | null });
        const self = thread.payload["self"] as ArmorReport | undefined;
        if (self && self.incarnation.restart > 0) {
          thread.event({ kind: "armor.recovered", subject: self.armor, node, detectedBy: `guard@${node}`, restart: self.incarnation.restart });
        }
      },
      "armor.install": (state, thread) => {
        const { armor, role, placement, generation: ordered, begin, reset = false } = thread.payload["install"] as unknown as InstallOrder;
        const before = state[armor];
        if (before && before.incarnation.placement > placement) return;
        const again = before?.incarnation.placement === placement;
        // It would begin its epoch anew.
        if (again && armor === "ftm") return;
        const busy = thread.volatile.live[armor]?.state === "running" || thread.volatile.live[armor]?.state === "starting";
        if (again && busy && !before.failed) return;
        // The FTM may not have heard that it went on under a later one, which must not be used again.
        const generation = again && compareGenerations(before.generation, ordered) > 0 ? before.generation : ordered;
        const incarnation = again ? { placement, restart: before.incarnation.restart + 1 } : { placement, restart: 0 };
        const kept = { armor, role, incarnation, generation, begin, process: before?.process ?? null, failed: false };
        thread.cancel(`order ${armor}`);
        thread.event({ kind: "armor.installed", subject: armor, node, placement });
        if (reset) thread.event({ kind: "armor.rewound", subject: armor, node, cause: "reset by the operator" });
        tell(thread);
        return { ...state, [armor]: spawn(thread, kept, reset) };
      },
      "armor.remove": (state, thread) => {
        const armor = thread.payload["armor"] as ArmorId;
        const kept = state[armor];
        const { placement } = thread.payload as { placement?: number };
        if (!kept || (placement !== undefined && kept.incarnation.placement > placement)) return;
        const forget = kept.role === "own";
        thread.command({ kind: "armor.end", args: { armor, process: kept.process, forget } });
        thread.payload["unwatch"] = [armor];
        thread.insert(op("liveness.unwatch"));
        const { [armor]: _gone, ...rest } = state;
        tell(thread);
        return rest;
      },
      "armor.spawned": (state, thread) => {
        const { armor, process } = thread.payload as unknown as { armor: ArmorId; process: ProcessIdentity };
        const kept = state[armor];
        return kept ? { ...state, [armor]: { ...kept, process } } : state;
      },
      "armor.registered": (state, thread) => {
        const { armor, process, generation, elements } = thread.payload as unknown as {
          armor: ArmorId;
          process: ProcessIdentity;
          generation: Generation;
          elements: DataRecord[];
        };
        const kept = state[armor];
        if (!kept) return;
        const before = thread.volatile.live[armor];
        thread.cancel(`register ${armor}`);
        setLive(thread, armor, { state: "running", elements, lostAtMs: undefined, late: punctual, lateNow: false });
        if (before?.lostAtMs !== undefined) {
          thread.event({ kind: "armor.recovered", subject: armor, node, durationMs: thread.nowMs - before.lostAtMs });
        }
        // Nothing may be said under a new generation before it is on the disk.
        if (compareGenerations(generation, kept.generation) !== 0) thread.command({ kind: "armor.answer", args: { armor } });
        const { incarnation } = kept;
        thread.send({ ops: [op("armor.configure", armor)], payload: { incarnation }, lane: "system" });
        thread.payload["targets"] = [{
          id: armor,
          address: "local",
          suspectMisses: timing.nodeSuspectMisses,
          failedMisses: timing.localMisses,
        }];
        thread.insert(op("liveness.watch"));
        tell(thread);
        return { ...state, [armor]: { ...kept, process, generation, begin: null } };
      },
      // What the application table says of their elements.
      "armors.align": (state, thread) => {
        const sets = thread.payload["align"] as { readonly [armor: ArmorId]: Data };
        delete thread.payload["align"];
        for (const [armor, elements] of Object.entries(sets)) {
          if (!state[armor] || thread.volatile.live[armor]?.state !== "running") continue;
          thread.send({ ops: [op("elements.align", armor)], payload: { elements }, lane: "system" });
        }
      },
      // It is made of other elements than when it registered.
      "armor.described": (_state, thread) => {
        const { armor, elements } = thread.payload as unknown as { armor: ArmorId; elements: DataRecord[] };
        const { self, live } = thread.volatile;
        if (self?.armor === armor) thread.setVolatile({ ...thread.volatile, self: { ...self, elements } });
        else if (live[armor]) setLive(thread, armor, { elements });
        tell(thread);
      },
      // The others have one, and this one would lead a takeover by what it knew.
      "membership.ended": ({ heartbeat: _left, ...rest }) => rest,
      "disk.changed": (_state, thread) => {
        thread.setVolatile({ ...thread.volatile, full: thread.payload["full"] === true });
        tell(thread);
      },
      "armor.gone": (state, thread) => lost(state, thread),
      "armor.register-late": (state, thread) => {
        const { armor, withinMs, dueMs } = thread.payload as { armor: ArmorId; withinMs: number; dueMs: number };
        const kept = state[armor];
        if (!kept || thread.volatile.live[armor]?.state === "running") return;
        // This loop was late, or the machine slept: the armor may just have been started, and cannot have been heard.
        if ((thread.nowMs - dueMs) * 2 > withinMs) return awaitRegistration(thread, armor);
        if (armor === "ftm" && kept.process === null) {
          // Not started again in its epoch, whether its start is still under way or nobody has said yet that it is gone.
          thread.command({ kind: "armor.end", args: { armor, process: null } });
          thread.payload["cause"] = "did not register";
          return lost(state, thread);
        }
        thread.event({ kind: "armor.hung", subject: armor, node, cause: "did not register", detectedBy: thread.self });
        if (kept.process) {
          setLive(thread, armor, { lateNow: true });
          return void thread.command({ kind: "process.kill", args: { armor, process: kept.process } });
        }
        setLive(thread, armor, { late: late((thread.volatile.live[armor] ?? unseen).late, false) });
        return { ...state, [armor]: restart(thread, kept) };
      },
      "liveness.changed": (state, thread) => {
        for (const { id, liveness, silentMs } of thread.payload["changes"] as { id: string; liveness: string; silentMs: number }[]) {
          const kept = state[id];
          // Until it registers, silence is that of the one this node watched under this id, perhaps elsewhere.
          if (liveness !== "failed" || !kept?.process || thread.volatile.live[id]?.state !== "running") continue;
          thread.event({ kind: "armor.hung", subject: id, node, detectedBy: thread.self, durationMs: silentMs });
          thread.command({ kind: "process.kill", args: { armor: id, process: kept.process } });
        }
      },
      "armor.order-late": (state, thread) => {
        const armor = thread.payload["armor"] as ArmorId;
        const kept = state[armor];
        if (!kept || kept.failed || thread.volatile.live[armor]?.state !== "recovering") return;
        if (kept.role === "own") return thread.insert(op("membership.read"), op("armor.order-late-own"));
        tell(thread);
        return { ...state, [armor]: restart(thread, kept) };
      },
      // While its node was out of the cluster it may have been placed elsewhere, or removed and forgotten: what it would say once more would count again.
      "armor.order-late-own": (state, thread) => {
        const { armor, returning } = thread.payload as { armor: ArmorId; returning?: boolean };
        if (returning === true) return thread.after(`order ${armor}`, orderWithinMs, "armor.order-late", { armor });
        tell(thread);
        return { ...state, [armor]: restart(thread, state[armor]!) };
      },
      // What made it fail may be gone: a full disk, a missing file.
      "armor.retry": (state, thread) => {
        const kept = state[thread.payload["armor"] as ArmorId];
        if (!kept?.failed) return;
        tell(thread);
        return { ...state, [kept.armor]: restart(thread, { ...kept, failed: false }) };
      },
      "armors.report": (state, thread) => {
        const before = thread.payload["report"] as NodeReport;
        const armors = reports(state, thread);
        thread.payload["report"] = { ...before, armors, allowElements, full: thread.volatile.full };
      },
      "armors.tell": (state, thread) => {
        const armors = reports(state, thread);
        thread.send({ ops: [op("armors.told", "ftm")], payload: { node, armors, allowElements, full: thread.volatile.full }, lane: "system" });
      },
      "ftm.changed": (state, thread) => {
        tell(thread);
        return fenced(state, thread, (thread.payload["ftm"] as { epoch: { number: number; node: string } }).epoch);
      },
      "ftm.fence": (state, thread) => {
        const next = fenced(state, thread, thread.payload["epoch"] as { number: number; node: string });
        if (next === state) return;
        thread.payload["unwatch"] = ["ftm"];
        thread.insert(op("liveness.unwatch"));
        return next;
      },
    },
  });

  /** An FTM of a lower epoch on this node ends; until it has, its orders are refused everywhere that promised. */
  function fenced(state: State, thread: Local, epoch: { number: number; node: string }): State {
    const ftm = state["ftm"];
    if (!ftm) return state;
    const own = ftm.generation;
    if (own.epoch > epoch.number || (own.epoch === epoch.number && own.node >= epoch.node)) return state;
    thread.command({ kind: "armor.end", args: { armor: "ftm", process: ftm.process } });
    const { ftm: _ended, ...rest } = state;
    return rest as State;
  }

  function lost(state: State, thread: Local): State | undefined {
    const { armor, process, cause, failed, stopped } = thread.payload as unknown as Payload & {
      armor: ArmorId;
      process: ProcessIdentity;
      cause: string;
      failed?: boolean;
      stopped?: boolean;
    };
    const kept = state[armor];
    if (!kept || (kept.process && process && kept.process.pid !== process.pid)) return;
    thread.event({ kind: "armor.crashed", subject: armor, node, cause, detectedBy: daemonOf(node) });
    thread.payload["unwatch"] = [armor];
    thread.insert(op("liveness.unwatch"));
    const before = thread.volatile.live[armor] ?? unseen;
    const lateness = before.lateNow ? late(before.late, stopped === true) : before.late;
    setLive(thread, armor, { state: "recovering", elements: null, lostAtMs: thread.nowMs, late: lateness, lateNow: false });
    tell(thread);
    const next: Kept = { ...kept, process: null, failed: failed === true };
    // Who is known to be gone is not waited for; an FTM is not started again in its epoch.
    thread.cancel(`register ${armor}`);
    if (next.failed) {
      thread.event({ kind: "armor.failed", subject: armor, node, cause: "its state is bad: it died again and again with nothing in hand" });
      thread.after(`retry ${armor}`, timing.failedRetryMs, "armor.retry", { armor });
    }
    if (armor === "ftm") {
      thread.payload["gone"] = { number: kept.generation.epoch, node: kept.generation.node };
      thread.insert(op("ftm.lost"));
    } else if (!next.failed) thread.after(`order ${armor}`, orderWithinMs, "armor.order-late", { armor });
    return { ...state, [armor]: next };
  }
}
