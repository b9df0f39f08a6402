/**
 * `npm run sim` and `npm run sim:soak`: simulated clusters from the command
 * line. See docs/simulator.md.
 *
 * Usage: npm run sim -- [--seeds N | --seeds FROM..TO | --seed S] [--fresh] [--nodes K] [--only KIND,…] [--duration MS] [--pause MS]
 *        npm run sim -- --seed S [--trace | --minimise]
 *        npm run sim -- --scale NODES
 *        npm run sim:soak -- [--from S] [--faults N] [--seconds N] [--stop-at-failure]
 *
 * @module
 */
import { availableParallelism } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { faultKinds } from "./fault_kinds.ts";
import { minimise } from "./minimise.ts";
import { Report, replayCommand } from "./report.ts";
import { scale, scaleRow } from "./scale.ts";
import { type Job, runJobs } from "./seed_pool.ts";
import { type RunOptions, simulate } from "./simulate.ts";

const defaultSeeds = "50";
const progressEveryMs = 15_000;
/** Fresh seeds are drawn from here on; those below are for people. */
const freshFrom = 1_000_000;

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    seeds: { type: "string" },
    from: { type: "string" },
    fresh: { type: "boolean", default: false },
    nodes: { type: "string" },
    only: { type: "string" },
    duration: { type: "string" },
    pause: { type: "string" },
    workers: { type: "string", default: String(availableParallelism()) },
    trace: { type: "boolean", default: false },
    minimise: { type: "boolean", default: false },
    soak: { type: "boolean", default: false },
    faults: { type: "string" },
    seconds: { type: "string" },
    scale: { type: "string" },
    "stop-at-failure": { type: "boolean", default: false },
  },
});

/** A number from the command line. */
function numberOf(name: string, text: string | undefined, least = 1): number | undefined {
  if (text === undefined) return undefined;
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < least) refuse(`--${name} takes a whole number from ${least} up, not "${text}"`);
  return number;
}

function refuse(text: string): never {
  process.stderr.write(`sim: ${text}\n`);
  process.exit(2);
}

/** First and last seed. */
function range(): readonly [number, number] {
  const from = numberOf("from", values.from) ?? (values.fresh || (values.soak && values.seeds === undefined) ? freshFrom + Math.floor(Math.random() * 1e9) : 1);
  if (values.soak && values.seeds === undefined) return [from, Infinity];
  const [first = "", last] = (values.seeds ?? defaultSeeds).split("..");
  if (last === undefined) return [from, from + numberOf("seeds", first)! - 1];
  return [numberOf("seeds", first)!, numberOf("seeds", last)!];
}

function optionsGiven(): Omit<RunOptions, "trace"> {
  const kinds = values.only?.split(",").filter((name) => name !== "");
  for (const kind of kinds ?? []) if (!(kind in faultKinds)) refuse(`there is no fault "${kind}": use ${Object.keys(faultKinds).join(", ")}`);
  return { nodes: numberOf("nodes", values.nodes), kinds, durationMs: numberOf("duration", values.duration), pauseMs: numberOf("pause", values.pause) };
}

async function one(seed: number, options: Omit<RunOptions, "trace">): Promise<number> {
  if (values.minimise) {
    const smallest = await minimise({ seed, ...options }, (text) => process.stdout.write(`${text}\n`));
    if (!smallest) process.stdout.write(`seed ${seed} does not fail\n`);
    else process.stdout.write(`smallest: ${replayCommand(smallest)}\n`);
    return smallest ? 1 : 0;
  }
  const trace = values.trace ? (line: string): void => void process.stdout.write(`${line}\n`) : undefined;
  const result = await simulate(seed, { ...options, trace });
  const report = new Report(options);
  report.add(result);
  const { nodes, faults, convergedMs, operations: { done, refused, unknown }, digest } = result;
  if (result.ok) {
    process.stdout.write(`seed ${seed}: ok, ${nodes} nodes, ${faults.length} faults, converged in ${convergedMs} ms\n`);
    process.stdout.write(`  operations: ${done} done, ${refused} refused, ${unknown} without an answer\n  trace: ${digest}\n`);
  } else process.stdout.write(report.failure(result));
  return result.ok ? 0 : 1;
}

async function many(options: Omit<RunOptions, "trace">): Promise<number> {
  const [from, to] = range();
  const enough = numberOf("faults", values.faults) ?? Infinity;
  const endMs = performance.now() + (numberOf("seconds", values.seconds) ?? Infinity) * 1_000;
  const report = new Report(options);
  let seed = from;
  const isOver = (): boolean => seed > to || report.faults >= enough || performance.now() >= endMs;
  const next = (): Job | undefined => (isOver() ? undefined : { seed: seed++, ...options });
  const run = runJobs(next, (result) => {
    report.add(result);
    if (result.ok) return;
    process.stdout.write(report.failure(result));
    if (values["stop-at-failure"]) run.stop();
  }, numberOf("workers", values.workers));
  process.stdout.write(`seeds ${from} to ${to === Infinity ? "whenever this is interrupted" : to}\n`);
  const timer = setInterval(() => process.stdout.write(`${report.progress()}\n`), progressEveryMs);
  // Twice from a terminal: to the group, and from whoever passes it on.
  for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => run.stop());
  await run.ended;
  clearInterval(timer);
  process.stdout.write(report.summary());
  return report.failed.length === 0 ? 0 : 1;
}

async function large(nodes: number, seed: number): Promise<number> {
  const result = await scale(nodes, seed, (text) => process.stderr.write(`${text}\n`));
  process.stdout.write(`${scaleRow(result)}\n`);
  return result.movedMs < 0 ? 1 : 0;
}

const seed = numberOf("seed", values.seed, 0);
const nodes = numberOf("scale", values.scale, 2);
if (nodes !== undefined) process.exitCode = await large(nodes, seed ?? 1);
else process.exitCode = seed === undefined ? await many(optionsGiven()) : await one(seed, optionsGiven());
