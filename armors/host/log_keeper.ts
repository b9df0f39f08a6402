/**
 * Log keeper: looks at the logs of running programs and has those that are too
 * large cut, beside the armor's work. The log of a program that has ended is
 * left as it is until the next one starts.
 *
 * @module
 */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import type { LogLimits } from "../application.ts";
import { type CutMeans, olderFilesMax, readLogState, sizeOf } from "./log_chain.ts";
import { type Allocate, cutMeans, finishCut, rotate, systemAllocate, turnOver } from "./log_rotation.ts";

const lookEveryMs = 1_000;
/** A log that cannot be rotated (disk full) is tried again then. */
const retryMs = 60_000;
const stateEnding = ".state";

/** Keeps the logs of one node within their limits. */
export class LogKeeper {
  readonly #kept = new Map<string, LogLimits>();
  readonly #retryAtMs = new Map<string, number>();
  /** What was last begun with a log. */
  readonly #last = new Map<string, Promise<void>>();
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

  /**
   * A program is about to be started: nobody writes to its log. Done each time, as one that lives too short for a look
   * may write much; and the only time where nothing can be cut. Does not throw.
   */
  beforeStart(path: string, limits: LogLimits): Promise<void> {
    return this.#alone(path, async () => {
      const { hole } = await finishCut(path, limits, this.allocate);
      const means = hole > 0 ? this.#tryMeans() : "none";
      if (means === "none") turnOver(path, limits);
      else await this.#cut(path, limits, means);
    });
  }

  /**
   * Finish the cuts under which the armor before this one died, also of programs that have ended since: what is being
   * moved is not read. Does not throw.
   */
  async finishCuts(): Promise<void> {
    // What is too many is dropped by the next cut, which knows the limits.
    const limits = { maxBytes: Number.POSITIVE_INFINITY, keep: olderFilesMax };
    for (const path of this.#logs()) {
      if (readLogState(path).cutting) await this.#alone(path, async () => void await finishCut(path, limits, this.allocate));
    }
  }

  #logs(): string[] {
    try {
      const names = readdirSync(this.folder, { recursive: true, encoding: "utf8" });
      return names.flatMap((name) => (name.endsWith(stateEnding) ? [join(this.folder, name.slice(0, -stateEnding.length))] : []));
    } catch (error) {
      this.#failed(this.folder, error);
      return [];
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
    await this.#alone(path, async () => {
      // Its program may have ended meanwhile, and the next one waits.
      if (!this.#kept.has(path)) return;
      const state = readLogState(path);
      const bytes = (sizeOf(path) ?? 0) - state.hole;
      // Less than nothing: somebody has emptied it, and what comes now stands where there was a hole.
      if (!state.cutting && bytes >= 0 && bytes <= limits.maxBytes) return;
      if (state.cutting) await finishCut(path, limits, this.allocate);
      const means = this.#tryMeans();
      if (means !== "none") await this.#cut(path, limits, means, () => this.#kept.has(path));
    });
  }

  /** One that is written faster than it is cut must not keep the others waiting. */
  async #cut(path: string, limits: LogLimits, means: CutMeans, goesOn = (): boolean => true): Promise<void> {
    for (let round = 0; round < 16 && goesOn() && await rotate(path, limits, means, this.allocate); round++);
  }

  /** Do something with a log when nothing else is done with it. */
  #alone(path: string, run: () => Promise<void>): Promise<void> {
    const done = (this.#last.get(path) ?? Promise.resolve()).then(run).then(
      () => void this.#retryAtMs.delete(path),
      (error) => this.#failed(path, error),
    ).then(() => {
      if (this.#last.get(path) === done) this.#last.delete(path);
    });
    this.#last.set(path, done);
    return done;
  }

  #failed(path: string, error: unknown): void {
    this.note(`log ${path} is not rotated: ${error instanceof Error ? error.message : String(error)}`);
    this.#retryAtMs.set(path, this.clock.nowMs() + retryMs);
  }
}
