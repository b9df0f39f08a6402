/**
 * Failure detector: counts unanswered asks, not elapsed time. An ask counts only
 * when the asker's own loop was on time, so a paused or starved observer accuses
 * nobody. A reply counts only when it echoes the nonce of a recent ask. The
 * middle state is SWIM's. Pure: values in, values out.
 *
 * @module
 */

/** Judgement of a watched party. */
export type Liveness = "alive" | "suspect" | "failed";

/** What is known of one watched party. Plain and never changed in place. */
export interface Watch {
  /** Nonces of recent asks that were not answered, newest last. */
  readonly asked: readonly string[];
  /** Unanswered asks in a row that were judged on time. */
  readonly missed: number;
  /** Last valid reply; `undefined`: none yet. */
  readonly heardAtMs: number | undefined;
}

/** How many misses make which judgement. */
export interface DetectorOptions {
  readonly suspectMisses: number;
  readonly failedMisses: number;
}

/** Nothing asked, nothing heard. */
export const freshWatch: Watch = { asked: [], missed: 0, heardAtMs: undefined };

/** Replies to asks older than this many are ignored. */
const askedMax = 8;

/**
 * Judge the ask before and note the next.
 *
 * @param lateMs How late this call is against its plan.
 * @param intervalMs Pause between asks; more than half of it late voids the judgement.
 * @param nonce Fresh nonce of the ask that is sent now.
 */
export function nextAsk(watch: Watch, nonce: string, lateMs: number, intervalMs: number): Watch {
  const unanswered = watch.asked.length > 0;
  const onTime = lateMs * 2 <= intervalMs;
  return {
    ...watch,
    missed: unanswered && onTime ? watch.missed + 1 : watch.missed,
    asked: [...watch.asked.slice(1 - askedMax), nonce],
  };
}

/** Take a reply; `undefined` if it echoes no recent ask. */
export function heard(watch: Watch, nonce: string, nowMs: number): Watch | undefined {
  return watch.asked.includes(nonce) ? heardOf(nowMs) : undefined;
}

/** It has answered, or asked with what we told it last: it is alive now. */
export function heardOf(nowMs: number): Watch {
  return { asked: [], missed: 0, heardAtMs: nowMs };
}

/** The judgement now. A party never heard is judged like any other. */
export function liveness(watch: Watch, options: DetectorOptions): Liveness {
  if (watch.missed >= options.failedMisses) return "failed";
  return watch.missed >= options.suspectMisses ? "suspect" : "alive";
}
