/**
 * Avoidance: for how long a node on which an instance does not stay up is no
 * place for it. Nodes change: what cannot be started there now may be installed
 * a minute later, perhaps on the only node that ever could run it.
 *
 * @module
 */
import { restartDefaults } from "../../core/limits.ts";
import type { InstanceReport } from "../shapes.ts";

/**
 * Until when a node counts as one that cannot, how often in a row it could not, and after which of the operator's
 * restarts: after one everything is tried again.
 */
export type Avoided = { readonly untilMs: number; readonly times: number; readonly restart: number };

/** Ten times as long as an execution armor waits before it tries again. */
const avoidMs = 10 * restartDefaults.delayCapMs;

/**
 * What a report says of its node.
 *
 * @param known What was known.
 * @returns `undefined`: there is nothing against it.
 */
export function avoidedAfter(known: Avoided | undefined, { crashLoop, cannot, state, restart }: InstanceReport, nowMs: number): Avoided | undefined {
  const before = known && known.restart >= restart ? known : undefined;
  if (crashLoop) return { untilMs: nowMs + avoidMs, times: 1, restart };
  if (cannot === "") return state === "running" ? undefined : before;
  const waitMs = restartDefaults.delayCapMs;
  // As long as it is there and tries: told again, and not more often.
  if (before && before.untilMs > nowMs) return { ...before, untilMs: Math.max(before.untilMs, nowMs + waitMs) };
  const times = (before?.times ?? 0) + 1;
  return { untilMs: nowMs + Math.min(avoidMs, waitMs * 2 ** (times - 1)), times, restart };
}
