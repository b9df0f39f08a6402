/**
 * `npm run campaign -- --injections N --seed S`: faults into clusters of real
 * processes, several in each cluster's life, each settled and checked before the
 * next. What is chosen is a function of the seed; when it hits is not.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { compile } from "../../build/compile.ts";
import { root } from "../../build/tools.mjs";
import { seededRandom } from "../../core/random.ts";
import { outsideFaults } from "./faults.ts";
import { appendLine, Injector } from "./injections.ts";
import { Life } from "./life.ts";
import type { Injection } from "./record.ts";
import { markdown, svg } from "./report.ts";
import { seamFaults, stateFaults } from "./seam_faults.ts";

const { values } = parseArgs({
  options: {
    injections: { type: "string", default: "50" },
    seed: { type: "string", default: "1" },
    life: { type: "string" },
    nodes: { type: "string", default: "1,2,3" },
    "at-once": { type: "string", default: "2" },
    "per-life": { type: "string", default: "40" },
    minutes: { type: "string", default: "1000" },
    /** Of `outside`, `seams` and `state`. */
    faults: { type: "string", default: "outside,seams" },
    /** A pattern of `target/fault`. */
    only: { type: "string", default: "" },
    out: { type: "string", default: join(root, "dist", "campaign") },
    /** Write bench/CAMPAIGN.md and its plot from the lines of these seeds, or of all there are. */
    report: { type: "boolean", default: false },
    seeds: { type: "string" },
    /** Of the executable; for the report. */
    commit: { type: "string", default: "" },
  },
});
const sets = { outside: outsideFaults, seams: seamFaults, state: stateFaults };
const faults = values.faults.split(",").flatMap((name) => sets[name as keyof typeof sets]).filter(({ target, fault }) => new RegExp(values.only).test(`${target}/${fault}`));
const wanted = Number(values.injections);
const seed = Number(values.seed);
const sizes = values.nodes.split(",").map(Number);
const out = resolve(values.out);
mkdirSync(join(out, "failures"), { recursive: true });
const linesPath = join(out, `${seed}.ndjson`);

if (values.report) {
  const names = values.seeds?.split(",").map((name) => `${name}.ndjson`) ?? readdirSync(out).filter((name) => name.endsWith(".ndjson"));
  const all = names.flatMap((name) => readFileSync(join(out, name), "utf8").trimEnd().split("\n").map((text) => JSON.parse(text) as Injection));
  writeFileSync(join(root, "bench", "CAMPAIGN.md"), markdown(all, new Date().toISOString().slice(0, 10), values.commit || headCommit()));
  writeFileSync(join(root, "bench", "campaign.svg"), svg(all));
  process.exit(0);
}

process.env["ARMOR_BINARY"] ||= await compile();
const endMs = performance.now() + Number(values.minutes) * 60_000;
const done: Injection[] = [];
let lives = values.life === undefined ? 0 : Number(values.life);
let stop = false;
process.on("SIGTERM", () => (stop = true));
process.on("SIGINT", () => (stop = true));
const over = (): boolean => stop || done.length >= wanted || performance.now() > endMs;

function headCommit(): string {
  return spawnSync("git", ["log", "-1", "--format=%h"], { cwd: root, encoding: "utf8" }).stdout.trim();
}

/** Clusters one after the other. */
async function line(): Promise<void> {
  while (!over()) await oneLife(lives++);
}

async function oneLife(number: number): Promise<void> {
  const random = seededRandom(seed * 1_000_003 + number);
  const nodes = sizes[random.below(sizes.length)]!;
  const life = await Life.make(nodes, random.below(2) === 0, random.below(2 * nodes));
  let count = 0;
  const report = (injection: Injection): void => {
    count += 1;
    done.push(injection);
    appendLine(linesPath, injection);
    const { phase, target, fault, outcome, detectionMs, recoveredMs, wrong } = injection;
    if (outcome === "system failure" || process.stdout.isTTY) console.log(`${number}/${injection.number} ${nodes}n ${phase}: ${target} ${fault}: ${outcome}, detected ${detectionMs}, recovered ${recoveredMs} ms ${wrong ?? ""}`);
  };
  const injector = new Injector(life, random, { seed, life: number, nodes }, report, faults);
  try {
    const [first, ...others] = life.cluster.nodes;
    life.spawn(first!);
    await life.settled();
    await life.populate();
    await life.settled();
    for (const node of others) await injector.registration(node);
    while (count < Number(values["per-life"]) && !over()) await injector.next();
    await injector.rest();
  } catch (error) {
    const path = join(out, "failures", `${seed}-${number}-${count}.txt`);
    cpSync(life.cluster.place.folder, path.replace(".txt", ""), { recursive: true, filter: (source) => !/\/(run|api|secret)$/.test(source) });
    writeFileSync(path, `${(error as Error).stack}\n${JSON.stringify(done.at(-1))}\n${await life.diagnosis().catch(String)}`);
    console.log(`seed ${seed} life ${number} (${nodes} nodes) ends after ${count} injections: ${(error as Error).message.split("\n")[0]}\n  see ${path}`);
  } finally {
    await life.end();
  }
}

const begunMs = performance.now();
await Promise.all(Array.from({ length: Number(values["at-once"]) }, line));
const failures = done.filter(({ outcome }) => outcome === "system failure").length;
console.log(`${done.length} injections, ${failures} system failures, ${Math.round((performance.now() - begunMs) / 1_000)} s; ${linesPath}`);
// What a cluster left behind, such as a session that waits, must not keep this alive.
process.exit(failures > 0 ? 1 : 0);
