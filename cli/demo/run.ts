/**
 * The demonstration itself: for each fault, wait for calm, inject, measure the
 * recovery from outside, and find in the events who noticed and when.
 *
 * @module
 */
import { selfArgv } from "../../armors/host/child_process.ts";
import { nowMs } from "../../armors/host/system_clock.ts";
import { CommandError } from "../command.ts";
import type { StatusDocument } from "../status_document.ts";
import { applicationCommand } from "./application.ts";
import { type Cluster, type ClusterNode, isSettled, runArmor } from "./cluster.ts";
import { applicationName, askApplication, type Fault, faults, type Scene } from "./faults.ts";
import { until } from "./probe.ts";

/** What came of one fault. */
export interface FaultResult {
  readonly fault: string;
  readonly node: string;
  readonly target: string;
  readonly command: string;
  /** Id of the armor that found it, and the same in words; `null` if no event says so. */
  readonly detectedBy: string | null;
  readonly detector: string | null;
  /** From the injection to the event. */
  readonly detectedAfterMs: number | null;
  /** From the injection to what was seen from outside. */
  readonly recoveredAfterMs: number | null;
  readonly recovered: boolean;
  readonly outcome: string;
  /** Requests to the application while an armor was repaired; `null` where the application itself was hit. */
  readonly requests: { readonly sent: number; readonly answered: number } | null;
}

/** Says what happens, a line at a time. */
export type Progress = (text: string) => void;

const calmWithinMs = 10_000;
const eventWithinMs = 3_000;
const detectionPauseMs = 20;
const requestPauseMs = 10;

/** Submit the application by the command line, as an operator does, and wait for its first answer. */
export async function submitApplication(cluster: Cluster, progress: Progress): Promise<void> {
  const [program, ...first] = selfArgv();
  const { nodes, applicationPort } = cluster;
  // Where neither FTM nor heartbeat armor is, so that each fault hits one thing.
  const status = await nodes[0]!.session.status();
  const busy = [status?.ftm?.node, status?.heartbeat?.node];
  const free = nodes.find(({ name }) => !busy.includes(name)) ?? nodes[0]!;
  const words = ["run", "--name", applicationName, "--node", free.name, "--data-dir", nodes[0]!.folder];
  progress(`$ armor ${words.slice(0, 5).join(" ")} -- armor ${applicationCommand} ${applicationPort}`);
  const said = await runArmor([...words, "--", program, ...first, applicationCommand, String(applicationPort)]);
  const answered = await until(() => askApplication(cluster), { withinMs: calmWithinMs, pauseMs: 5 });
  if (answered === undefined) throw new CommandError("unavailable", `the application was accepted but does not answer on port ${applicationPort}`);
  progress(`  ${said.trim()}; process ${answered.value.pid} on ${answered.value.node} answers at http://127.0.0.1:${applicationPort}/`);
}

/**
 * Inject every fault, one after the other. The first that is not repaired ends
 * the series: what follows would tell nothing.
 */
export async function injectAll(cluster: Cluster, progress: Progress): Promise<{ results: FaultResult[]; nodes: readonly ClusterNode[] }> {
  const results: FaultResult[] = [];
  let nodes = cluster.nodes;
  for (const { name, at } of faults) {
    const scene = await calmScene(cluster, nodes);
    if (scene === undefined) {
      results.push(untried(name, `not tried: the cluster did not come to rest within ${calmWithinMs / 1_000} s`));
      break;
    }
    const result = await injectOne(name, at(scene), scene, progress);
    results.push(result);
    if (name === "node loss") nodes = nodes.filter((node) => node.name !== result.node);
    if (!result.recovered) break;
  }
  for (const { name } of faults.slice(results.length)) results.push(untried(name, "not tried"));
  return { results, nodes };
}

/** Wait until everything runs as wanted, and note how it is. */
async function calmScene(cluster: Cluster, nodes: readonly ClusterNode[]): Promise<Scene | undefined> {
  const found = await until(async () => {
    if (!(await isSettled(nodes))) return undefined;
    const [status, answer] = [await nodes[0]!.session.status(), await askApplication(cluster)];
    return status && answer && { status, answer };
  }, { withinMs: calmWithinMs, pauseMs: 20 });
  return found && { cluster, nodes, ...found.value };
}

async function injectOne(name: string, fault: Fault, scene: Scene, progress: Progress): Promise<FaultResult> {
  progress(`${name}: ${fault.command}`);
  const traffic = fault.leavesApplication ? startTraffic(scene) : undefined;
  const injectedMs = nowMs();
  fault.inject();
  const recovery = await fault.recovery();
  const requests = (await traffic?.end()) ?? null;
  const event = await until(async () => {
    // A node that is about to be lost, or just was, need not have heard of it.
    for (const { session, name: node } of scene.nodes) {
      if (node === fault.node && scene.nodes.length > 1) continue;
      const found = (await session.events()).find((candidate) => candidate.atMs >= injectedMs - 1 && fault.detects(candidate));
      if (found) return found;
    }
    return undefined;
  }, { withinMs: eventWithinMs, pauseMs: detectionPauseMs });
  const detectedBy = event?.value.detectedBy ?? null;
  const disturbed = requests !== null && requests.answered < requests.sent;
  const words = recovery === undefined ? "not repaired in time" : recovery.value;
  const result: FaultResult = {
    fault: name,
    node: fault.node,
    target: fault.target,
    command: fault.command,
    detectedBy,
    detector: detectedBy === null ? null : armorInWords(detectedBy, scene.status),
    detectedAfterMs: event === undefined ? null : Math.max(0, event.value.atMs - injectedMs),
    recoveredAfterMs: recovery === undefined ? null : recovery.atMs - injectedMs,
    recovered: recovery !== undefined && event !== undefined && !disturbed,
    outcome: event === undefined ? `${words}; but no event tells of it` : words + (disturbed ? "; but the application was disturbed" : ""),
    requests,
  };
  const seen = event === undefined ? "" : `noticed after ${result.detectedAfterMs} ms by ${result.detector}, `;
  const asked = requests === null ? "" : `; application answered ${requests.answered} of ${requests.sent} requests meanwhile`;
  progress(`  ${seen}${recovery === undefined ? words : `${words} after ${result.recoveredAfterMs} ms`}${asked}`);
  return result;
}

/** Ask the application all the time; it must not notice. */
function startTraffic({ cluster, answer }: Scene): { end(): Promise<{ sent: number; answered: number }> } {
  let running = true;
  let [sent, answered] = [0, 0];
  const loop = (async () => {
    while (running) {
      sent += 1;
      if ((await askApplication(cluster))?.pid === answer.pid) answered += 1;
      await new Promise((resume) => setTimeout(resume, requestPauseMs));
    }
  })();
  return {
    end: async () => {
      running = false;
      await loop;
      return { sent, answered };
    },
  };
}

/** `execution@x7` as `execution armor of n2`. */
function armorInWords(id: string, status: StatusDocument): string {
  const [role = "", node] = id.split("@");
  const name = status.nodes?.find((one) => one.id === node)?.name ?? node;
  if (role === "ftm") return "FTM";
  if (role === "heartbeat") return "heartbeat armor";
  return `${role === "execution" ? "execution armor" : role} of ${name}`;
}

function untried(fault: string, outcome: string): FaultResult {
  const nothing = { detectedBy: null, detector: null, detectedAfterMs: null, recoveredAfterMs: null, requests: null };
  return { fault, node: "", target: "", command: "", ...nothing, recovered: false, outcome };
}
