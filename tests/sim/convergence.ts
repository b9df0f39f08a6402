/**
 * What a cluster must be once faults have ended: one FTM, known everywhere; a
 * heartbeat armor on another node; every application exactly as specified.
 *
 * @module
 */
import { type ApplicationEntry, instanceIds } from "../../armors/shapes.ts";
import type { SimCluster } from "./sim_cluster.ts";
import type { SimNode } from "./sim_node.ts";
import type { Workload } from "./workload.ts";

type Single = { readonly node: string; readonly pid: number | null; readonly state: string } | null;
type Status = {
  readonly stale: boolean;
  readonly epoch: { readonly number: number };
  readonly ftm: Single;
  readonly heartbeat: Single;
  readonly nodes: readonly { readonly name: string; readonly state: string }[];
  readonly armors: readonly { readonly id: string; readonly role: string; readonly node: string; readonly state: string; readonly pid: number | null }[];
  readonly applications: readonly { readonly name: string; readonly state: string; readonly instances: readonly { readonly id: string; readonly node: string | null; readonly pid: number | null; readonly state: string }[] }[];
};

/** @returns What is not as it should be; empty if all is well. */
export function problemsOf(cluster: SimCluster, workload: Workload): string[] {
  const ftms = cluster.processes("ftm");
  if (ftms.length !== 1) return [`${ftms.length} FTMs live`];
  const { process, node: ftmNode } = ftms[0]!;
  const kernel = cluster.life(process)?.kernel;
  if (!kernel) return ["the FTM is starting"];
  const table = kernel.state("application_table") as { readonly [key: string]: unknown };
  const left = cluster.nodes.filter(({ id }) => (table[`node:${id}`] as { left: boolean } | undefined)?.left);
  const members = cluster.nodes.filter((node) => !left.includes(node));
  return [
    ...left.flatMap((node) => node.machine.all().map(({ role, name }) => `${role} ${name} lives on ${node.name}, which has left`)),
    ...members.flatMap((node) => memberProblems(node, ftmNode, members)),
    ...workload.problems(table),
    ...programProblems(cluster, table, members, workload),
  ];
}

function memberProblems(node: SimNode, ftmNode: SimNode, members: readonly SimNode[]): string[] {
  const { name, daemon } = node;
  if (!daemon?.process.alive) return [`${name} has no daemon`];
  const found: string[] = [];
  const say = (text: string): void => void found.push(`${name}: ${text}`);
  const status = daemon.status() as unknown as Status;
  if (status.stale) say("its status is stale");
  if (status.ftm?.node !== ftmNode.name || status.ftm.state !== "running") say(`the FTM is ${JSON.stringify(status.ftm)}`);
  if (members.length > 1 && (status.heartbeat?.state !== "running" || status.heartbeat.node === ftmNode.name)) {
    say(`the heartbeat armor is ${JSON.stringify(status.heartbeat)} and the FTM on ${ftmNode.name}`);
  }
  for (const member of members) {
    const state = status.nodes.find((one) => one.name === member.name)?.state;
    if (state !== "alive") say(`${member.name} is ${state}`);
  }
  for (const armor of status.armors) if (armor.state !== "running") say(`${armor.id} on ${armor.node} is ${armor.state}`);
  if (!node.guardLock?.alive || node.guardLock.stopped) say("it has no guard");
  for (const role of ["daemon", "execution"]) {
    const processes = node.machine.all(role);
    if (processes.length !== 1 || processes[0]!.stopped) say(`${processes.length} processes of role ${role}`);
  }
  const hearts = node.machine.all("heartbeat").length;
  if (hearts !== (status.heartbeat?.node === name ? 1 : 0)) say(`${hearts} processes of role heartbeat`);
  return found;
}

/** Restarts by operators that an execution armor has been told of. */
function restartsTaken(cluster: SimCluster, node: string, id: string): number | undefined {
  const armor = cluster.processes("execution").find((one) => one.node.name === node);
  const instances = armor && cluster.life(armor.process)?.kernel.state("instances");
  return (instances?.[id] as { order: { restart: number } } | undefined)?.order.restart;
}

/** Ending of what is said of a program that ends by itself and has not yet. */
export const endsByItself = " is still to end by itself";

/** It cannot be started where it is, for now, and is tried again. */
function isRefused(cluster: SimCluster, id: string): boolean {
  return cluster.processes("execution").some(({ process }) => {
    const instances = cluster.life(process)?.kernel.state("instances") as { readonly [id: string]: { readonly cannot: string } } | undefined;
    return (instances?.[id]?.cannot ?? "") !== "";
  });
}

function programProblems(
  cluster: SimCluster,
  table: { readonly [key: string]: unknown },
  members: readonly SimNode[],
  workload: Workload,
): string[] {
  const found: string[] = [];
  const running = new Map<string, { node: string; pid: number; stopped: boolean }[]>();
  for (const { node, process } of cluster.processes("program")) {
    if (process.transient) found.push(`${process.name}${endsByItself}`);
    running.set(process.name, [...(running.get(process.name) ?? []), { node: node.name, pid: process.pid, stopped: process.stopped }]);
  }
  const status = members[0]?.daemon?.status() as unknown as Status | undefined;
  const expected = new Set<string>();
  for (const { name } of workload.applications) {
    const entry = table[`app:${name}`] as ApplicationEntry | undefined;
    if (!entry) continue;
    const launchable = members.some((node) => !node.neverLaunches(entry.application.command));
    for (const id of instanceIds(entry)) {
      const seen = status?.applications.find((one) => one.name === name)?.instances.find((one) => one.id === id);
      const programs = running.get(id) ?? [];
      if (entry.desired === "running" && entry.application.kind === "service" && launchable) {
        expected.add(id);
        if (programs.length !== 1) found.push(`${id} runs ${programs.length} times: ${programs.map(({ node }) => node).join(", ")}`);
        else if (programs[0]!.stopped) found.push(`${id} hangs`);
        else if (restartsTaken(cluster, programs[0]!.node, id) !== entry.restart) found.push(`${id} is still to be restarted`);
        else if (seen?.state !== "running" || seen.pid !== programs[0]!.pid || seen.node !== programs[0]!.node) {
          found.push(`${id} runs as ${JSON.stringify(programs[0])} and is shown as ${JSON.stringify(seen)}`);
        }
      } else if (entry.desired === "running" && launchable) {
        if (seen?.state !== "completed" && seen?.state !== "failed") found.push(`job ${id} is ${seen?.state}`);
        else if (isRefused(cluster, id)) found.push(`job ${id} is still to be tried again`);
      } else if (entry.desired === "stopped" && !["stopped", "completed", "failed"].includes(seen?.state ?? "")) {
        found.push(`${id} is to be stopped and shown as ${seen?.state}`);
      }
    }
  }
  for (const [id, programs] of running) if (!expected.has(id)) found.push(`${id} runs on ${programs.map(({ node }) => node).join(", ")} though it should not`);
  return found;
}
