/**
 * Events are numbered without doubles: a number belongs to one event, and an
 * event that a node has noted is kept once.
 *
 * @module
 */
import type { Checker, Fail } from "./checker.ts";

/** Follows the numbers that daemons store. */
export function eventsNumbered(fail: Fail): Checker {
  const origins = new Map<number, string>();
  return {
    eventsStored: (node, stored) => {
      for (const { seq, origin, epoch } of stored) {
        const other = origins.get(seq as number);
        if (other !== undefined && other !== origin) fail("events numbered", `on ${node.name} ${String(origin)} and ${other} are both event ${String(seq)}`);
        origins.set(seq as number, String(origin));
        if (Math.floor((seq as number) / 2 ** 32) !== epoch) fail("events numbered", `event ${String(seq)} is not of epoch ${String(epoch)}`);
      }
    },
  };
}
