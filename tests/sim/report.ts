/**
 * What runs add up to, in words for a terminal: each failure with the command
 * that replays it, and the shortest of them.
 *
 * @module
 */
import type { RunOptions, RunResult } from "./simulate.ts";

const failureCharacters = 1_500;
const lastFaults = 8;

/** The command that repeats a run. */
export function replayCommand({ seed, nodes, kinds, durationMs, pauseMs }: Omit<RunOptions, "trace"> & { readonly seed: number }): string {
  const only = kinds === undefined ? "" : ` --only ${kinds.join(",") || ","}`;
  const given = (option: string, value: number | undefined): string => (value === undefined ? "" : ` --${option} ${value}`);
  return `npm run sim -- --seed ${seed}${given("nodes", nodes)}${only}${given("duration", durationMs)}${given("pause", pauseMs)}`;
}

/** Counts runs. */
export class Report {
  runs = 0;
  faults = 0;
  readonly failed: RunResult[] = [];
  #steps = 0;
  #virtualMs = 0;
  readonly #kinds = new Map<string, number>();
  readonly #startMs = performance.now();

  /** @param options Given for all runs. */
  constructor(readonly options: Omit<RunOptions, "trace">) {}

  add(result: RunResult): void {
    this.runs += 1;
    this.faults += result.faults.length;
    for (const fault of result.faults) {
      const kind = fault.slice(fault.indexOf(" ") + 1);
      this.#kinds.set(kind, (this.#kinds.get(kind) ?? 0) + 1);
    }
    this.#virtualMs += result.virtualMs;
    if (Number.isFinite(result.steps)) this.#steps += result.steps;
    if (!result.ok) this.failed.push(result);
  }

  /** The failure that is the easiest to read. */
  get shortest(): RunResult | undefined {
    return this.failed.toSorted((a, b) => a.steps - b.steps)[0];
  }

  /** What is said of a failure at once. */
  failure({ seed, nodes, failure, faults, virtualMs, steps }: RunResult): string {
    const lines = [
      `seed ${seed} FAILED with ${nodes} nodes after ${(virtualMs / 1_000).toFixed(1)} s of virtual time and ${steps} steps:`,
      `  ${failure.slice(0, failureCharacters)}`,
      `  last faults: ${faults.slice(-lastFaults).join(", ") || "none"}`,
      `  replay: ${replayCommand({ seed, ...this.options })} --trace`,
    ];
    if (this.failed.length > 1) lines.push(`  shortest so far: seed ${this.shortest!.seed}, ${this.shortest!.steps} steps`);
    return `${lines.join("\n")}\n`;
  }

  progress(): string {
    const { runs, faults, failed } = this;
    return `${this.#realSeconds} s: ${count(runs, "seed")}, ${failed.length} failed, ${count(faults, "fault")}`;
  }

  summary(): string {
    const { runs, failed, shortest } = this;
    const lines = [
      `${runs - failed.length} of ${runs} seeds ok, ${count(this.faults, "fault")}, ${this.#steps} steps, ${(this.#virtualMs / 3_600_000).toFixed(2)} hours of virtual time in ${this.#realSeconds} s`,
      `faults: ${[...this.#kinds].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([kind, times]) => `${kind} ${times}`).join(", ") || "none"}`,
    ];
    if (failed.length > 0) lines.push(`failed: ${failed.map(({ seed }) => seed).toSorted((a, b) => a - b).join(", ")}`);
    if (shortest) lines.push(`shortest: ${replayCommand({ seed: shortest.seed, ...this.options })} --trace`);
    return `${lines.join("\n")}\n`;
  }

  get #realSeconds(): number {
    return Math.round((performance.now() - this.#startMs) / 1_000);
  }
}

function count(number: number, word: string): string {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
