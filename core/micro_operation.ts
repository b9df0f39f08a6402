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

/** A short way to write an op. `op("app.launch", "execution@n1")` */
export function op(name: string, at?: ArmorId): MicroOperation {
  return at === undefined ? { name } : { name, at };
}
