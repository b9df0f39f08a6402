/**
 * Refusal notes: how often it is told that a peer was refused. A peer that is
 * refused tries again every half second, for ever.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";

const againMs = 60_000;
const notesMax = 100;

/** Lets every note through once a minute, and at most 100 different ones. */
export class RefusalNotes {
  readonly #saidMs = new Map<string, number>();

  constructor(readonly clock: Clock) {}

  /** Is this note to be told now? */
  isNews(note: string): boolean {
    const now = this.clock.nowMs();
    for (const [said, atMs] of this.#saidMs) if (now - atMs >= againMs) this.#saidMs.delete(said);
    if (this.#saidMs.has(note) || this.#saidMs.size >= notesMax) return false;
    this.#saidMs.set(note, now);
    return true;
  }
}
