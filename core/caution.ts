/**
 * Caution: what the host of an armor that dies again and again adds to its
 * microkernel. Every thread is announced before it runs, one at a time, so that
 * the host can leave word of what was in hand; what the armor has died under
 * before is not run but answered as poison.
 *
 * @module
 */

/** A thread that is about to run. */
export interface Beginning {
  /** `message`: from another armor. `continuation`: a suspended thread, or a message to oneself. `local`: from the host or a timer. */
  readonly kind: "message" | "continuation" | "local";
  /** Of a message its id, of a continuation its key, else the op. */
  readonly id: string;
  /** The first op it runs. */
  readonly op: string;
}

/** How a host watches over threads. */
export interface Caution {
  /** Called before the thread has any effect; it must be on record when this returns. */
  begins(thread: Beginning): void;
  /** Whether the message or continuation of this id may not run any more. */
  isPoison(id: string): boolean;
}
