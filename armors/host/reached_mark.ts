/**
 * Reached mark: how far an armor's commits have come, in a small file beside its
 * logs. A log that was cut looks as if a crash had ended it; the mark says what
 * is missing. It is written after the commits it speaks of, and never synced: it
 * may lag behind them, and is ahead of them only if they were lost. It has two
 * places that are written in turn: what a power cut leaves half written is not
 * the one before.
 *
 * @module
 */
import { decode, encode } from "../../core/codec.ts";
import { compareGenerations, type Generation, generationText } from "../../core/generation.ts";
import { type FileSystem, systemFiles } from "./file_system.ts";
import { frameRecord, scanFrames } from "./record_frame.ts";

/** The last commit and its generation. */
export type Reached = { readonly commit: number; readonly generation: Generation };

/** Bytes of a place; more than a record has. */
const placeBytes = 256;
const places = [0, 1];

/** `write`: how many were written before, the newest counts. */
type Written = Reached & { readonly write: number };

/** The file of one armor. */
export class ReachedMark {
  #descriptor: number | undefined;
  #writes = 0;

  constructor(readonly path: string, readonly files: FileSystem = systemFiles) {}

  /** @returns `undefined` if there is none, or none that can be read. */
  read(): Reached | undefined {
    const [newest] = this.#inPlaces().sort((a, b) => b.write - a.write);
    if (!newest) return undefined;
    this.#writes = newest.write + 1;
    return { commit: newest.commit, generation: newest.generation };
  }

  #inPlaces(): Written[] {
    try {
      const bytes = this.files.readFileSync(this.path);
      return places.flatMap((place) => writtenIn(bytes.subarray(place * placeBytes, (place + 1) * placeBytes)) ?? []);
    } catch {
      return [];
    }
  }

  /** Best effort: without it damage is found as far as the logs themselves tell. */
  write({ commit, generation }: Reached): void {
    try {
      if (this.#descriptor === undefined) {
        this.files.closeSync(this.files.openSync(this.path, "a", 0o600));
        this.#descriptor = this.files.openSync(this.path, "r+");
      }
      const bytes = frameRecord(encode({ commit, generation, write: this.#writes } satisfies Written));
      this.files.writeSync(this.#descriptor, bytes, 0, bytes.length, (this.#writes % places.length) * placeBytes);
      this.#writes += 1;
    } catch {
      // a full disk
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) this.files.closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }
}

/** The record of one place; one without a count is of a file that had one place. */
function writtenIn(bytes: Uint8Array): Written | undefined {
  try {
    const [content] = scanFrames(bytes).contents;
    const { commit, generation, write = 0 } = decode(content!) as Reached & Partial<Written>;
    const good = Number.isSafeInteger(commit) && Number.isSafeInteger(generation.epoch) && typeof generation.node === "string" && Number.isSafeInteger(generation.counter);
    return good && Number.isSafeInteger(write) ? { commit, generation, write } : undefined;
  } catch {
    return undefined;
  }
}

/** What is missing between what was restored and the mark, in words; empty if nothing is. */
export function missingSince(restored: Reached | undefined, mark: Reached | undefined): string {
  if (mark === undefined) return "";
  const order = restored ? compareGenerations(mark.generation, restored.generation) : 1;
  if (order > 0) return `everything of generation ${generationText(mark.generation)} is missing`;
  const commits = order < 0 || !restored ? 0 : mark.commit - restored.commit;
  return commits > 0 ? `${commits} ${commits === 1 ? "commit" : "commits"} after it ${commits === 1 ? "is" : "are"} missing` : "";
}
