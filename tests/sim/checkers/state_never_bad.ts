/**
 * No fault of the simulator makes the state of an armor bad: kills from outside
 * accuse nobody, and what an armor dies under is poison and put aside. So no
 * armor is ever held to have failed for good.
 *
 * @module
 */
import type { Checker, Fail } from "./checker.ts";

/** Waits for the event that must not come. */
export function stateNeverBad(fail: Fail): Checker {
  return {
    eventsStored: (node, stored) => {
      for (const { kind, subject } of stored) if (kind === "armor.failed") fail("state never bad", `${String(subject)} is given up, as ${node.name} stores`);
    },
  };
}
