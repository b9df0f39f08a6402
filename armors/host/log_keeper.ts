/**
 * Log keeper: looks at the logs of running programs and has those that are too
 * large cut. One at a time, beside the armor's work; the log of a program that
 * has ended is left as it is.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { LogLimits } from "../application.ts";
import { type CutMeans, readLogState, sizeOf } from "./log_chain.ts";
import { type Allocate, cutMeans, finishCut, rotate, systemAllocate, turnOver } from "./log_rotation.ts";

const lookEveryMs = 1_000;
/** A log that cannot be rotated (disk full) is tried again then. */
const retryMs = 60_000;

/** Keeps the logs of one node within their limits. */
export class LogKeeper {
  readonly #kept = new Map<string, LogLimits>();
  readonly #retryAtMs = new Map<string, number>();
  #stop: (() => void) | undefined;
  #busy = false;
  #means: CutMeans | "none" | undefined;

  /** @param folder Of all logs; what its file system can do is tried once. */
  constructor(
    readonly folder: string,
    readonly clock: Clock,
    readonly note: (text: string) => void,
    readonly allocate: Allocate = systemAllocate,
  ) {}

  /** How logs are cut here; `none`: only when a program starts, or nobody knows yet, as on a full disk. */
  get means(): CutMeans | "none" {
    try {
      return this.#tryMeans();
    } catch {
      return "none";
    }
  }

  /** What throws is tried again. */
  #tryMeans(): CutMeans | "none" {
    return (this.#means ??= cutMeans(this.folder, this.allocate));
  }

  /** A program is about to be started: the only time to do it where nothing can be cut. */
  beforeStart(path: string, limits: LogLimits): void {
    try {
      if ((sizeOf(path) ?? 0) > limits.maxBytes && this.means === "none") turnOver(path, limits);
    } catch (error) {
      this.#failed(path, error);
    }
  }

  /** Keep a log within its limits from now on. @returns Leaves it alone. */
  keep(path: string, limits: LogLimits): () => void {
    this.#kept.set(path, limits);
    this.#stop ??= this.clock.every(lookEveryMs, () => void this.look());
    return () => {
      if (this.#kept.get(path) !== limits) return;
      this.#kept.delete(path);
      this.#retryAtMs.delete(path);
      if (this.#kept.size > 0) return;
      this.#stop?.();
      this.#stop = undefined;
    };
  }

  /** Cut what is too large. Nothing happens while that is being done already. */
  async look(): Promise<void> {
    if (this.#busy) return;
    this.#busy = true;
    try {
      for (const [path, limits] of [...this.#kept]) await this.#keepWithin(path, limits);
    } finally {
      this.#busy = false;
    }
  }

  async #keepWithin(path: string, limits: LogLimits): Promise<void> {
    if ((this.#retryAtMs.get(path) ?? 0) > this.clock.nowMs()) return;
    try {
      const state = readLogState(path);
      const bytes = (sizeOf(path) ?? 0) - state.hole;
      // Less than nothing: somebody has emptied it, and what comes now stands where there was a hole.
      if (!state.cutting && bytes >= 0 && bytes <= limits.maxBytes) return;
      const means = this.#tryMeans();
      if (means === "none") return;
      if (state.cutting) await finishCut(path, limits, this.allocate);
      // One that is written faster than it is cut must not keep the others waiting.
      for (let round = 0; round < 16 && await rotate(path, limits, means, this.allocate); round++);
      this.#retryAtMs.delete(path);
    } catch (error) {
      this.#failed(path, error);
    }
  }

  #failed(path: string, error: unknown): void {
    this.note(`log ${path} is not rotated: ${error instanceof Error ? error.message : String(error)}`);
    this.#retryAtMs.set(path, this.clock.nowMs() + retryMs);
  }
}
