/**
 * Restart policy: first restart at once, then a delay that doubles with jitter
 * to a cap; reset after a time up; many restarts in a window are a crash loop.
 * Never final: at the cap it goes on. Source of the idea: restart intensity of
 * Erlang/OTP supervisors, the growing delay of Kubernetes. Pure.
 *
 * @module
 */
import type { RandomSource } from "./random.ts";

/** Times in milliseconds. */
export type RestartPolicy = {
  readonly firstDelayMs: number;
  readonly delayCapMs: number;
  readonly resetAfterMs: number;
  readonly crashLoopRestarts: number;
  readonly crashLoopWindowMs: number;
};

/** Restarts so far; a value that can stand in element state. */
export type RestartHistory = {
  /** Restarts in a row without the time up that resets. */
  readonly inRow: number;
  /** Ages of recent restarts at the latest of them, in milliseconds: no clock value is stored. */
  readonly recentAgesMs: readonly number[];
};

/** No restart yet. */
export const noRestarts: RestartHistory = { inRow: 0, recentAgesMs: [] };

/** What to do after an exit. */
export interface RestartDecision {
  readonly delayMs: number;
  /** Too many within the window: another node may do better. */
  readonly crashLoop: boolean;
  readonly history: RestartHistory;
}

/**
 * Decide the next restart.
 *
 * @param upMs How long the program ran; also the time since the last restart.
 */
export function decideRestart(
  policy: RestartPolicy,
  history: RestartHistory,
  upMs: number,
  random: RandomSource,
): RestartDecision {
  const inRow = upMs >= policy.resetAfterMs ? 0 : history.inRow;
  const recentAgesMs = [...history.recentAgesMs.map((age) => age + upMs), 0]
    .filter((age) => age < policy.crashLoopWindowMs)
    .slice(-policy.crashLoopRestarts);
  let delayMs = 0;
  if (inRow > 0) {
    delayMs = policy.firstDelayMs;
    for (let doubling = 1; doubling < inRow && delayMs < policy.delayCapMs; doubling++) delayMs *= 2;
    delayMs = Math.min(delayMs, policy.delayCapMs);
    // Full periods in step would restart a whole fleet at once.
    delayMs = Math.floor(delayMs * (80 + random.below(41)) / 100);
  }
  return {
    delayMs,
    crashLoop: recentAgesMs.length >= policy.crashLoopRestarts,
    // The delay counts too: the window is about time that passes, not only time up.
    history: { inRow: inRow + 1, recentAgesMs: recentAgesMs.map((age, index) => index + 1 < recentAgesMs.length ? age + delayMs : 0) },
  };
}

/** Starts in a row that took too long. `excused`: the last one was, and did not count. */
export type Lateness = { readonly inRow: number; readonly excused: boolean };

/** None took too long. */
export const punctual: Lateness = { inRow: 0, excused: false };

/**
 * One more start has taken too long. What was stopped by a signal was not slow,
 * which excuses it; but not twice in a row, for there are machines that are
 * slowed down by such signals.
 *
 * @example
 * ```ts
 * import { late, patienceMs, punctual } from "./restart_policy.ts";
 * import { invariant } from "./invariant.ts";
 * const after = late(late(punctual, true), true);
 * invariant(patienceMs(5_000, after.inRow, 40_000) === 10_000, "the second does count");
 * ```
 */
export function late({ inRow, excused }: Lateness, stopped: boolean): Lateness {
  return stopped && !excused ? { inRow, excused: true } : { inRow: inRow + 1, excused: false };
}

/**
 * How long the next try may take: twice as long as the one before, which took too
 * long. So on a slow or busy machine some try does succeed.
 *
 * @param failures Tries in a row that took too long.
 */
export function patienceMs(firstMs: number, failures: number, maxMs: number): number {
  return Math.min(firstMs * 2 ** failures, maxMs);
}
