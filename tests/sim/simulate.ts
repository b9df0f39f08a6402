/**
 * Run simulated clusters: one run is a function of its seed.
 *
 * Usage: bun tests/sim/simulate.ts --seed N [--nodes K] [--trace] [--only KIND,…]
 *        bun tests/sim/simulate.ts --seeds FROM..TO [--nodes K]
 *
 * @module
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { restartDefaults } from "../../core/limits.ts";
import { seededRandom } from "../../core/random.ts";
import { problemsOf } from "./convergence.ts";
import { faultKinds } from "./fault_kinds.ts";
import { Faults } from "./faults.ts";
import { SimCluster } from "./sim_cluster.ts";
import { Workload } from "./workload.ts";

/** How a run went. */
export interface RunResult {
  readonly seed: number;
  readonly ok: boolean;
  /** What went wrong. */
  readonly failure: string;
  readonly nodes: number;
  readonly kinds: readonly string[];
  readonly faults: readonly string[];
  /** Virtual milliseconds from the end of faults to convergence. */
  readonly convergedMs: number;
  readonly steps: number;
  readonly digest: string;
  readonly operations: { readonly done: number; readonly refused: number; readonly unknown: number };
}

/** Choices that a seed makes; each can be given. */
export interface RunOptions {
  readonly nodes?: number | undefined;
  /** Kinds of faults. */
  readonly kinds?: readonly string[] | undefined;
  readonly trace?: ((line: string) => void) | undefined;
  /** Of workload and faults. */
  readonly durationMs?: number | undefined;
}

/** Faults are over; the cluster must be as it should be within this time. */
const convergeWithinMs = 20_000;
/** And then be quiet this long. */
const quietMs = 5_000;
/** Longer than every deadline: what was sent to a node that has left turns round. */
const settleMs = 6_000;
const lookEveryMs = 100;

/** Run one seed. */
export async function simulate(seed: number, options: RunOptions = {}): Promise<RunResult> {
  const choice = seededRandom(seed + 77);
  const nodes = options.nodes ?? 1 + choice.below(5);
  const share = 1 + choice.below(4);
  const chosen = Object.keys(faultKinds).filter(() => choice.below(5) < share);
  const kinds = options.kinds ?? chosen;
  const chosenMs = 30_000 + choice.below(30_000);
  const durationMs = options.durationMs ?? chosenMs;
  const pauseMs = 500 + choice.below(6_000);
  const frozen = seed % 8 === 0;
  const cluster = new SimCluster({ seed, nodes, frozen, ...(options.trace && { trace: options.trace }) });
  const workload = new Workload(cluster);
  const faults = new Faults(cluster, workload, kinds, pauseMs);
  let convergedMs = -1;
  let failure = "";
  try {
    for (const node of cluster.nodes) cluster.clock.at(cluster.plan.below(2_000), () => node.powerOn());
    workload.start();
    faults.start();
    await cluster.run(durationMs);
    workload.end();
    faults.end();
    cluster.trace("faults are over");
    const overMs = cluster.clock.nowMs;
    // An operator's last command may still be under way.
    const untilMs = overMs + convergeWithinMs + (kinds.includes("programs-missing") ? restartDefaults.delayCapMs : 0);
    let found = ["nobody has looked yet"];
    while (found.length > 0 && cluster.clock.nowMs < untilMs && !cluster.violation) {
      await cluster.run(lookEveryMs);
      found = cluster.clock.nowMs - overMs < 10_000 && workload.busy ? ["operators wait"] : problemsOf(cluster, workload);
    }
    convergedMs = cluster.clock.nowMs - overMs;
    if (cluster.violation) throw cluster.violation;
    if (found.length > 0) throw new Error(`not converged: ${found.join("; ")}`);
    await cluster.run(settleMs);
    const before = cluster.commits;
    await cluster.run(quietMs);
    if (cluster.violation) throw cluster.violation;
    if (cluster.commits > before) throw new Error(`not quiet: ${cluster.commits - before} commits, the last ${cluster.lately.slice(-5).join(" | ")}`);
    const after = problemsOf(cluster, workload);
    if (after.length > 0) throw new Error(`not stable: ${after.join("; ")}`);
  } catch (error) {
    failure = error instanceof Error ? (error.name === "Violation" || error.message.startsWith("not ") ? error.message : error.stack ?? error.message) : String(error);
  }
  return {
    seed,
    ok: failure === "",
    failure,
    nodes,
    kinds,
    faults: faults.done,
    convergedMs,
    steps: cluster.steps,
    digest: cluster.digest(),
    operations: workload.counts,
  };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      seed: { type: "string" },
      seeds: { type: "string" },
      nodes: { type: "string" },
      only: { type: "string" },
      trace: { type: "boolean", default: false },
    },
  });
  const [first = "1", last = first] = (values.seeds ?? values.seed ?? "1..50").split("..");
  const from = last === first && values.seeds !== undefined && !values.seeds.includes("..") ? 1 : Number(first);
  const nodes = values.nodes === undefined ? undefined : Number(values.nodes);
  const kinds = values.only?.split(",").filter((name) => name !== "");
  const trace = values.trace ? (line: string): void => void process.stdout.write(`${line}\n`) : undefined;
  let failed = 0;
  let steps = 0;
  let injected = 0;
  for (let seed = from; seed <= Number(last); seed++) {
    const result = await simulate(seed, { nodes, kinds, trace });
    steps += result.steps;
    injected += result.faults.length;
    if (values.seeds === undefined && result.ok) {
      process.stdout.write(`seed ${seed}: ok, ${result.nodes} nodes, ${result.faults.length} faults, converged in ${result.convergedMs} ms, ${JSON.stringify(result.operations)}, ${result.digest.slice(0, 12)}\n`);
    }
    if (result.ok) continue;
    failed += 1;
    process.stdout.write(`seed ${seed} FAILED with ${result.nodes} nodes: ${result.failure.slice(0, 1_500)}\n`);
    process.stdout.write(`  faults: ${result.faults.slice(-8).join(", ")}\n  replay: bun tests/sim/simulate.ts --seed ${seed}${nodes ? ` --nodes ${nodes}` : ""}${kinds ? ` --only ${kinds.join(",")}` : ""} --trace\n`);
  }
  process.stdout.write(`${Number(last) - from + 1 - failed} of ${Number(last) - from + 1} seeds ok, ${injected} faults, ${steps} steps\n`);
  return failed === 0 ? 0 : 1;
}

if (import.meta.main) process.exit(await main());
