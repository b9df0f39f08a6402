/**
 * One simulated cluster from its first start to its rest: a function of the seed
 * and of the code. `command.ts` runs many.
 *
 * @module
 */
import { restartDefaults } from "../../core/limits.ts";
import { type Choices, choicesOf } from "./choices.ts";
import { endsByItself, problemsOf } from "./convergence.ts";
import { Faults } from "./faults.ts";
import { SimCluster, Violation } from "./sim_cluster.ts";
import { Workload } from "./workload.ts";

/** How a run went. */
export interface RunResult {
  readonly seed: number;
  readonly ok: boolean;
  /** What went wrong; begins with the name of the rule. */
  readonly failure: string;
  readonly nodes: number;
  readonly kinds: readonly string[];
  /** What hit, with the time. */
  readonly faults: readonly string[];
  /** Virtual milliseconds from the end of faults to convergence. */
  readonly convergedMs: number;
  /** Virtual milliseconds in all. */
  readonly virtualMs: number;
  readonly steps: number;
  /** Of the trace: equal for equal runs. */
  readonly digest: string;
  readonly operations: { readonly done: number; readonly refused: number; readonly unknown: number };
}

/** Choices that a seed makes, each of which can be given, and where the trace goes. */
export interface RunOptions {
  readonly nodes?: number | undefined;
  readonly kinds?: readonly string[] | undefined;
  /** For how long there are faults. */
  readonly durationMs?: number | undefined;
  /** Between two of them, on average and roughly. */
  readonly pauseMs?: number | undefined;
  /** Kinds of programs that operators run. */
  readonly programs?: readonly string[] | undefined;
  readonly trace?: ((line: string) => void) | undefined;
}

/** Faults are over; the cluster must be as it should be within this time. */
const convergeWithinMs = 20_000;
/** Programs that end by themselves a few times more, with pauses of so much between, have this much longer. */
const programsEndWithinMs = 20_000;
const programsPauseMs = 6_000;
/** And then be quiet this long. */
const quietMs = 5_000;
/** Longer than every deadline: what was sent to a node that has left turns round. And programs that were restarted have run long enough. */
const settleMs = restartDefaults.resetAfterMs + 1_000;
/** An operator's last command may still be under way. */
const answersWithinMs = 10_000;
const lookEveryMs = 100;

/** A cluster that is not as it should be in the end. */
class Unrest extends Error {}

/** Run one seed. */
export async function simulate(seed: number, { trace, programs, ...given }: RunOptions = {}): Promise<RunResult> {
  const { nodes, kinds, durationMs, pauseMs, frozen } = choicesOf(seed, given as Partial<Choices>);
  const cluster = new SimCluster({ seed, nodes, frozen, ...(trace && { trace }) });
  const workload = new Workload(cluster, programs);
  const faults = new Faults(cluster, workload, kinds, pauseMs);
  let convergedMs = -1;
  let failure = "";
  try {
    for (const [index, node] of cluster.nodes.entries()) {
      const later = index > 0 && cluster.plan.below(4) === 0;
      cluster.clock.at(cluster.plan.below(later ? durationMs : 2_000), () => node.powerOn());
    }
    workload.start();
    faults.start();
    await cluster.run(durationMs);
    workload.end();
    faults.end();
    cluster.trace("faults are over");
    convergedMs = await converge(cluster, workload, kinds);
    await rest(cluster, workload);
  } catch (error) {
    const expected = error instanceof Violation || error instanceof Unrest;
    failure = error instanceof Error ? (expected ? error.message : error.stack ?? error.message) : String(error);
  }
  return {
    seed,
    ok: failure === "",
    failure,
    nodes,
    kinds,
    faults: faults.done,
    convergedMs,
    virtualMs: cluster.clock.nowMs,
    steps: cluster.steps,
    digest: cluster.digest(),
    operations: workload.counts,
  };
}

/** @returns How long it took. */
async function converge(cluster: SimCluster, workload: Workload, kinds: readonly string[]): Promise<number> {
  const overMs = cluster.clock.nowMs;
  const withinMs = convergeWithinMs + (kinds.includes("programs-missing") ? restartDefaults.delayCapMs : 0);
  let found = ["nobody has looked yet"];
  let endsMs = -Infinity;
  const ending = (): boolean => cluster.clock.nowMs - endsMs < programsPauseMs;
  while (found.length > 0 && cluster.clock.nowMs < overMs + withinMs + (ending() ? programsEndWithinMs : 0)) {
    await cluster.run(lookEveryMs);
    if (cluster.violation) throw cluster.violation;
    const waits = workload.busy && cluster.clock.nowMs - overMs < answersWithinMs;
    found = waits ? ["operators wait"] : problemsOf(cluster, workload);
    if (found.some((one) => one.endsWith(endsByItself))) endsMs = cluster.clock.nowMs;
  }
  if (found.length > 0) throw new Unrest(`not converged: ${found.join("; ")}`);
  return cluster.clock.nowMs - overMs;
}

/** Nothing is committed any more, and everything stays as it is. */
async function rest(cluster: SimCluster, workload: Workload): Promise<void> {
  await cluster.run(settleMs);
  const before = cluster.commits;
  await cluster.run(quietMs);
  if (cluster.violation) throw cluster.violation;
  if (cluster.commits > before) throw new Unrest(`not quiet: ${cluster.commits - before} commits, the last ${cluster.lately.slice(-5).join(" | ")}`);
  const after = problemsOf(cluster, workload);
  if (after.length > 0) throw new Unrest(`not stable: ${after.join("; ")}`);
  cluster.end();
  if (cluster.violation) throw cluster.violation;
}
