/**
 * Seeds spread over processes, one for each processor: a run needs nothing of
 * another, and a process that ends or never answers names the seed it had.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import type { RunOptions, RunResult } from "./simulate.ts";

/** One run that is wanted. */
export type Job = Omit<RunOptions, "trace"> & { readonly seed: number };

/** Real time for one run, ten times what the longest takes; a cluster that is too busy to let time pass never ends. */
const answerWithinMs = 90_000;

/**
 * Run jobs until there are no more or `stop` is called.
 *
 * @param next The next job; `undefined`: there are no more.
 * @param done Called once for each job, in the order of their ends.
 */
export function runJobs(next: () => Job | undefined, done: (result: RunResult) => void, workers = availableParallelism()): { readonly ended: Promise<void>; stop(): void } {
  const children = new Set<ChildProcess>();
  let stopped = false;
  const work = async (): Promise<void> => {
    let child: Child | undefined;
    for (let job = next(); job !== undefined && !stopped; job = next()) {
      if (!child?.lives) child = new Child(children);
      const result = await child.run(job);
      if (!stopped) done(result);
    }
    child?.end();
  };
  return {
    ended: Promise.all(Array.from({ length: workers }, work)).then(() => {}),
    stop: () => {
      stopped = true;
      for (const child of children) child.kill("SIGKILL");
    },
  };
}

/** One process. */
class Child {
  lives = true;
  readonly #process: ChildProcess;
  #answer: ((line: string | undefined) => void) | undefined;

  constructor(children: Set<ChildProcess>) {
    const file = join(import.meta.dirname, "seed_worker.ts");
    const argv = process.versions["bun"] === undefined ? ["run", "-A", file] : [file];
    this.#process = spawn(process.execPath, argv, { stdio: ["pipe", "pipe", "inherit"] });
    children.add(this.#process);
    // What is written to a process that has just ended is lost with it.
    this.#process.stdin!.on("error", () => {});
    createInterface({ input: this.#process.stdout! }).on("line", (line) => this.#answer?.(line));
    this.#process.on("exit", () => {
      this.lives = false;
      children.delete(this.#process);
      this.#answer?.(undefined);
    });
  }

  run(job: Job): Promise<RunResult> {
    return new Promise((resolve) => {
      let late = false;
      const timer = setTimeout(() => {
        late = true;
        this.#process.kill("SIGKILL");
      }, answerWithinMs);
      this.#answer = (line) => {
        clearTimeout(timer);
        this.#answer = undefined;
        const words = late ? `no end after ${answerWithinMs / 1_000} s of real time` : `its process ended with ${this.#process.signalCode ?? this.#process.exitCode}`;
        resolve(line === undefined ? broken(job, words) : (JSON.parse(line) as RunResult));
      };
      this.#process.stdin!.write(`${JSON.stringify(job)}\n`);
    });
  }

  end(): void {
    this.#process.stdin!.end();
  }
}

function broken({ seed, nodes = 0, kinds = [] }: Job, failure: string): RunResult {
  const operations = { done: 0, refused: 0, unknown: 0 };
  return { seed, ok: false, failure, nodes, kinds, faults: [], convergedMs: -1, virtualMs: 0, steps: Infinity, digest: "", operations };
}
