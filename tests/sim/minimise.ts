/**
 * A smaller run that breaks the same rule: fewer nodes, fewer kinds of faults, a
 * shorter time, each tried in turn.
 *
 * @module
 */
import { choicesOf } from "./choices.ts";
import type { Job } from "./seed_pool.ts";
import { type RunResult, simulate } from "./simulate.ts";

/**
 * @param say Told of each step forward.
 * @returns What fails still when nothing more can be left out; `undefined` if the run does not fail.
 */
export async function minimise(job: Job, say: (text: string) => void, run: (job: Job) => Promise<RunResult> = ({ seed, ...options }) => simulate(seed, options)): Promise<Job | undefined> {
  const first = await run(job);
  if (first.ok) return undefined;
  const rule = ruleOf(first);
  let smallest: Job = job;
  const fails = async (candidate: Job, what: string): Promise<boolean> => {
    const result = await run(candidate);
    if (result.ok || ruleOf(result) !== rule) return false;
    smallest = candidate;
    say(`${what}: still "${rule}", ${result.steps} steps`);
    return true;
  };
  say(`${first.nodes} nodes, ${first.kinds.length} kinds of faults: "${rule}", ${first.steps} steps`);
  for (let nodes = 1; nodes < first.nodes; nodes++) if (await fails({ ...smallest, nodes }, `${nodes} nodes`)) break;
  for (const kind of first.kinds) {
    const kinds = (smallest.kinds ?? first.kinds).filter((one) => one !== kind);
    await fails({ ...smallest, kinds }, `without ${kind}`);
  }
  const { durationMs } = choicesOf(job.seed, job.durationMs === undefined ? {} : { durationMs: job.durationMs });
  for (let ms = Math.floor(durationMs / 2); ms >= 2_000; ms = Math.floor(ms / 2)) {
    if (!await fails({ ...smallest, durationMs: ms }, `${ms} ms of faults`)) break;
  }
  return smallest;
}

/** The name of what was broken. */
function ruleOf({ failure }: RunResult): string {
  return failure.split(":")[0]!;
}
