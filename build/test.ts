/**
 * `npm test`: build the executable, run the checks, then every test file in a
 * process of its own: what depends on real time one after the other, beside it in the
 * background what does not; then on Deno those that need no executable. A file that
 * does not end in its time is ended. The last line sums up everything:
 * `N passed, N failed, N skipped`.
 *
 * Usage: bun build/test.ts [PART OF A PATH…]
 *
 * @module
 */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { checks } from "./check.ts";
import { compile } from "./compile.ts";
import { type Counts, runTests } from "./run_tests.ts";
import { findTool, root, tool } from "./tools.mjs";

/**
 * Groups of test files by folder, in order. Those in the background depend on no
 * time but their limit: they run beside the others, with what processor time is left.
 */
const groups: readonly TestGroup[] = [
  { folder: "tests", together: 2 },
  { folder: "tests/core", together: 1, background: true },
  { folder: "tests/armors", together: 1, background: true },
  { folder: "tests/sim", together: 1, background: true },
  { folder: "rest", together: 1 },
  { folder: "tests/runtime", together: 1, needsBinary: true },
  { folder: "tests/e2e", together: 1, limitMs: 180_000, needsBinary: true },
];

/** Test files of a folder. */
interface TestGroup {
  readonly folder: string;
  /** How many at a time. */
  readonly together: number;
  readonly background?: boolean;
  readonly limitMs?: number;
  readonly needsBinary?: boolean;
}

/** Tests that also run on Deno: all that start no executable and wait for no real time but that of transports. */
const onDeno = { background: "tests/{armors,core,examples}/**/*_test.ts", foreground: "tests/{bun_test_on_deno_test.ts,{cli,conformance,transports}/**/*_test.ts}" };

const defaultLimitMs = 60_000;
/** Among others on one processor a minute's work may take several. */
const backgroundLimitMs = 240_000;
/** All tests together: continuous integration allows ten minutes with installation. */
const deadlineMs = Date.now() + 520_000;

const wanted = process.argv.slice(2);
const isWanted = (path: string): boolean => wanted.length === 0 || wanted.some((part) => path.includes(part));
const total = { passed: 0, failed: 0, skipped: 0 };

function report(name: string, counts: Counts, tookMs: number, output = ""): void {
  for (const key of ["passed", "failed", "skipped"] as const) total[key] += counts[key];
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
  const numbers = `${counts.passed} passed, ${counts.failed} failed${skipped}`;
  console.log(
    `${counts.failed === 0 ? "ok    " : "FAILED"} ${name}: ${numbers} (${(tookMs / 1_000).toFixed(1)} s)`,
  );
  // What a test says of what it could not do is always shown; the rest only after a failure.
  if (counts.failed > 0) console.log(output.replace(/^\(pass\) .*\n/gm, "").trimEnd());
  else for (const line of output.split("\n")) if (/^skip/i.test(line)) console.log(`       ${line}`);
}

/** Run one thing that passes or fails as a whole. */
async function step(name: string, body: () => string[] | Promise<string[]>): Promise<boolean> {
  const startMs = Date.now();
  const found = await Promise.resolve()
    .then(body)
    .catch((error) => [(error as Error).message]);
  const failed = found.length > 0 ? 1 : 0;
  report(name, { passed: 1 - failed, failed, skipped: 0 }, Date.now() - startMs, found.join("\n"));
  return failed === 0;
}

/** A file may ask for more time in a comment: `time limit: 300 s`. */
function limitOf(file: string, groupLimitMs = defaultLimitMs): number {
  const own = /time limit: (\d+) s/.exec(readFileSync(join(root, file), "utf8"))?.[1];
  return Math.max(
    1_000,
    Math.min(own === undefined ? groupLimitMs : Number(own) * 1_000, deadlineMs - Date.now()),
  );
}

function groupOf(file: string): string {
  const folder = file.split("/").slice(0, -1).join("/");
  const group = groups.find(
    (candidate) =>
      folder === candidate.folder ||
      (folder.startsWith(`${candidate.folder}/`) && candidate.folder !== "tests"),
  );
  return group?.folder ?? "rest";
}

let binary = process.env["ARMOR_BINARY"] || undefined;
const built =
  binary !== undefined ||
  (await step("build dist/armor", async () => {
    binary = await compile();
    return [];
  }));
if (wanted.length === 0) {
  // The other checks are tests too: tests/layers_test.ts.
  for (const name of ["lint and format", "types"]) await step(name, checks[name]!);
}

const env = {
  ARMOR_BINARY: binary ?? "",
  DENO_DIR: join(root, "dist", ".deno"),
  DENO_NO_UPDATE_CHECK: "1",
  NO_COLOR: "1",
};
const files = globSync("tests/**/*_test.ts", { cwd: root }).sort().filter(isWanted);

async function runGroup({ folder, together, limitMs, needsBinary, background = false }: TestGroup): Promise<void> {
  const list = files.filter((file) => groupOf(file) === folder);
  if (needsBinary && !built && list.length > 0) {
    console.log(`       ${list.length} files of ${folder} not run: there is no dist/armor`);
    return;
  }
  const waiting = [...list];
  const worker = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const limits = { limitMs: limitOf(file, background ? backgroundLimitMs : limitMs), background };
      const run = await runTests(tool("bun"), ["test", ...(background ? ["--timeout", String(backgroundLimitMs)] : []), `./${file}`], env, limits);
      report(file, run.counts, run.tookMs, run.output);
    }
  };
  await Promise.all(Array.from({ length: together }, worker));
}

async function runOnDeno(lane: keyof typeof onDeno): Promise<void> {
  const list = globSync(onDeno[lane], { cwd: root }).sort().filter(isWanted);
  if (deno === undefined || list.length === 0) return;
  const limitMs = Math.max(1_000, Math.min(backgroundLimitMs, deadlineMs - Date.now()));
  const run = await runTests(deno, ["test", "-A", "--no-check", "--quiet", ...list], env, { limitMs, background: lane === "background" });
  report(`${list.length} files on Deno`, run.counts, run.tookMs, run.output);
}

async function inOrder(lane: readonly TestGroup[]): Promise<void> {
  for (const group of lane) await runGroup(group);
}

const deno = findTool("deno");
if (deno === undefined) console.log("       skipped: tests on Deno: there is no Deno for this platform");
await Promise.all([
  inOrder(groups.filter(({ background }) => background)).then(() => runOnDeno("background")),
  inOrder(groups.filter(({ background }) => !background)).then(() => runOnDeno("foreground")),
]);

console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
