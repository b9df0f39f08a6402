/**
 * View: what the FTM knows, pushed to every daemon when it changes, so that any
 * daemon answers `status` at once and knows where armors are.
 *
 * @module
 */
import { type Data, dataEqual, type DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { compareEpochs, type Epoch } from "../../core/generation.ts";
import { pauseAmongMany, timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import { type ApplicationEntry, daemonOf, hasMajority, instanceIds, type InstanceReport, type InstanceState, type NodeReport, type ShownInstance } from "../shapes.ts";
import { withMakeups } from "./makeups.ts";
import { ownArmors } from "./own_placement.ts";
import type { NodeView, RegisteredArmor } from "./node_view.ts";
import type { FtmBegin } from "./takeover.ts";
import { type ViewChange, viewChange } from "./view_change.ts";
import type { Follow, View } from "./view_shape.ts";

type Volatile = {
  readonly view: View | null;
  readonly sent: ReadonlyMap<string, View>;
  /** When all were told last. */
  readonly sentAtMs: number;
  /** What was sent to the heartbeat armor, and to which process. */
  readonly followed: Data;
  /** Number of the view that was taken from. */
  readonly awaited: number;
  /** How often it has not answered since it did, or was placed. */
  readonly unanswered: number;
  /** By instance, what was shown before this FTM of nodes that are absent as planned. */
  readonly before: ReadonlyMap<string, ShownInstance>;
};

/** It has answered by then, or the way to it has changed. */
const followAgainMs = 2_000;
/** So many tries without an answer, and nothing that its daemon says makes it any use. */
const unansweredMax = 3;

/**
 * Built in every round; sent to whom it is news. What an operator is told goes
 * with the view that shows it (`view.tell`), so that whoever asks the same
 * daemon next sees what was acknowledged.
 */
export function view(): Element {
  return element<DataRecord, Volatile>({
    name: "view",
    version: 1,
    state: {},
    volatile: () => ({ view: null, sent: new Map(), sentAtMs: -Infinity, followed: null, awaited: 0, unanswered: 0, before: new Map() }),
    handlers: {
      "ftm.begin": (_state, thread) => {
        const { reports } = thread.payload["begin"] as unknown as FtmBegin;
        let newest: NodeReport["shown"];
        for (const { shown } of reports) {
          const order = shown && newest ? compareEpochs(shown.epoch, newest.epoch) || shown.number - newest.number : 1;
          if (shown && order > 0) newest = shown;
        }
        thread.setVolatile({ ...thread.volatile, before: new Map(newest?.instances.map((one) => [one.id, one])) });
      },
      "view.publish": (_state, thread) => thread.insert(op("instances.read"), op("view.send")),
      "view.send": (_state, thread) => {
        const { sent, sentAtMs, view: last, before } = thread.volatile;
        const view = build(thread.payload, last, before);
        const next = new Map<string, View>();
        const changes = new Map<View, ViewChange>();
        const waitMs = sentAtMs + pauseMs(view) - thread.nowMs;
        const own = view.armors.find(({ armor }) => armor === "ftm")?.node;
        for (const { id, state } of view.nodes) {
          if (state === "failed" || state === "left") continue;
          const told = sent.get(id);
          // By its own node the FTM reaches those that are new.
          if (told && told !== view && waitMs > 0 && id !== own) {
            next.set(id, told);
            thread.after("later", waitMs, "cluster.changed");
            continue;
          }
          if (told && told !== view && !changes.has(told)) changes.set(told, viewChange(told, view));
          const ops = [op("epoch.guard", daemonOf(id)), op("view.update", daemonOf(id))];
          const news = (told ? { change: changes.get(told) } : { view }) as { readonly [field: string]: Data };
          if (told === view || thread.send({ ops, payload: { epoch: view.epoch, ...news }, lane: "system" })) next.set(id, view);
        }
        thread.setVolatile({ ...thread.volatile, view, sent: next, sentAtMs: waitMs > 0 ? sentAtMs : thread.nowMs, ...follow(thread, view) });
      },
      "view.tell": (_state, thread) => thread.insert(op("nodes.read"), op("table.read"), op("instances.read"), op("view.attach")),
      "view.attach": (_state, thread) => {
        const view = build(thread.payload, thread.volatile.view, thread.volatile.before);
        thread.setVolatile({ ...thread.volatile, view });
        for (const field of ["nodes", "armors", "table", "instances", "placed"]) delete thread.payload[field];
        thread.payload["view"] = view as unknown as Data;
        thread.insert(op("view.offer", daemonOf(thread.payload["node"] as string)));
      },
      "view.followed": (_state, thread) => {
        if (thread.payload["number"] !== thread.volatile.awaited) return;
        thread.cancel("follow");
        thread.setVolatile({ ...thread.volatile, unanswered: 0 });
      },
      // The way to the heartbeat armor may still have led to another copy of it, which is gone now: once more.
      "view.follow-late": (_state, thread) => {
        const unanswered = thread.volatile.unanswered + 1;
        thread.setVolatile({ ...thread.volatile, followed: null, unanswered: unanswered % unansweredMax });
        thread.insert(op("cluster.changed"));
        // It runs and is not heard, as where another copy has spoken in a later generation: no word of an earlier one counts any more.
        if (unanswered === unansweredMax) thread.insert(op("nodes.read"), op("heartbeat.replace"));
      },
      // A daemon that has restarted has forgotten its view; one may have missed a change.
      "view.want": (_state, thread) => {
        const sent = new Map(thread.volatile.sent);
        if (!sent.delete(thread.payload["node"] as string)) return;
        thread.setVolatile({ ...thread.volatile, sent });
        thread.insert(op("cluster.changed"));
      },
    },
  });
}

/** Tell the heartbeat armor what is news to it, again and again until it has taken it. @returns What it has been told. */
function follow(thread: Thread<Volatile>, { epoch, number, nodes, armors }: View): Pick<Volatile, "followed" | "awaited" | "unanswered"> {
  const { followed, awaited, unanswered } = thread.volatile;
  const heartbeat = armors.find(({ armor, state }) => armor === "heartbeat" && state === "running");
  if (!heartbeat) {
    thread.cancel("follow");
    return { followed: null, awaited, unanswered: 0 };
  }
  const told: Follow = {
    epoch,
    nodes: nodes.map(({ id, address, state, absent }) => ({ id, address, state, absent })),
    ftm: armors.find(({ armor }) => armor === "ftm")?.node ?? "",
  };
  const { node, pid, incarnation } = heartbeat;
  const now = { told, by: { node, pid, incarnation } } as unknown as Data;
  if (dataEqual(now, followed)) return { followed, awaited, unanswered };
  const ops = [op("epoch.guard", "heartbeat"), op("heartbeat.follow", "heartbeat"), op("view.followed", "ftm")];
  thread.send({ ops, payload: { epoch, number, follow: told as unknown as Data, at: node }, lane: "system", deadlineMs: followAgainMs });
  thread.after("follow", followAgainMs, "view.follow-late");
  return { followed: now, awaited: number, unanswered };
}

/** What the fields just read add up to; `last` itself if that says the same. */
function build(payload: { readonly [field: string]: Data }, last: View | null, before: Volatile["before"]): View {
  const view = viewOf(payload, last, before);
  if (last && dataEqual(last as unknown as Data, view as unknown as Data)) return last;
  return { ...view, number: view.number + 1 };
}

function viewOf(payload: { readonly [field: string]: Data }, last: View | null, before: Volatile["before"]): View {
  const nodes = payload["nodes"] as unknown as readonly NodeView[];
  const armors = payload["armors"] as unknown as readonly RegisteredArmor[];
  const table = payload["table"] as { readonly [key: string]: Data };
  const instances = payload["instances"] as unknown as { readonly [id: string]: InstanceReport & { readonly node: string } };
  const placed = payload["placed"] as { readonly [id: string]: { readonly node: string } };
  const entries = Object.keys(table).filter((key) => key.startsWith("app:")).sort().map((key) => table[key] as unknown as ApplicationEntry);
  const own = ownArmors(table);
  const missing = own.filter(({ id }) => !armors.some(({ armor }) => armor === id)).map(({ id }) => unplaced(id));
  return {
    epoch: payload["epoch"] as Epoch,
    number: last?.number ?? 0,
    stale: !hasMajority(nodes),
    nodes: nodes.filter(({ replaced, state }) => !replaced || state === "draining")
      .map((node) => ({ id: node.id, name: node.name, address: node.address, state: node.state, absent: isAbsent(node) })),
    ...withMakeups([...armors, ...missing], last?.makeups),
    names: Object.fromEntries(own.map(({ id, name }) => [id, name])),
    applications: entries.map((entry) => {
      const { application: { name }, desired, revision } = entry;
      const views = instanceIds(entry).map((id) => {
        const key = `${id} ${entry.serial}`;
        const shown = before.get(id);
        // Its node is away, runs it still, and has told this FTM nothing.
        if (shown && !instances[key] && !placed[key] && entry.desired === "running" && isAbsent(nodes.find((one) => one.id === shown.node))) return shown;
        return instanceView(entry, id, instances[key], placed[key]?.node);
      });
      return { name, desired, state: summary(desired, views.map(({ state }) => state)), revision, instances: views };
    }),
  };
}

function pauseMs({ nodes }: View): number {
  return pauseAmongMany(nodes.length, timing.viewPausePerNodeMs);
}

/** As planned, for a while. */
function isAbsent(node: NodeView | undefined): boolean {
  return node?.state === "suspect" && node.plannedUntilMs > 0;
}

/** An armor that runs nowhere for now. */
function unplaced(armor: string): RegisteredArmor {
  return { armor, role: "own", node: "", pid: null, state: "recovering", incarnation: { placement: 0, restart: 0 }, generation: null, elements: [] };
}

/** One state for an application: that of its instances if they agree, else the one an operator should look at. */
function summary(desired: string, states: readonly InstanceState[]): InstanceState {
  const calm: readonly InstanceState[] = desired === "stopped" ? ["stopped", "completed"] : ["running", "completed"];
  const attention: readonly InstanceState[] = ["failed", "restarting", "pending", "starting", "stopping", "running", "stopped"];
  const odd = attention.find((state) => !calm.includes(state) && states.includes(state));
  return odd ?? (states.every((state) => state === "completed") ? "completed" : calm[0]!);
}

function instanceView(
  entry: ApplicationEntry,
  id: string,
  report: (InstanceReport & { readonly node: string }) | undefined,
  node: string | undefined,
): ShownInstance {
  if (entry.completed.includes(id)) return { id, node: report?.node ?? null, pid: null, state: "completed", restarts: report?.restarts ?? 0 };
  if (!report || (node !== undefined && report.node !== node)) {
    const state = entry.desired === "stopped" ? "stopped" : "pending";
    return { id, node: node ?? null, pid: null, state, restarts: 0 };
  }
  return { id, node: report.node, pid: report.pid, state: report.state, restarts: report.restarts };
}
