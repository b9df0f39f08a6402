/**
 * Volatile timers of an armor: one per element and name. They start local
 * threads; after a restart elements set them anew.
 *
 * @module
 */
import { invariant } from "./invariant.ts";
import { limits } from "./limits.ts";
import type { Payload } from "./payload.ts";

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

  /** Set or replace a timer. */
  set(key: string, timer: Timer): void {
    this.#timers.set(key, timer);
    invariant(this.#timers.size <= limits.timersMax, "too many timers");
    this.#earliestMs = Math.min(this.#earliestMs, timer.atMs);
  }

  /** Forget a timer; nothing happens if there is none. */
  cancel(key: string): void {
    this.#timers.delete(key);
  }

  /** Take out the timers that are due at `nowMs`, earliest first. */
  takeDue(nowMs: number): Timer[] {
    if (nowMs < this.#earliestMs) return [];
    const due: Timer[] = [];
    this.#earliestMs = Infinity;
    for (const [key, timer] of this.#timers) {
      if (timer.atMs <= nowMs) {
        due.push(timer);
        this.#timers.delete(key);
      } else this.#earliestMs = Math.min(this.#earliestMs, timer.atMs);
    }
    return due.sort((a, b) => a.atMs - b.atMs);
  }

  /** No timer is due earlier; it may be that none is due then. */
  get wakeAtMs(): number | undefined {
    return this.#earliestMs === Infinity ? undefined : this.#earliestMs;
  }
}
