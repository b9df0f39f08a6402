/**
 * Many nodes in one process: how long a cluster takes to come together, what it
 * says while it is idle, and how soon everything is there again when it loses a
 * node, and when it loses the one that leads.
 *
 * @module
 */
import process from "node:process";
import type { View } from "../../armors/elements/view_shape.ts";
import { SimCluster } from "./sim_cluster.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";

/** Figures of one cluster. */
export interface ScaleResult {
  readonly nodes: number;
  /** Virtual milliseconds from power to every node knowing every node; -1: not within `startWithinMs`. */
  readonly togetherMs: number;
  /** What nodes have said to each other until then, for each of them: frames, and their kibibytes. */
  readonly startFrames: number;
  readonly startKiB: number;
  /** Per node and virtual second while nothing happens, between nodes. */
  readonly idleFrames: number;
  readonly idleDatagrams: number;
  readonly idleBytes: number;
  /** Of the node with the FTM: datagrams sent and taken. */
  readonly idleManagerDatagrams: number;
  /** Virtual milliseconds from the loss of a node to "failed", and to its instance running elsewhere. */
  readonly detectedMs: number;
  readonly movedMs: number;
  /** Virtual milliseconds from the loss of the FTM's node to an FTM elsewhere, to its instance running elsewhere, and to all nodes knowing of both. */
  readonly successorMs: number;
  readonly movedFromFtmMs: number;
  readonly allKnowMs: number;
  /** Processor seconds of the whole simulation: to come together, per virtual second of idleness, and in all. */
  readonly startCpuSeconds: number;
  readonly idleCpuSeconds: number;
  readonly cpuSeconds: number;
  /** The most that the process had. */
  readonly residentMiB: number;
}

const startWithinMs = 120_000;
const powerWithinMs = 2_000;
const idleMs = 5_000;
const lossWithinMs = 60_000;
const instances = 3;
/** With the one on the node of the FTM. */
const allInstances = instances + 1;

/** Run one cluster of this size. @param say Told how far it is. */
export async function scale(nodes: number, seed: number, say: (text: string) => void): Promise<ScaleResult> {
  const cluster = new SimCluster({ seed, nodes, large: true });
  const { network: { counts }, clock } = cluster;
  const cpu = cpuClock();
  const report = (text: string): void => say(`${clock.nowMs} ms: ${text}, ${cpu().toFixed(0)} s of processor time, ${residentMiB().toFixed(0)} MiB`);
  const know = (count: number): number => cluster.nodes.filter((node) => knows(node) === count).length;
  for (const node of cluster.nodes) clock.at(node.join.length === 0 ? 0 : cluster.plan.below(powerWithinMs), () => node.powerOn());
  const togetherMs = await until(cluster, startWithinMs, () => {
    report(`${know(nodes)} of ${nodes} nodes know all`);
    return know(nodes) === nodes;
  });
  const start = { startFrames: counts.frames / nodes, startKiB: counts.frameBytes / nodes / 1_024, startCpuSeconds: cpu() };
  submit(cluster, "web", { instances });
  submit(cluster, "core", { node: managerOf(cluster).name });
  await until(cluster, lossWithinMs, () => programs(cluster).length === allInstances);
  // What the submission has led to: all are told of it.
  await cluster.run(2_000 + nodes * 10);
  const idle = await idleness(cluster, cpu);
  report(`idle with ${idle.idleFrames.toFixed(2)} frames and ${idle.idleDatagrams.toFixed(1)} datagrams per node and second`);
  const lost = programs(cluster).map(({ node }) => node).find((node) => node !== managerOf(cluster))!;
  const lostAtMs = clock.nowMs;
  lost.powerOff();
  const detectedMs = await until(cluster, lossWithinMs, () => stateOf(cluster, lost) === "failed", 10);
  const moved = await until(cluster, lossWithinMs, () => programs(cluster).length === allInstances, 10);
  const movedMs = moved < 0 ? -1 : clock.nowMs - lostAtMs;
  await until(cluster, lossWithinMs, () => know(nodes - 1) === nodes - 1);
  report(`a node lost, its instance elsewhere after ${movedMs} ms`);
  const ftm = await loseManager(cluster, (left) => know(nodes - 2) === left);
  report(`the node of the FTM lost, another after ${ftm.successorMs} ms, its instance elsewhere after ${ftm.movedFromFtmMs} ms`);
  return { nodes, togetherMs, ...start, ...idle, detectedMs, movedMs, ...ftm, cpuSeconds: cpu(), residentMiB: residentMiB() };
}

/** What is said while nothing happens. */
async function idleness(cluster: SimCluster, cpu: () => number): Promise<Pick<ScaleResult, "idleFrames" | "idleDatagrams" | "idleBytes" | "idleManagerDatagrams" | "idleCpuSeconds">> {
  const { network, nodes } = cluster;
  const manager = managerOf(cluster).name;
  const before = { ...network.counts, manager: network.datagramsOf(manager), cpu: cpu() };
  await cluster.run(idleMs);
  const { frames, frameBytes, datagrams, datagramBytes } = network.counts;
  const seconds = idleMs / 1_000;
  const per = (all: number): number => all / nodes.length / seconds;
  return {
    idleFrames: per(frames - before.frames),
    idleDatagrams: per(datagrams - before.datagrams),
    idleBytes: per(frameBytes - before.frameBytes + datagramBytes - before.datagramBytes),
    idleManagerDatagrams: (network.datagramsOf(manager) - before.manager) / seconds,
    idleCpuSeconds: (cpu() - before.cpu) / seconds,
  };
}

