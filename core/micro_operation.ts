/**
 * Micro-operation: one step of a message's itinerary. Source: "every message
 * carries a series of microoperations to be executed by armors".
 *
 * @module
 */

/** Name of an armor: `ftm`, `heartbeat`, `daemon@NODEID`, `execution@NODEID`, or an id of one's own. */
export type ArmorId = string;

/** One op of an itinerary. */
export interface MicroOperation {
  /** Two or more lower-case words joined by dots or dashes: `application.launch`. */
  readonly name: string;
  /** The armor it runs at; absent: wherever the message is. */
  readonly at?: ArmorId;
}

/**
 * A short way to write an op.
 *
 * @param at Armor it runs at; absent: wherever the message is.
 * @example
 * ```ts
 * import { op } from "./micro_operation.ts";
 * const there = op("program.look", "execution@n1");
 * const here = op("program.looked");
 * console.assert(there.at === "execution@n1" && here.at === undefined);
 * ```
 */
export function op(name: string, at?: ArmorId): MicroOperation {
  return at === undefined ? { name } : { name, at };
}
