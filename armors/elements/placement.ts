/**
 * Placement: which instance runs on which node. The FTM sends each execution
 * armor the whole list of what belongs on its node; what is not on the list
 * ends there. The same list twice changes nothing, so orders may be repeated.
 *
 * Nothing is placed before every node held alive has reported, so that a
 * takeover never starts a second copy.
 *
 * @module
 */
import { type Data, dataEqual, type DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { compareEpochs, type Epoch, epochZero } from "../../core/generation.ts";
import { timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import type { Payload } from "../../core/payload.ts";
import {
  type ApplicationEntry,
  comparePlacements,
  executionOf,
  hasMajority,
  instanceIds,
  type InstanceOrder,
  type InstanceReport,
  type Placement,
} from "../shapes.ts";
import { type Avoided, avoidedAfter } from "./avoidance.ts";
import type { NodeView } from "./node_view.ts";

type Placed = { readonly node: string; readonly placement: Placement };
type Volatile = {
  /** Last report of each execution armor. */
  readonly reports: ReadonlyMap<string, readonly InstanceReport[]>;
  readonly placed: ReadonlyMap<string, Placed>;
  readonly number: number;
  /** Last list sent to each node. */
  readonly sent: ReadonlyMap<string, readonly InstanceOrder[]>;
  /** By instance, nodes on which it cannot or does not stay up. */
  readonly avoid: ReadonlyMap<string, ReadonlyMap<string, Avoided>>;
  readonly epoch: Epoch;
  /** When execution armors were last asked to report. */
  readonly askedMs: ReadonlyMap<string, number>;
  /** When another node was last to take over this FTM, whose node is to leave. */
  readonly handedOverMs: number | undefined;
};
type Placing = Thread<Volatile>;

const askAgainMs = 2_000;
const handOverAgainMs = timing.takeoverRetryMs;

/** The FTM's placement of instances. */
export function placement(): Element {
  const empty: Volatile = {
    reports: new Map(),
    placed: new Map(),
    number: 0,
    sent: new Map(),
    avoid: new Map(),
    epoch: epochZero,
    askedMs: new Map(),
    handedOverMs: undefined,
  };
  return element<DataRecord, Volatile>({
    name: "placement",
    version: 1,
    state: {},
    volatile: () => empty,
    handlers: {
      "ftm.begin": (_state, thread) => {
        const { epoch } = thread.payload["begin"] as { epoch: Epoch };
        thread.setVolatile({ ...empty, epoch });
      },
      "instances.told": (_state, thread) => {
        takeReport(thread, thread.payload);
        thread.insert(op("application.completed"), op("cluster.changed"));
      },
      "placement.decide": (_state, thread) => decide(thread),
      "instances.read": (_state, thread) => {
        const instances: { [id: string]: InstanceReport & { node: string } } = {};
        for (const [node, reports] of thread.volatile.reports) {
          for (const report of reports) {
            const key = instanceKey(report);
            const other = instances[key];
            if (!other || comparePlacements(other.placement, report.placement) < 0) instances[key] = { ...report, node };
          }
        }
        thread.payload["instances"] = instances;
        thread.payload["placed"] = Object.fromEntries(thread.volatile.placed) as unknown as Data;
      },
    },
  });
}

function takeReport(thread: Placing, payload: Payload): void {
  const { node, instances } = payload as unknown as { node: string; instances: InstanceReport[] };
  const placed = new Map(thread.volatile.placed);
  const avoid = new Map(thread.volatile.avoid);
  for (const report of instances) {
    const key = instanceKey(report);
    const known = placed.get(key);
    if (!known || comparePlacements(report.placement, known.placement) > 0) placed.set(key, { node, placement: report.placement });
    if (placed.get(key)?.node === node) {
      const nodes = new Map(avoid.get(key));
      const avoided = avoidedAfter(nodes.get(node), report, thread.nowMs);
      if (avoided) nodes.set(node, avoided);
      else nodes.delete(node);
      if (avoided && avoided.untilMs > thread.nowMs) thread.after(`avoid ${key} ${node}`, avoided.untilMs - thread.nowMs, "cluster.changed");
      avoid.set(key, nodes);
    }
  }
  const sent = new Map(thread.volatile.sent);
  // An execution armor that has just started waits for the order to be repeated.
  if (payload["started"] === true || instances.some(({ state }) => state === "pending")) sent.delete(node);
  thread.setVolatile({ ...thread.volatile, reports: new Map(thread.volatile.reports).set(node, instances), placed, avoid, sent });
}

function decide(thread: Placing): void {
  const nodes = thread.payload["nodes"] as unknown as readonly NodeView[];
  if (!hasMajority(nodes)) return;
  const alive = nodes.filter(({ state }) => state === "alive");
  const lost = nodes.filter(({ state }) => state === "failed" || state === "left").map(({ id }) => id);
  const reports = new Map(thread.volatile.reports);
  const sent = new Map(thread.volatile.sent);
  for (const id of lost) {
    reports.delete(id);
    sent.delete(id);
  }
  thread.setVolatile({ ...thread.volatile, reports, sent });
  const draining = nodes.filter(({ state }) => state === "draining");
  const silent = [...alive, ...draining].filter(({ id }) => !reports.has(id));
  for (const { id } of silent) askForReport(thread, id);
  if (silent.length > 0) return;
  // A suspect node may run what nobody else has reported.
  const unsure = nodes.some(({ id, state }) => state === "suspect" && !reports.has(id));
  // What the table says and too few nodes have, a successor would order once more, or never.
  const table = thread.payload["settled"] as { readonly [key: string]: Data } | null;
  if (table === null) return;
  const takenIn = new Set(thread.payload["takenIn"] as readonly string[]);
  const wanted = [...placeAll(thread, table, alive, [...lost, ...draining.map(({ id }) => id)], unsure), ...keepAll(thread, table)];
  // A suspect node may still be reached, straight or over another one.
  const reachable = nodes.filter(({ id, state }) => takenIn.has(id) && (state === "alive" || (state === "suspect" && reports.has(id))));
  for (const { id } of reachable) order(thread, id, wanted.filter((one) => one.node === id).map(({ order: one }) => one));
  for (const { id, replaced } of draining) {
    // What a node has whose name was given away is taken in no more.
    if (!takenIn.has(id) && !replaced) continue;
    // The old copies end when the new ones run, or have been tried everywhere.
    const staying = wanted.filter((one) => one.node === id).map(({ order: one }) => one);
    const awaited = (one: Wanted): boolean =>
      one.order.desired === "running" && !isUp(thread, one) && alive.some((node) => objection(thread, one.order, one.order.id, node.id) === 0);
    const leaving = (thread.volatile.sent.get(id) ?? []).filter(({ id: instance }) => wanted.some((one) => one.order.id === instance && one.node !== id && awaited(one)));
    order(thread, id, [...staying, ...leaving]);
    const left = (reports.get(id) ?? []).some(({ state }) => state !== "stopped" && state !== "completed" && state !== "failed");
    if (left || staying.length + leaving.length > 0) continue;
    if (alive.length === 0 || !ftmIsOn(thread, id)) thread.after(`drained ${id}`, 0, "node.drained", { subject: id });
    // Asked when it was to leave; there may have been nobody to take over, or the FTM has come since.
    else if (thread.nowMs - (thread.volatile.handedOverMs ?? -handOverAgainMs) >= handOverAgainMs) {
      thread.setVolatile({ ...thread.volatile, handedOverMs: thread.nowMs });
      thread.after("hand over", 0, "node.hand-over", { subject: id });
      thread.after("hand over again", handOverAgainMs, "cluster.changed");
    }
  }
}

/** An execution armor that is being reinstalled finds the question waiting. */
function askForReport(thread: Placing, node: string): void {
  const askedMs = thread.volatile.askedMs.get(node);
  if (askedMs !== undefined && thread.nowMs - askedMs < askAgainMs) return;
  const ops = [op("epoch.guard", executionOf(node)), op("instances.tell", executionOf(node))];
  thread.send({ ops, payload: { epoch: thread.volatile.epoch }, lane: "system", deadlineMs: askAgainMs });
  thread.setVolatile({ ...thread.volatile, askedMs: new Map(thread.volatile.askedMs).set(node, thread.nowMs) });
  thread.after("ask again", askAgainMs, "cluster.changed");
}

function isUp(thread: Placing, { node, order: { id } }: Wanted): boolean {
  return thread.volatile.reports.get(node)?.some((report) => report.id === id && report.state === "running") ?? false;
}

/** A node keeps the FTM until another has taken over. */
function ftmIsOn(thread: Placing, node: string): boolean {
  const armors = thread.payload["armors"] as unknown as readonly { armor: string; node: string }[];
  return armors.some((one) => one.armor === "ftm" && one.node === node);
}

type Wanted = { readonly node: string; readonly order: InstanceOrder };

function placeAll(thread: Placing, table: { readonly [key: string]: Data }, alive: readonly NodeView[], lost: readonly string[], unsure: boolean): Wanted[] {
  const wanted: Wanted[] = [];
  const load = new Map(alive.map(({ id }) => [id, 0]));
  const pending: { entry: ApplicationEntry; id: string; from: Placed | undefined }[] = [];
  forgetRemoved(thread, [table, thread.payload["table"] as { readonly [key: string]: Data }]);
  for (const key of Object.keys(table).filter((name) => name.startsWith("app:")).sort()) {
    const entry = table[key] as unknown as ApplicationEntry;
    for (const id of instanceIds(entry)) {
      const placed = thread.volatile.placed.get(instanceKey({ id, serial: entry.serial }));
      const stays = placed && !lost.includes(placed.node) && !mustMove(thread, entry, id, placed, alive);
      if (stays) {
        wanted.push({ node: placed.node, order: makeOrder(entry, id, placed.placement) });
        load.set(placed.node, (load.get(placed.node) ?? 0) + 1);
      } else if (entry.desired === "running" && !entry.completed.includes(id)) {
        if (placed || isFresh(entry, thread) || !unsure) pending.push({ entry, id, from: placed });
      }
    }
  }
  for (const { entry, id, from } of pending) {
    const target = choose(thread, entry, id, from, alive, load, wanted);
    if (!target) continue;
    const number = thread.volatile.number + 1;
    const placement = { epoch: thread.volatile.epoch, number };
    const placed = new Map(thread.volatile.placed).set(instanceKey({ id, serial: entry.serial }), { node: target, placement });
    thread.setVolatile({ ...thread.volatile, number, placed });
    wanted.push({ node: target, order: makeOrder(entry, id, placement) });
    load.set(target, (load.get(target) ?? 0) + 1);
    if (from || !isFresh(entry, thread)) thread.event({ kind: "application.moved", subject: id, node: target, from: from?.node ?? null });
  }
  return wanted;
}

/** What runs by an entry that too few nodes have, such as one that another FTM made while its side was apart: it stays as it is. */
function keepAll(thread: Placing, settled: { readonly [key: string]: Data }): Wanted[] {
  const newest = thread.payload["table"] as { readonly [key: string]: Data };
  const wanted: Wanted[] = [];
  for (const key of Object.keys(newest).filter((name) => name.startsWith("app:") && settled[name] === undefined).sort()) {
    const entry = newest[key] as unknown as ApplicationEntry;
    for (const [node, reports] of thread.volatile.reports) {
      for (const { id, serial, restart, placement, state } of reports) {
        if (serial !== entry.serial || restart !== entry.restart || !instanceIds(entry).includes(id)) continue;
        if (thread.volatile.placed.get(instanceKey({ id, serial }))?.node !== node) continue;
        const desired = state === "stopped" || state === "stopping" || state === "pending" ? "stopped" : "running";
        wanted.push({ node, order: { ...makeOrder(entry, id, placement), desired } });
      }
    }
  }
  return wanted;
}

/** An application that is removed and submitted again starts anew, also while its last copies still end. */
function instanceKey({ id, serial }: { readonly id: string; readonly serial: string }): string {
  return `${id} ${serial}`;
}

function forgetRemoved(thread: Placing, tables: readonly { readonly [key: string]: Data }[]): void {
  // What runs and is in no table may be in that of a node which is about to be taken in.
  const known = new Set([...thread.volatile.reports.values()].flatMap((reports) => reports.map(instanceKey)));
  for (const [key, value] of tables.flatMap((table) => Object.entries(table))) {
    if (!key.startsWith("app:")) continue;
    const entry = value as unknown as ApplicationEntry;
    for (const id of instanceIds(entry)) known.add(instanceKey({ id, serial: entry.serial }));
  }
  const kept = <T>(map: ReadonlyMap<string, T>): Map<string, T> => new Map([...map].filter(([key]) => known.has(key)));
  thread.setVolatile({ ...thread.volatile, placed: kept(thread.volatile.placed), avoid: kept(thread.volatile.avoid) });
}

/** Submitted to this FTM: it cannot run anywhere yet. */
function isFresh(entry: ApplicationEntry, thread: Placing): boolean {
  const { number, node } = thread.volatile.epoch;
  return entry.restart === 0 && entry.serial.startsWith(`${number}.${node}.`);
}

/** A crash loop, or a node that cannot run it, moves it while there is a node not yet tried. */
function mustMove(thread: Placing, entry: ApplicationEntry, id: string, placed: Placed, alive: readonly NodeView[]): boolean {
  if (entry.desired !== "running" || entry.application.pin) return false;
  const here = objection(thread, entry, id, placed.node);
  return alive.some((node) => objection(thread, entry, id, node.id) < here);
}

/**
 * What there is against a node: nothing; it does not stay up there; it cannot be started there at all. That was not
 * long ago, and no operator has restarted it since: nodes change.
 */
function objection(thread: Placing, { serial, restart }: Pick<ApplicationEntry, "serial" | "restart">, id: string, node: string): 0 | 1 | 2 {
  const found = thread.volatile.avoid.get(instanceKey({ id, serial }))?.get(node);
  if (!found || found.untilMs <= thread.nowMs || found.restart < restart) return 0;
  return found.starts ? 1 : 2;
}

/** Where it has not failed to stay up, else where it at least starts, then where there is room on the disk, if anywhere; the fewest copies of the application, then the fewest instances, then the first by name. */
function choose(
  thread: Placing,
  entry: ApplicationEntry,
  id: string,
  from: Placed | undefined,
  alive: readonly NodeView[],
  load: ReadonlyMap<string, number>,
  wanted: readonly Wanted[],
): string | undefined {
  const { application } = entry;
  let candidates = alive.filter((node) => !application.pin || node.name === application.node);
  // First of all away from where it does not stay up: what must move would else be placed there again, and again.
  const objections = new Map(candidates.map((node) => [node.id, objection(thread, entry, id, node.id)]));
  const least = Math.min(...objections.values());
  candidates = candidates.filter((node) => objections.get(node.id) === least);
  const roomy = candidates.filter(({ full }) => !full);
  if (roomy.length > 0) candidates = roomy;
  const preferred = from === undefined ? candidates.find(({ name }) => name === application.node) : undefined;
  if (preferred) return preferred.id;
  const copies = (node: string): number => wanted.filter((one) => one.node === node && one.order.application.name === application.name).length;
  const cost = (node: NodeView): number => copies(node.id) * 1_000_000 + (load.get(node.id) ?? 0);
  return [...candidates].sort((a, b) => cost(a) - cost(b) || (a.name < b.name ? -1 : 1))[0]?.id;
}

function makeOrder(entry: ApplicationEntry, id: string, placement: Placement): InstanceOrder {
  const desired = entry.completed.includes(id) ? "stopped" : entry.desired;
  return { id, serial: entry.serial, application: entry.application, desired, restart: entry.restart, placement };
}

function order(thread: Placing, node: string, instances: readonly InstanceOrder[]): void {
  const before = thread.volatile.sent.get(node);
  if (before && dataEqual(before as unknown as Data, instances as unknown as Data)) return;
  const { epoch } = thread.volatile;
  const sent = thread.send({
    ops: [op("epoch.guard", executionOf(node)), op("instances.assign", executionOf(node))],
    payload: { epoch, instances: instances as unknown as Data },
    lane: "system",
  });
  if (sent) thread.setVolatile({ ...thread.volatile, sent: new Map(thread.volatile.sent).set(node, instances) });
}
