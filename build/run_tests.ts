/**
 * Run one test process with a time limit and count what it says.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setPriority, tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { cleanEnvironment } from "../armors/environment.ts";
import { root } from "./tools.mjs";

/** Numbers of tests. */
export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** How a test process ended. */
export interface TestRun {
  readonly counts: Counts;
  readonly tookMs: number;
  readonly output: string;
}

/** Process groups that are running; ended if this process is. */
const running = new Set<number>();

function endGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => {
    for (const pid of running) endGroup(pid);
    process.exit(1);
  });
}

/** Let a process have only the time that others leave. Its session is a scheduling group of its own on many systems. */
function yieldToOthers(pid: number): void {
  try {
    setPriority(pid, 19);
    writeFileSync(`/proc/${pid}/autogroup`, "19");
  } catch {
    // Then it competes.
  }
}

/** Limits of a test process. */
export interface TestLimits {
  readonly limitMs: number;
  /** It depends on no time, and gets what others leave. */
  readonly background?: boolean;
}

/**
 * Run a test process and whatever it leaves in its process group, no longer than
 * `limitMs`. Its output goes to a file: a process left behind cannot keep a pipe
 * open.
 */
export async function runTests(
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>>,
  { limitMs, background = false }: TestLimits,
): Promise<TestRun> {
  const startMs = Date.now();
  const folder = mkdtempSync(join(tmpdir(), "armor-tests-"));
  const path = join(folder, "output");
  const file = openSync(path, "a");
  const child = spawn(command, args, {
    cwd: root,
    env: { ...cleanEnvironment(process.env), ...environment },
    stdio: ["ignore", file, file],
    detached: true,
  });
  closeSync(file);
  const pid = child.pid ?? 0;
  running.add(pid);
  if (background && pid > 0) yieldToOthers(pid);
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    endGroup(pid);
  }, limitMs);
  const status = await new Promise<number | null>((resolve) => {
    child.on("error", () => resolve(null));
    child.on("exit", (code) => resolve(code));
  });
  clearTimeout(timer);
  endGroup(pid);
  running.delete(pid);
  let output = readFileSync(path, "utf8");
  rmSync(folder, { recursive: true, force: true });
  if (late) output += `\nended after ${limitMs / 1_000} s\n`;
  return { counts: count(output, status), tookMs: Date.now() - startMs, output };
}

/** Read the closing lines of `bun test` or `deno test`. A bad exit status is at least one failure. */
export function count(output: string, status: number | null): Counts {
  const deno =
    /\| (\d+) passed(?: \(\d+ steps?\))? \| (\d+) failed(?: \(\d+ steps?\))?(?: \| (\d+) ignored)?/.exec(
      output,
    );
  const bun = (word: string): number =>
    Number(new RegExp(`^ *(\\d+) ${word}s?$`, "m").exec(output)?.[1] ?? 0);
  const [passed, failed, skipped] =
    deno === null
      ? [bun("pass"), bun("fail"), bun("skip") + bun("todo")]
      : [Number(deno[1]), Number(deno[2]), Number(deno[3] ?? 0)];
  return { passed, failed: status === 0 ? failed : Math.max(1, failed), skipped };
}
