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
 * restarts: after one everything is tried again. `starts`: it can be started there, but does not stay up. `attempt`: the
 * last one; what is told again of it, as by an execution armor that has just restored it, is no further one.
 */
export type Avoided = { readonly untilMs: number; readonly times: number; readonly restart: number; readonly starts: boolean; readonly attempt: string };

/** Ten times as long as an execution armor waits before it tries again. */
const avoidMs = 10 * restartDefaults.delayCapMs;

/**
 * What a report says of its node.
 *
 * @param known What was known.
 * @returns `undefined`: there is nothing against it.
 */
export function avoidedAfter(known: Avoided | undefined, { crashLoop, cannot, state, restart, placement, launch }: InstanceReport, nowMs: number): Avoided | undefined {
  const attempt = `${placement.epoch.number}.${placement.epoch.node}.${placement.number} ${launch}`;
  const before = known && known.restart >= restart ? known : undefined;
  if (crashLoop) return { untilMs: nowMs + avoidMs, times: 1, restart, starts: true, attempt };
  if (cannot === "") return state === "running" ? undefined : before;
  const waitMs = restartDefaults.delayCapMs;
  const same = before?.starts === false ? before : undefined;
  if (same?.attempt === attempt) return same;
  // As long as it is there and tries it is kept there, and does not count more often.
  if (same && same.untilMs > nowMs) return { ...same, untilMs: Math.max(same.untilMs, nowMs + waitMs), attempt };
  const times = (same?.times ?? 0) + 1;
  return { untilMs: nowMs + Math.min(avoidMs, waitMs * 2 ** (times - 1)), times, restart, starts: false, attempt };
}
