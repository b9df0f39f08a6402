/**
 * Many nodes in one process: how long a cluster takes to come together, what it
 * says while it is idle, and how soon a lost node's application runs elsewhere.
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
  /** Per node and virtual second while nothing happens: between nodes, frames and datagrams. */
  readonly idleFrames: number;
  readonly idleDatagrams: number;
  readonly idleBytes: number;
  /** Of the node with the FTM. */
  readonly idleManagerDatagrams: number;
  /** Virtual milliseconds from the loss of power to "failed", and to the application running elsewhere. */
  readonly detectedMs: number;
  readonly movedMs: number;
  /** Processor seconds of the whole simulation: to come together, and per virtual second of idleness. */
  readonly startCpuSeconds: number;
  readonly idleCpuSeconds: number;
  readonly residentMiB: number;
}

const startWithinMs = 120_000;
const powerWithinMs = 2_000;
const idleMs = 5_000;
const lossWithinMs = 60_000;
const instances = 3;

/** Run one cluster of this size. @param say Told how far it is. */
export async function scale(nodes: number, seed: number, say: (text: string) => void): Promise<ScaleResult> {
  const cluster = new SimCluster({ seed, nodes });
  const { network, clock } = cluster;
  const cpu = cpuClock();
  for (const node of cluster.nodes) clock.at(node.join.length === 0 ? 0 : cluster.plan.below(powerWithinMs), () => node.powerOn());
  const togetherMs = await until(cluster, startWithinMs, () => {
    say(`${clock.nowMs} ms: ${cluster.nodes.filter((node) => knows(node) === nodes).length} of ${nodes} nodes know all, ${cpu().toFixed(0)} s of processor time`);
    return cluster.nodes.every((node) => knows(node) === nodes);
  });
  const startCpuSeconds = cpu();
  submit(cluster);
  await until(cluster, lossWithinMs, () => programs(cluster).length === instances);
  // What the submission has led to.
  await cluster.run(2_000);
  const before = { ...network.counts, manager: network.datagramsOf(managerOf(cluster).name), cpu: cpu() };
  await cluster.run(idleMs);
  const per = (all: number): number => all / nodes / (idleMs / 1_000);
  const idle = {
    idleFrames: per(network.counts.frames - before.frames),
    idleDatagrams: per(network.counts.datagrams - before.datagrams),
    idleBytes: per(network.counts.frameBytes - before.frameBytes),
    idleManagerDatagrams: (network.datagramsOf(managerOf(cluster).name) - before.manager) / (idleMs / 1_000),
    idleCpuSeconds: (cpu() - before.cpu) / (idleMs / 1_000),
  };
  say(`idle: ${idle.idleFrames.toFixed(2)} frames and ${idle.idleDatagrams.toFixed(2)} datagrams per node and second`);
  const lost = programs(cluster).map(({ node }) => node).find((node) => node !== managerOf(cluster));
  const lostAtMs = clock.nowMs;
  lost?.powerOff();
  const detectedMs = lost ? await until(cluster, lossWithinMs, () => stateOf(cluster, lost) === "failed", 10) : -1;
  const moved = detectedMs < 0 ? -1 : await until(cluster, lossWithinMs, () => programs(cluster).length === instances, 10);
  return {
    nodes,
    togetherMs,
    ...idle,
    detectedMs,
    movedMs: moved < 0 ? -1 : clock.nowMs - lostAtMs,
    startCpuSeconds,
    residentMiB: process.memoryUsage().rss / 2 ** 20,
  };
}

/** As a row of the table in docs/simulator.md. */
export function scaleRow(result: ScaleResult): string {
  const seconds = (ms: number): string => (ms < 0 ? "never" : `${(ms / 1_000).toFixed(2)} s`);
  const { nodes, togetherMs, idleFrames, idleDatagrams, idleBytes, idleManagerDatagrams, detectedMs, movedMs, startCpuSeconds, idleCpuSeconds, residentMiB } = result;
  const idle = `${idleFrames.toFixed(2)} | ${idleDatagrams.toFixed(1)} | ${idleBytes.toFixed(0)} | ${idleManagerDatagrams.toFixed(0)}`;
  return `| ${nodes} | ${seconds(togetherMs)} | ${idle} | ${seconds(detectedMs)} | ${seconds(movedMs)} | ${startCpuSeconds.toFixed(1)} s | ${idleCpuSeconds.toFixed(2)} s | ${residentMiB.toFixed(0)} MiB |`;
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

/** Nodes that a node knows to be alive. */
function knows({ daemon }: SimNode): number {
  const { view } = (daemon?.kernel.volatile("gateway") ?? { view: null }) as { view: View | null };
  return view?.nodes.filter(({ state }) => state === "alive").length ?? 0;
}

function managerOf(cluster: SimCluster): SimNode {
  return cluster.processes("ftm")[0]!.node;
}

function stateOf(cluster: SimCluster, { id }: SimNode): string {
  const { nodes } = cluster.life(cluster.processes("ftm")[0]!.process)!.kernel.volatile("registration") as { nodes: ReadonlyMap<string, { state: string }> };
  return nodes.get(id)!.state;
}

function programs(cluster: SimCluster): { readonly node: SimNode; readonly process: SimProcess }[] {
  return cluster.processes("program");
}

function submit(cluster: SimCluster): void {
  const application = {
    name: "web",
    command: "/bin/program",
    args: ["run"],
    env: {},
    directory: null,
    user: null,
    instances,
    node: null,
    pin: false,
    kind: "service",
    singleton: false,
  };
  cluster.nodes[0]!.daemon!.operate("application.submit", { application }, () => {});
}

/** @returns Processor seconds since now. */
function cpuClock(): () => number {
  const from = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(from);
    return (user + system) / 1e6;
  };
}
