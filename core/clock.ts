/**
 * Clock: what hosts need of time. The machine's is in `armors/host/`; the
 * simulator has its own.
 *
 * @module
 */

/** Time of one machine, and calls at later times. */
export interface Clock {
  /** Monotonic milliseconds since the machine's boot, the same in all its processes. */
  nowMs(): number;
  /** Call once, at the earliest after this many milliseconds. @returns Forgets it. */
  after(delayMs: number, run: () => void): () => void;
  /** Call again and again until it is forgotten; does not keep a process alive. @returns Forgets it. */
  every(intervalMs: number, run: () => void): () => void;
}
