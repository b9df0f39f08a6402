import { expect, test } from "bun:test";
import { choicesOf } from "./choices.ts";
import { minimise } from "./minimise.ts";
import { replayCommand, Report } from "./report.ts";
import type { Job } from "./seed_pool.ts";
import type { RunResult } from "./simulate.ts";

const seed = 3;
const operations = { done: 0, refused: 0, unknown: 0 };

function result(job: Job, failure: string): RunResult {
  const { nodes, kinds, durationMs } = choicesOf(job.seed, JSON.parse(JSON.stringify(job)) as Job as never);
  return { seed: job.seed, ok: failure === "", failure, nodes, kinds, faults: ["5 crash-ftm"], convergedMs: 0, virtualMs: durationMs, steps: durationMs * nodes, digest: "", operations };
}

test("what a failure does not need is left out, and the command that is left repeats it", async () => {
  const needed = "crash-ftm";
  const run = async (job: Job): Promise<RunResult> => {
    const { nodes, kinds, virtualMs } = result(job, "");
    const fails = nodes >= 2 && kinds.includes(needed) && virtualMs >= 9_000;
    return result(job, fails ? "one FTM per epoch: two" : nodes < 2 ? "not converged: too small" : "");
  };
  const given = { seed, nodes: 5, kinds: ["hang-armor", needed, "partition"], durationMs: 40_000 };
  const smallest = await minimise(given, () => {}, run);
  expect(smallest).toEqual({ seed, nodes: 2, kinds: [needed], durationMs: 10_000 });
  expect(replayCommand(smallest!)).toBe(`npm run sim -- --seed ${seed} --nodes 2 --only ${needed} --duration 10000`);
  expect(await minimise({ ...given, nodes: 1 }, () => {}, async (job) => result(job, ""))).toBeUndefined();
});

test("giving one choice leaves the others as the seed made them", () => {
  const { nodes: _, ...chosen } = choicesOf(seed);
  expect(choicesOf(seed, { nodes: 9 })).toEqual({ nodes: 9, ...chosen });
});

test("a report names each failure's replay, and the shortest of them", () => {
  const report = new Report({ nodes: 2 });
  for (const [number, failure, durationMs] of [[7, "", 9_000], [8, "messages once: x", 8_000], [9, "not quiet: y", 4_000]] as const) {
    report.add({ ...result({ seed: number, nodes: 2, durationMs }, failure), seed: number });
  }
  expect(report.failure(report.failed[0]!)).toContain("replay: npm run sim -- --seed 8 --nodes 2 --trace");
  expect(report.summary()).toContain("1 of 3 seeds ok, 3 faults");
  expect(report.summary()).toContain("faults: crash-ftm 3");
  expect(report.summary()).toContain("failed: 8, 9\nshortest: npm run sim -- --seed 9 --nodes 2 --trace");
});
