/**
 * Instances: the execution armor's task. Source: it "launches local application
 * processes, detects their failures, and performs recovery". The FTM's list says
 * what belongs here; this element launches, watches, restarts by policy, stops.
 *
 * Launches are numbered; a launch record makes each number start at most one
 * program, so every command here may be repeated after a crash.
 *
 * @module
 */
import { type Data, dataEqual } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { restartDefaults, timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { decideRestart, noRestarts, type RestartHistory } from "../../core/restart_policy.ts";
import { type Application, completeApplication } from "../application.ts";
import type { Completion, InstanceOrder, InstanceReport, InstanceState } from "../shapes.ts";
import { wrongInstances } from "./state_checks.ts";

/** What happens after the program has ended: by policy, nothing, start anew, or forget the instance. */
type Afterwards = "policy" | "stay" | "start" | "forget";

/** One instance; durable. */
type Instance = {
  readonly order: InstanceOrder;
  /** Number of the current or last launch on this node. */
  readonly launch: number;
  readonly state: InstanceState;
  readonly process: ProcessIdentity | null;
  readonly afterwards: Afterwards;
  readonly restarts: number;
  readonly history: RestartHistory;
  readonly startedMs: number;
  /** Boot in which it was launched. */
  readonly boot: string;
  readonly crashLoop: boolean;
  readonly cannot: string;
};

type State = { readonly [id: string]: Instance };
type Volatile = {
  /** When the failure that is being recovered was seen. */
  readonly failedMs: { readonly [id: string]: number };
  readonly boot: string;
  /** Programs that do not belong here have been ended. */
  readonly swept: boolean;
  /** The FTM has been told in this life: the first time it hears that this armor has started. */
  readonly told: boolean;
};
type Executing = Thread<Volatile>;

/** The FTM may take this long to say what belongs here, before the execution armor goes on alone. */
const orderWithinMs = 400;

const live = (state: InstanceState): boolean => state === "starting" || state === "running" || state === "stopping";

/** The applications of one node. */
export function instances(node: string): Element {
  /** What a program is launched for; `order` names it: nothing is done twice that was ordered once. */
  const taskOf = ({ id, application, serial, restart }: InstanceOrder) => ({ id, application, order: `${serial} ${restart}` });

  const launch = (thread: Executing, instance: Instance): Instance => {
    const number = instance.launch + 1;
    const { order } = instance;
    thread.cancel(`restart ${order.id}`);
    thread.command({ kind: "program.launch", args: { ...taskOf(order), launch: number } });
    return { ...instance, launch: number, state: "starting", process: null, afterwards: "policy", startedMs: thread.nowMs, boot: thread.volatile.boot, cannot: "" };
  };

  /** Take over what was launched in an earlier life, or under a number that this one did not know. */
  const adopt = (thread: Executing, { order, launch: number, boot, state }: Instance): void => {
    const { order: named, ...task } = taskOf(order);
    const stopping = state === "stopping";
    // One that is being stopped may be so by an order that is not the one it was launched by.
    const args = { ...task, ...(!stopping && { order: named }), launch: number, boot, stopping, graceMs: timing.stopGraceMs };
    thread.command({ kind: "program.adopt", args });
  };

  const stop = (thread: Executing, instance: Instance, afterwards: Afterwards): Instance | undefined => {
    thread.cancel(`restart ${instance.order.id}`);
    if (!live(instance.state)) {
      if (afterwards === "forget") return undefined;
      if (afterwards === "start") return launch(thread, instance);
      return { ...instance, state: instance.state === "completed" ? "completed" : "stopped", process: null };
    }
    const args = { id: instance.order.id, launch: instance.launch, graceMs: timing.stopGraceMs };
    if (instance.state !== "stopping") thread.command({ kind: "program.stop", args });
    return { ...instance, state: "stopping", afterwards };
  };

  const adjust = (thread: Executing, before: Instance | undefined, order: InstanceOrder): Instance | undefined => {
    if (!before) {
      const fresh: Instance = {
        order,
        launch: 0,
        state: "stopped",
        process: null,
        afterwards: "policy",
        restarts: 0,
        history: noRestarts,
        startedMs: 0,
        boot: "",
        crashLoop: false,
        cannot: "",
      };
      return order.desired === "running" ? launch(thread, fresh) : fresh;
    }
    const next = { ...before, order };
    const renewed = order.serial !== before.order.serial || order.restart !== before.order.restart || !sameApplication(order.application, before.order.application);
    if (order.desired === "stopped") {
      const resting = before.state === "stopped" || before.state === "completed" || before.state === "failed";
      return resting && !renewed ? next : stop(thread, next, "stay");
    }
    if (renewed) return stop(thread, { ...next, history: noRestarts, crashLoop: false }, "start");
    if (before.state === "stopping") return { ...next, afterwards: "start" };
    const idle = before.state === "stopped" || before.state === "pending";
    return idle ? launch(thread, next) : next;
  };

  const put = (state: State, id: string, instance: Instance | undefined): State => {
    if (instance) return { ...state, [id]: instance };
    const { [id]: _gone, ...rest } = state;
    return rest;
  };

  /** What instances had that belong here no longer is given up. */
  const retain = (thread: Executing, state: State): void => thread.command({ kind: "program.retain", args: { ids: Object.keys(state) } });

  const tellNow = (state: State, thread: Executing): void => {
    const reports = Object.values(state).map(report);
    thread.send({ ops: [op("instances.told", "ftm")], payload: { node, instances: reports, started: !thread.volatile.told }, lane: "system" });
    thread.setVolatile({ ...thread.volatile, told: true });
  };

  const tell = (thread: Executing): void => thread.after("tell", 0, "instances.tell");

  const find = (state: State, thread: Executing): Instance | undefined => {
    const instance = state[thread.payload["id"] as string];
    return instance && instance.launch === thread.payload["launch"] ? instance : undefined;
  };

  return element<State, Volatile>({
    name: "instances",
    version: 1,
    state: {},
    volatile: () => ({ failedMs: {}, boot: "", swept: false, told: false }),
    check: wrongInstances,
    handlers: {
      "armor.started": (state, thread) => {
        thread.setVolatile({ ...thread.volatile, boot: String(thread.payload["bootId"] ?? "") });
        let next = state;
        for (const instance of Object.values(state)) {
          const { order, launch: number } = instance;
          if (live(instance.state)) adopt(thread, instance);
          settleLater(thread, instance);
          const again = instance.state === "restarting" ? restartDefaults.firstDelayMs : instance.cannot !== "" ? restartDefaults.delayCapMs : undefined;
          if (again === undefined) continue;
          if (isOfThisBoot(thread, instance)) thread.after(`restart ${order.id}`, again, "instance.restart", { id: order.id, launch: number });
          else next = put(next, order.id, { ...instance, state: "pending" });
        }
        thread.after("tell", 0, "instances.tell", { started: true });
        return next;
      },
      "instances.assign": (state, thread) => {
        const orders = thread.payload["instances"] as unknown as InstanceOrder[];
        let next = state;
        for (const order of orders) next = put(next, order.id, adjust(thread, next[order.id], order));
        for (const [id, instance] of Object.entries(next)) {
          if (!orders.some((order) => order.id === id)) next = put(next, id, stop(thread, instance, "forget"));
        }
        if (!thread.volatile.swept || Object.keys(state).some((id) => !(id in next))) retain(thread, next);
        // Once in a life: an armor that has lost a part of its memory may have left programs that nobody watches.
        if (!thread.volatile.swept) {
          const wanted = Object.entries(next).filter(([, { state: now, order }]) => live(now) || order.desired === "running").map(([id]) => id);
          thread.command({ kind: "program.sweep", args: { ids: wanted, graceMs: timing.stopGraceMs } });
        }
        thread.setVolatile({ ...thread.volatile, swept: true });
        tell(thread);
        return next;
      },
      "program.started": (state, thread) => {
        const instance = find(state, thread);
        if (!instance || !live(instance.state)) return;
        const process = thread.payload["process"] as ProcessIdentity;
        // For the elements after this one: it is the program that should run.
        thread.payload["application"] = instance.order.application as unknown as Data;
        thread.payload["startedMs"] = instance.startedMs;
        if (instance.process && dataEqual(instance.process, process) && instance.state !== "starting") return;
        const { id } = instance.order;
        const failedMs = thread.volatile.failedMs[id];
        if (instance.state === "starting") {
          const durationMs = failedMs === undefined ? null : thread.nowMs - failedMs;
          const kind = failedMs === undefined ? "application.started" : "application.restarted";
          thread.event({ kind, subject: id, node, pid: process.pid, durationMs });
          forgetFailure(thread, id);
          settleLater(thread, instance);
        }
        if (instance.state === "stopping") {
          thread.command({ kind: "program.stop", args: { id, launch: instance.launch, graceMs: timing.stopGraceMs } });
        }
        tell(thread);
        const running = instance.state === "starting" ? "running" : instance.state;
        return put(state, id, { ...instance, process, state: running });
      },
      // The number was used before this armor's memory begins: go on after it, or adopt what runs, and a job of which the same was asked before as it ended.
      "program.taken": (state, thread) => {
        const instance = find(state, thread);
        if (!instance || (instance.state !== "starting" && instance.state !== "stopping")) return;
        const { number, running, done = false } = thread.payload as { number: number; running: boolean; done?: boolean };
        const { order } = instance;
        const stopping = instance.state === "stopping";
        if (!running && stopping) {
          // Stopped before it began: nothing will report an end.
          tell(thread);
          return put(state, order.id, stop(thread, { ...instance, launch: number, state: "stopped" }, instance.afterwards));
        }
        if (!running && !done) return put(state, order.id, launch(thread, { ...instance, launch: number }));
        adopt(thread, { ...instance, launch: number });
        return put(state, order.id, { ...instance, launch: number });
      },
      "program.exited": (state, thread) => {
        const instance = find(state, thread);
        if (!instance || !live(instance.state)) return;
        const next = put(state, instance.order.id, ended(thread, instance));
        if (!(instance.order.id in next)) retain(thread, next);
        // With the event, not after it: should this node be lost now, another must not place a job anew that has completed.
        tellNow(next, thread);
        return next;
      },
      // The program cannot be started here: not a crash, another node may do.
      "program.cannot": (state, thread) => {
        const instance = find(state, thread);
        if (!instance || !live(instance.state)) return;
        const reason = thread.payload["reason"] as string;
        const { id } = instance.order;
        if (reason !== instance.cannot) thread.event({ kind: "application.refused", subject: id, node, cause: reason });
        tell(thread);
        if (instance.afterwards !== "policy") return put(state, id, stop(thread, { ...instance, state: "stopped" }, instance.afterwards));
        thread.after(`restart ${id}`, restartDefaults.delayCapMs, "instance.restart", { id, launch: instance.launch });
        return put(state, id, { ...instance, state: "failed", process: null, cannot: reason });
      },
      // The machine has restarted: nothing runs again without the FTM's order.
      "program.rebooted": (state, thread) => {
        const instance = find(state, thread);
        if (!instance) return;
        tell(thread);
        return put(state, instance.order.id, { ...instance, state: "pending", process: null });
      },
      "program.hung": (state, thread) => {
        const instance = find(state, thread);
        if (!instance || instance.state !== "running") return;
        const { id } = instance.order;
        thread.command({ kind: "program.kill", args: { id, launch: instance.launch } });
        if (thread.volatile.failedMs[id] !== undefined) return;
        const durationMs = thread.payload["durationMs"] ?? null;
        const cause = thread.payload["cause"] ?? "stopped";
        thread.event({ kind: "application.hung", subject: id, node, cause, detectedBy: thread.self, durationMs });
        const seenMs = thread.nowMs - (typeof durationMs === "number" ? durationMs : 0);
        thread.setVolatile({ ...thread.volatile, failedMs: { ...thread.volatile.failedMs, [id]: seenMs } });
      },
      "program.traced": (_state, thread) => {
        thread.event({ kind: "application.traced", subject: thread.payload["id"] as string, node });
      },
      "instance.restart": (state, thread) => {
        const instance = find(state, thread);
        if (!instance || live(instance.state) || instance.state === "stopped" || instance.state === "completed") return;
        if (instance.order.desired !== "running") return;
        tell(thread);
        return put(state, instance.order.id, launch(thread, instance));
      },
      "instance.settled": (state, thread) => {
        const instance = find(state, thread);
        if (!instance?.crashLoop || instance.state !== "running") return;
        tell(thread);
        return put(state, instance.order.id, { ...instance, crashLoop: false });
      },
      "instances.tell": (state, thread) => tellNow(state, thread),
    },
  });

  /** If not, the machine has restarted: nothing runs again without the FTM's order. */
  function isOfThisBoot(thread: Executing, { boot }: Instance): boolean {
    return boot === thread.volatile.boot;
  }

  /** What starts next is not its recovery. */
  function forgetFailure(thread: Executing, id: string): void {
    if (thread.volatile.failedMs[id] === undefined) return;
    const { [id]: _seen, ...others } = thread.volatile.failedMs;
    thread.setVolatile({ ...thread.volatile, failedMs: others });
  }

  /** Up for so long, it does not loop. */
  function settleLater(thread: Executing, { crashLoop, order, launch }: Instance): void {
    if (!crashLoop) return;
    const { resetAfterMs } = completeApplication(order.application).restart;
    thread.after(`settle ${order.id}`, resetAfterMs, "instance.settled", { id: order.id, launch });
  }

  function ended(thread: Executing, instance: Instance): Instance | undefined {
    const { status, unknown = false } = thread.payload as { status: number | null; unknown?: boolean };
    const { order, afterwards } = instance;
    const cause = unknown ? "unknown" : status === null ? "unknown" : status > 128 ? `signal ${status - 128}` : `status ${status}`;
    thread.event({ kind: "application.exited", subject: order.id, node, cause, detectedBy: thread.self });
    const done: Instance = { ...instance, process: null };
    if (afterwards !== "policy") forgetFailure(thread, order.id);
    if (afterwards === "forget") return undefined;
    if (afterwards === "start") return isOfThisBoot(thread, instance) ? launch(thread, done) : { ...done, state: "pending" };
    if (afterwards === "stay") return { ...done, state: "stopped" };
    if (order.application.kind === "job") {
      if (status === 0) {
        // Told once, by its origin: of one order it may be told by lives of this armor, and by the nodes that have run it.
        const completion: Completion = { name: order.application.name, serial: order.serial, restart: order.restart };
        thread.event({ kind: "application.completed", subject: order.id, node, completion, origin: `${order.id} ${order.serial} ${order.restart}` });
        return { ...done, state: "completed" };
      }
      if (status === null) return { ...done, state: "failed" };
    }
    const upMs = Math.max(0, thread.nowMs - instance.startedMs);
    const { restart } = completeApplication(order.application);
    const decision = decideRestart(restart, instance.history, upMs, thread.random);
    const { history, delayMs } = decision;
    // Until it has stayed up: at the pause of a crash loop no window is ever full again.
    const crashLoop = decision.crashLoop || (instance.crashLoop && upMs < restart.resetAfterMs);
    if (restart.restartsMax !== null && history.inRow > restart.restartsMax) {
      thread.event({ kind: "application.failed", subject: order.id, node, cause: `${cause}, after ${restart.restartsMax} restarts` });
      forgetFailure(thread, order.id);
      return { ...done, state: "failed", crashLoop: false };
    }
    if (crashLoop && !instance.crashLoop) thread.event({ kind: "application.crash-loop", subject: order.id, node, cause });
    if (thread.volatile.failedMs[order.id] === undefined) {
      thread.setVolatile({ ...thread.volatile, failedMs: { ...thread.volatile.failedMs, [order.id]: thread.nowMs } });
    }
    const next: Instance = { ...done, restarts: instance.restarts + 1, history, crashLoop };
    if (thread.payload["adopted"] === true) {
      // It ended while nobody watched: perhaps the FTM has moved it meanwhile.
      if (isOfThisBoot(thread, instance)) thread.after(`restart ${order.id}`, orderWithinMs, "instance.restart", { id: order.id, launch: instance.launch });
      return { ...next, state: "pending" };
    }
    if (delayMs === 0) return launch(thread, next);
    thread.after(`restart ${order.id}`, delayMs, "instance.restart", { id: order.id, launch: instance.launch });
    return { ...next, state: "restarting" };
  }
}

/** Written by an older version, it may lack what has a default. */
function sameApplication(a: Application, b: Application): boolean {
  return a === b || dataEqual(completeApplication(a) as unknown as Data, completeApplication(b) as unknown as Data);
}

function report({ order, state, process, restarts, launch, crashLoop, cannot }: Instance): InstanceReport {
  const { id, serial, placement, application, restart } = order;
  return { id, serial, name: application.name, placement, state, pid: process?.pid ?? null, restarts, launch, restart, crashLoop, cannot };
}
