/**
 * Faults by `armor inject`'s own way: at the seams of the armors, in their
 * state, in their checkpoints, on their disks.
 *
 * @module
 */
import { readlinkSync } from "node:fs";
import { join } from "node:path";
import type { Fault, FaultOrder, FaultTarget, Traffic } from "../../armors/fault_order.ts";
import type { EventDocument } from "../../cli/demo/node_session.ts";
import { timing } from "../../core/limits.ts";
import type { RandomSource } from "../../core/random.ts";
import type { Node, Status } from "../../tests/e2e/node.ts";
import { signal } from "../../tests/e2e/processes.ts";
import { request } from "../../transports/http2_client.ts";
import type { Injected, PlannedFault } from "./faults.ts";
import { type Life, pause } from "./life.ts";

const armorTargets = ["daemon", "execution", "ftm", "heartbeat"] as const;
const traffic = ["drop", "delay", "duplicate", "corrupt"] as const;

/** A flip is found by then, or not at all; what follows from it shows by then. */
const auditedMs = timing.selfAuditMs + 500;

/** What travels, clocks, starvation, full disks: Armor has to go on as if nothing were. */
export const seamFaults: readonly (PlannedFault & { readonly weight: number })[] = [
  ...armorTargets.flatMap((target) => [...traffic.map((fault) => ({ target, fault, weight: 2 })), { target, fault: "clock-jump", weight: 1 }, { target, fault: "cpu", weight: 1 }]),
  ...["drop", "delay", "duplicate", "corrupt", "partition"].map((fault) => ({ target: "node" as const, fault, weight: 3 })),
  { target: "node", fault: "cpu", weight: 1 },
  // Where the data folder is on a small file system.
  { target: "node", fault: "disk-full", weight: 4 },
  // A guard has heartbeats only.
  ...[...traffic, "cpu"].map((fault) => ({ target: "guard" as const, fault, weight: 1 })),
  { target: "counter", fault: "cpu", weight: 1 },
  ...(["daemon", "execution", "heartbeat"] as const).map((target) => ({ target, fault: "corrupt-checkpoint, kill", weight: 2 })),
];

/** One bit of live state: what no check notices may have any effect. */
export const stateFaults: readonly (PlannedFault & { readonly weight: number })[] = armorTargets.map((target) => ({ target, fault: "corrupt-state", weight: 1 }));

/** Whether this file knows the fault. */
export function isSeamFault({ target, fault }: PlannedFault): boolean {
  return [...seamFaults, ...stateFaults].some((one) => one.target === target && one.fault === fault);
}

/** Do it. @returns `undefined` if there is nothing to hit now, or nobody to order it of. */
export async function injectAtSeam(life: Life, { target, fault }: PlannedFault, random: RandomSource, nowMs: () => number, nodes: readonly Node[]): Promise<Injected | undefined> {
  const asked = nodes[random.below(nodes.length)]!;
  const status = await life.status(asked);
  const found = status && place(status, target, random, nodes);
  if (!found) return undefined;
  const forMs = 200 + random.below(fault === "partition" || fault === "disk-full" ? 5_000 : 1_800);
  const elements = found.armor?.elements ?? [];
  const order: FaultOrder = {
    fault: fault.split(",")[0] as Fault,
    node: found.node,
    target: found.target,
    forMs,
    seed: random.below(2 ** 32),
    percent: 10 + random.below(80),
    traffic: (["messages", "heartbeats", "all"] satisfies Traffic[])[random.below(3)]!,
    byMs: fault === "clock-jump" ? random.below(33_000) - 3_000 : 1 + random.below(600),
    element: fault === "corrupt-state" ? elements[random.below(Math.max(1, elements.length))]?.name ?? "messaging" : null,
  };
  const atMs = nowMs();
  if (!(await ordered(asked, order))) return undefined;
  if (fault.endsWith("kill") && found.armor?.pid) signal(found.armor.pid, "SIGKILL");
  const lastsMs = fault === "corrupt-state" ? auditedMs : /^(clock-jump|corrupt-checkpoint)/.test(fault) ? 0 : forMs + 50;
  return { atMs, over: pause(lastsMs), detects: detector(target, found.armor?.id, atMs), what: JSON.stringify(order) };
}

type Found = { readonly node: string; readonly target: FaultTarget; readonly armor?: { readonly id: string; readonly pid: number | null; readonly elements?: readonly { readonly name: string }[] } };

function place(status: Status, target: string, random: RandomSource, nodes: readonly Node[]): Found | undefined {
  const idOf = (name: string): string | undefined => status.nodes.find((node) => node.name === name)?.id;
  if (target === "node") {
    const node = idOf(nodes[random.below(nodes.length)]!.name);
    return node === undefined ? undefined : { node, target: { kind: "node" } };
  }
  if (target === "guard") {
    const node = idOf(nodes[random.below(nodes.length)]!.name);
    return node === undefined ? undefined : { node, target: { kind: "armor", id: `guard@${node}` } };
  }
  if (target === "counter") {
    const [instance] = status.applications.find(({ name }) => name === target)?.instances ?? [];
    const node = instance?.pid && instance.node && idOf(instance.node);
    return node ? { node, target: { kind: "instance", id: instance.id } } : undefined;
  }
  const armors = status.armors.filter(({ role, pid }) => role === target && pid !== null);
  const armor = armors[random.below(Math.max(1, armors.length))];
  const node = armor && idOf(armor.node);
  return armor && node !== undefined ? { node, target: { kind: "armor", id: armor.id }, armor } : undefined;
}

async function ordered(by: Node, order: FaultOrder): Promise<boolean> {
  try {
    const socket = join(readlinkSync(join(by.dataDir, "run")), "daemon.sock");
    const answer = await request({ address: { path: socket }, method: "POST", path: "/v1/faults", json: order, timeoutMs: 2_000, connectTimeoutMs: 1_000 });
    await answer.text();
    return answer.status === 200;
  } catch {
    return false;
  }
}

function detector(target: string, id: string | undefined, sinceMs: number): (event: EventDocument) => boolean {
  return ({ atMs, kind, subject }) => {
    if (atMs < sinceMs - 2) return false;
    if (target === "node") return /^(node|guard|armor|ftm|disk)\./.test(kind) && kind !== "armor.installed";
    if (target === "guard") return kind.startsWith("guard.");
    if (target === "counter") return subject.startsWith(target) && /^application\.(exited|hung|restarted)$/.test(kind);
    return kind === "checkpoint.damaged" || (target === "ftm" && kind === "ftm.takeover") || (subject === id && /^armor\.(crashed|hung|recovered|rewound)$/.test(kind));
  };
}
