/**
 * Under which generation an armor goes on: its own if it has all of its log, the
 * next one if a part may be missing, the ordered one if it is to begin anew.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { compareGenerations, type Generation } from "../../core/generation.ts";

/** What is known when an armor starts. */
export interface RestoreFacts {
  /** The daemon's order. */
  readonly ordered: Generation;
  /** It was started before under this order. */
  readonly again: boolean;
  /** Of the last commit found; `undefined`: there is none. */
  readonly saved: Generation | undefined;
  /** A newer one, of which nothing was found but that it was there. */
  readonly lost?: Generation | undefined;
  /** Nothing is damaged or missing as far as the files tell. */
  readonly complete: boolean;
  /** Commits are not synced, and the machine has restarted since: the end of the log may be gone without a trace. */
  readonly unsynced: boolean;
  /**
   * How many generations to leave out where nothing is left: how often it has begun anew nobody knows, if its daemon has
   * forgotten it too. Drawn by chance.
   */
  readonly jump: number;
}

/** Decide; `follows`: from the checkpoint. */
export function restoredGeneration(facts: RestoreFacts): { readonly follows: boolean; readonly generation: Generation } {
  const { follows, generation } = decide(facts);
  const { lost } = facts;
  // The daemon that has ordered this may have forgotten that it went on under another one.
  const used = lost !== undefined && compareGenerations(lost, generation) >= 0;
  return { follows, generation: used ? { ...lost, counter: lost.counter + 1 } : generation };
}

function decide({ ordered, again, saved, complete, unsynced, jump }: RestoreFacts): { readonly follows: boolean; readonly generation: Generation } {
  // A daemon that orders an older one has forgotten what it ordered since.
  const follows = saved !== undefined && compareGenerations(saved, ordered) >= 0;
  // Something was there, perhaps of this very generation, and nothing of it can be read, or only what is older.
  const used = again || (saved === undefined && !complete);
  if (!follows) return { follows, generation: used ? { ...ordered, counter: ordered.counter + 1 + jump } : ordered };
  // What was sent after the lost end would come again under the same numbers.
  return { follows, generation: complete && !unsynced ? saved : { ...saved, counter: saved.counter + 1 } };
}

/** Whether the armor has gone on in this boot before. @param path A small file that keeps the boot. */
export function ranInBoot(path: string, boot: string): boolean {
  try {
    return readFileSync(path, "latin1").trim() === boot;
  } catch {
    return false; // never started
  }
}

/** From now on it has. */
export function markBoot(path: string, boot: string): void {
  if (ranInBoot(path, boot)) return;
  try {
    writeFileSync(path, `${boot}\n`, { mode: 0o600 });
  } catch {
    // a full disk: the next start counts as the first of this boot once more
  }
}