/** The node with the FTM and one instance loses its power. @param allKnow Whether so many nodes know which are alive. */
async function loseManager(cluster: SimCluster, allKnow: (nodes: number) => boolean): Promise<Pick<ScaleResult, "successorMs" | "movedFromFtmMs" | "allKnowMs">> {
  const startMs = cluster.clock.nowMs;
  const since = (waitedMs: number): number => (waitedMs < 0 ? -1 : cluster.clock.nowMs - startMs);
  managerOf(cluster).powerOff();
  const successorMs = since(await until(cluster, lossWithinMs, () => cluster.processes("ftm").some(({ process: ftm }) => nodesOf(cluster, ftm) > 0), 10));
  const movedFromFtmMs = since(await until(cluster, lossWithinMs, () => programs(cluster).length === allInstances, 10));
  const allKnowMs = since(await until(cluster, lossWithinMs, () => allKnow(cluster.nodes.length - 2)));
  return { successorMs, movedFromFtmMs, allKnowMs };
}

/** As a row of the table in docs/simulator.md. */
export function scaleRow(result: ScaleResult): string {
  const seconds = (ms: number): string => (ms < 0 ? "never" : `${(ms / 1_000).toFixed(1)} s`);
  const { nodes, togetherMs, startFrames, startKiB, startCpuSeconds, idleCpuSeconds, cpuSeconds, residentMiB: most } = result;
  const { idleFrames, idleDatagrams, idleBytes, idleManagerDatagrams, movedMs, successorMs, movedFromFtmMs, allKnowMs } = result;
  return `| ${[
    nodes,
    seconds(togetherMs),
    `${startFrames.toFixed(0)}, ${startKiB.toFixed(0)} KiB`,
    `${(idleFrames + idleDatagrams).toFixed(1)}, ${(idleBytes / 1_024).toFixed(1)} KiB`,
    idleManagerDatagrams.toFixed(0),
    seconds(movedMs),
    `${seconds(successorMs)}, ${seconds(movedFromFtmMs)}, ${seconds(allKnowMs)}`,
    `${startCpuSeconds.toFixed(1)} s`,
    `${idleCpuSeconds.toFixed(2)} s`,
    `${cpuSeconds.toFixed(0)} s`,
    `${most.toFixed(0)} MiB`,
  ].join(" | ")} |`;
}

/** @returns Virtual milliseconds until it held; -1 if it never did. */
async function until(cluster: SimCluster, withinMs: number, holds: () => boolean, everyMs = 500): Promise<number> {
  const startMs = cluster.clock.nowMs;
  while (cluster.clock.nowMs - startMs < withinMs) {
    if (holds()) return cluster.clock.nowMs - startMs;
    await cluster.run(everyMs);
    if (cluster.violation) throw cluster.violation;
  }
  return holds() ? cluster.clock.nowMs - startMs : -1;
}

/** Nodes that a running node knows to be alive. */
function knows({ daemon, machine }: SimNode): number {
  if (!machine.on) return -1;
  const { view } = (daemon?.kernel.volatile("gateway") ?? { view: null }) as { view: View | null };
  return view?.nodes.filter(({ state }) => state === "alive").length ?? 0;
}

function managerOf(cluster: SimCluster): SimNode {
  return cluster.processes("ftm")[0]!.node;
}

type Registered = { readonly nodes: ReadonlyMap<string, { readonly state: string }> };

function stateOf(cluster: SimCluster, { id }: SimNode): string {
  const { nodes } = cluster.life(cluster.processes("ftm")[0]!.process)!.kernel.volatile("registration") as Registered;
  return nodes.get(id)!.state;
}

/** Nodes that an FTM has begun with; 0 before. */
function nodesOf(cluster: SimCluster, ftm: SimProcess): number {
  return (cluster.life(ftm)?.kernel.volatile("registration") as Registered | undefined)?.nodes.size ?? 0;
}

function programs(cluster: SimCluster): { readonly node: SimNode; readonly process: SimProcess }[] {
  return cluster.processes("program");
}

function submit(cluster: SimCluster, name: string, more: { readonly instances?: number; readonly node?: string }): void {
  const usual = { command: "/bin/program", args: ["run"], env: {}, directory: null, user: null, instances: 1, node: null, pin: false, kind: "service", singleton: false };
  cluster.nodes[0]!.daemon!.operate("application.submit", { application: { ...usual, name, ...more } }, () => {});
}

/** @returns Processor seconds since now. */
function cpuClock(): () => number {
  const from = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(from);
    return (user + system) / 1e6;
  };
}

/** What the process has had at most. */
function residentMiB(): number {
  return process.resourceUsage().maxRSS / 1_024;
}
