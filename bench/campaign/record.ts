/**
 * What is noted of one injection; a line of the campaign's NDJSON.
 *
 * @module
 */

/**
 * `recovered`: something of Armor was replaced, no program noticed. `system
 * failure`: within the bound an application is not running exactly as
 * specified, its completion is unnoticed or doubled, or an acknowledged command
 * is lost.
 */
export type Outcome = "no effect" | "recovered" | "application restarted" | "in doubt" | "system failure";

/** In what the fault happens. */
export const phases = ["start-up", "registration", "submission", "steady state", "completion", "recovery in progress", "two at once"] as const;

/** One of {@link phases}. */
export type Phase = (typeof phases)[number];

/** One injection. */
export interface Injection {
  readonly seed: number;
  /** Which cluster of this seed. */
  readonly life: number;
  /** Which injection of this cluster, from 1. */
  readonly number: number;
  readonly nodes: number;
  readonly phase: Phase;
  readonly target: string;
  readonly fault: string;
  /** Milliseconds since this cluster was begun. */
  readonly atMs: number;
  /** Role of the armor that noticed; `null`: no event tells of it. */
  readonly detectedBy: string | null;
  /** From the injection to the event. */
  readonly detectionMs: number | null;
  /** From the injection until everything was as specified; `null`: not within the bound. */
  readonly recoveredMs: number | null;
  readonly outcome: Outcome;
  /** Messages that were reported in doubt. */
  readonly inDoubt: number;
  /** What was wrong, of a system failure. */
  readonly wrong?: string;
}

/** Roles by armor id, to compare clusters: `execution@x7` is `execution`. */
export function roleOf(armor: string): string {
  return armor.split("@")[0]!;
}
