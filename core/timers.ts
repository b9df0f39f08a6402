/**
 * Volatile timers of an armor: one per element and name. They start local
 * threads; after a restart elements set them anew.
 *
 * @module
 */
import { invariant } from "./invariant.ts";
import type { Payload } from "./payload.ts";

/**
 * When to do next what is done every so often, the first time within half and one and a half of it. All armors of a
 * machine share its clock and so these moments: what one has just run is still in the caches for the others, where a
 * process that wakes by itself finds nothing.
 */
export function nextTogetherMs(nowMs: number, intervalMs: number): number {
  return (Math.floor(nowMs / intervalMs + 0.5) + 1) * intervalMs;
}

/** A timer that is due. */
export interface Timer {
  readonly atMs: number;
  readonly op: string;
  readonly payload: Payload;
}

/** Timers by key, the earliest first. */
export class Timers {
  readonly #timers = new Map<string, Timer>();
  #earliestMs = Infinity;

  /** @param max Never more than so many; who sets them checks before. */
  constructor(readonly max: number) {}

  /** Set or replace a timer. */
  set(key: string, timer: Timer): void {
    this.#timers.set(key, timer);
    invariant(this.#timers.size <= this.max, "too many timers");
    this.#earliestMs = Math.min(this.#earliestMs, timer.atMs);
  }

  /** Forget a timer; nothing happens if there is none. */
  cancel(key: string): void {
    this.#timers.delete(key);
  }

  /** Forget every timer whose key begins so. */
  cancelAll(prefix: string): void {
    for (const key of [...this.#timers.keys()]) if (key.startsWith(prefix)) this.#timers.delete(key);
  }

  /** A timer that waits. */
  get(key: string): Timer | undefined {
    return this.#timers.get(key);
  }

  /** Timers that wait. */
  get size(): number {
    return this.#timers.size;
  }

  /**
   * Take out the timers that are due at `nowMs`, earliest first. One that is
   * cancelled or set anew while those before it run is left out.
   */
  *takeDue(nowMs: number): Generator<Timer> {
    if (nowMs < this.#earliestMs) return;
    const due: [string, Timer][] = [];
    this.#earliestMs = Infinity;
    for (const entry of this.#timers) {
      if (entry[1].atMs <= nowMs) due.push(entry);
      else this.#earliestMs = Math.min(this.#earliestMs, entry[1].atMs);
    }
    for (const [key, timer] of due.sort((a, b) => a[1].atMs - b[1].atMs)) {
      if (this.#timers.get(key) !== timer) continue;
      this.#timers.delete(key);
      yield timer;
    }
  }

  /** No timer is due earlier; it may be that none is due then. */
  get wakeAtMs(): number | undefined {
    return this.#earliestMs === Infinity ? undefined : this.#earliestMs;
  }
}
