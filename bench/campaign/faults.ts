/**
 * Faults from outside: signals to processes of every kind, found in `/proc` at
 * the moment of the injection.
 *
 * @module
 */
import type { EventDocument } from "../../cli/demo/node_session.ts";
import type { RandomSource } from "../../core/random.ts";
import type { Node } from "../../tests/e2e/node.ts";
import { signal } from "../../tests/e2e/processes.ts";
import { type Life, pause } from "./life.ts";

/** What is hit. */
export type Target = "guard" | "daemon" | "execution" | "ftm" | "heartbeat" | "shim" | "counter" | "redis" | "job" | "node" | "armors of a node" | "ftm and heartbeat";

/** A fault to come. */
export interface PlannedFault {
  readonly target: Target;
  readonly fault: string;
}

/** A fault that is there. */
export interface Injected {
  /** Milliseconds since boot. */
  readonly atMs: number;
  /** Resolves when a fault that ends by itself has ended. */
  readonly over: Promise<void>;
  /** Whether an event tells of it. */
  detects(event: EventDocument): boolean;
  /** More about it, for the file of a failure. */
  readonly what?: string;
}

const processFaults = ["kill", "segv", "hang", "pause"];
const processTargets: readonly Target[] = ["guard", "daemon", "execution", "ftm", "heartbeat", "shim", "counter", "redis", "job"];

/** Every pair of target and fault, with how often it is chosen. */
export const outsideFaults: readonly (PlannedFault & { readonly weight: number })[] = [
  ...processTargets.flatMap((target) => processFaults.map((fault) => ({ target, fault, weight: fault === "segv" ? 2 : 4 }))),
  { target: "armors of a node", fault: "kill", weight: 3 },
  { target: "armors of a node", fault: "pause", weight: 2 },
  { target: "ftm and heartbeat", fault: "kill", weight: 2 },
  { target: "node", fault: "power, back at once", weight: 2 },
  { target: "node", fault: "power, back later", weight: 2 },
];

/** Choose by weight. */
export function chosen<Choice extends { readonly weight: number }>(choices: readonly Choice[], random: RandomSource): Choice {
  let left = random.below(choices.reduce((sum, { weight }) => sum + weight, 0));
  return choices.find(({ weight }) => (left -= weight) < 0)!;
}

/** Do it. @returns `undefined` if there is nothing to hit now. */
export async function inject(life: Life, { target, fault }: PlannedFault, random: RandomSource, nowMs: () => number, nodes: readonly Node[] = life.nodes): Promise<Injected | undefined> {
  if (target === "node") return powerCut(life, fault, random, nowMs, nodes);
  const pids = await find(life, target, random, nodes);
  // A guard that hangs before it has started a daemon is a machine that hangs at its start.
  const alone = target === "guard" && fault === "hang" && nodes.some((node) => node.pids("daemon").length === 0);
  if (pids.length === 0 || alone) return undefined;
  const atMs = nowMs();
  const name = fault === "kill" ? "SIGKILL" : fault === "segv" ? "SIGSEGV" : "SIGSTOP";
  for (const pid of pids) signal(pid, name);
  // A whole node is paused for long enough to be given up now and then.
  const lasting = 50 + random.below(target === "armors of a node" ? 4_000 : 850);
  const over = fault === "pause" ? pause(lasting).then(() => pids.forEach((pid) => signal(pid, "SIGCONT"))) : Promise.resolve();
  return { atMs, over, detects: detector(target, atMs) };
}

/** Pids to signal. */
async function find(life: Life, target: Target, random: RandomSource, nodes: readonly Node[]): Promise<number[]> {
  if (target === "counter" || target === "redis" || target === "job") {
    const found = life.programs(nodes).filter(({ instance }) => instance.startsWith(target));
    return found.length === 0 ? [] : [found[random.below(found.length)]!.pid];
  }
  const processes = life.processes(nodes);
  if (target === "ftm and heartbeat") return processes.filter(({ role }) => role === "ftm" || role === "heartbeat").map(({ pid }) => pid);
  if (target === "armors of a node") {
    const node = nodes[random.below(nodes.length)];
    return processes.filter((one) => one.node === node && one.role !== "shim").map(({ pid }) => pid);
  }
  const found = processes.filter(({ role }) => role === target);
  return found.length === 0 ? [] : [found[random.below(found.length)]!.pid];
}

/** All of a node ends, programs too; then it is started again. */
async function powerCut(life: Life, fault: string, random: RandomSource, nowMs: () => number, nodes: readonly Node[]): Promise<Injected> {
  const node = nodes[random.below(nodes.length)]!;
  const others = life.nodes.filter((one) => one !== node);
  const atMs = nowMs();
  await life.crash(node);
  const away = async (): Promise<void> => {
    // Not before the others have given it up and do its work; a cluster of one has nobody to wait for.
    if (fault === "power, back later" && others.length > 0) {
      for (const untilMs = nowMs() + 15_000; nowMs() < untilMs; await pause(20)) {
        const status = await life.status(others[0]!);
        if (status?.nodes.some(({ name, state }) => name === node.name && state === "failed")) break;
      }
    }
    life.spawn(node);
  };
  return { atMs, over: away(), detects: detector("node", atMs) };
}

const armorEvents = ["armor.crashed", "armor.hung", "armor.recovered"];

function detector(target: Target, sinceMs: number): (event: EventDocument) => boolean {
  const tells = ({ kind, subject }: EventDocument): boolean => {
    switch (target) {
      case "counter":
      case "redis":
      case "job":
        return subject.startsWith(target) && /^application\.(exited|hung|restarted)$/.test(kind);
      case "shim":
        return false;
      case "ftm":
        return kind === "ftm.takeover" || (subject === "ftm" && armorEvents.includes(kind));
      case "guard":
        return kind.startsWith("guard.");
      case "heartbeat":
      case "daemon":
      case "execution":
        return subject.split("@")[0] === target && armorEvents.includes(kind);
      default:
        return armorEvents.includes(kind) || /^(ftm|guard)\./.test(kind) || /^node\.(suspected|failed|returned)$/.test(kind);
    }
  };
  return (event) => event.atMs >= sinceMs - 2 && tells(event);
}
