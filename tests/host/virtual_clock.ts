/**
 * A clock of virtual time for parts of a host.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { SimClock } from "../sim/sim_clock.ts";

/** @returns A clock, and what lets its time go on; promises are followed after each call. */
export function virtualClock(): { readonly clock: Clock; runUntil(untilMs: number): Promise<void> } {
  const time = new SimClock();
  const after: Clock["after"] = (delayMs, run) =>
    time.at(time.nowMs + delayMs, () => {
      time.settled = true;
      run();
    });
  const every: Clock["every"] = (intervalMs, run) => {
    let forget = after(intervalMs, function again() {
      forget = after(intervalMs, again);
      run();
    });
    return () => forget();
  };
  return { clock: { nowMs: () => time.nowMs, after, every }, runUntil: (untilMs) => time.runUntil(untilMs) };
}
