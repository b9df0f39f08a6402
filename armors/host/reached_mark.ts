/**
 * Reached mark: how far an armor's commits have come, in a small file beside its
 * logs. A log that was cut looks as if a crash had ended it; the mark says what
 * is missing. It is written after the commits it speaks of, and never synced: it
 * may lag behind them, and is ahead of them only if they were lost.
 *
 * @module
 */
import { decode, encode } from "../../core/codec.ts";
import { compareGenerations, type Generation, generationText } from "../../core/generation.ts";
import { type FileSystem, systemFiles } from "./file_system.ts";
import { frameRecord, scanFrames } from "./record_frame.ts";

/** The last commit and its generation. */
export type Reached = { readonly commit: number; readonly generation: Generation };

/** The file of one armor. */
export class ReachedMark {
  #descriptor: number | undefined;

  constructor(readonly path: string, readonly files: FileSystem = systemFiles) {}

  /** @returns `undefined` if there is none, or none that can be read. */
  read(): Reached | undefined {
    try {
      const [content] = scanFrames(this.files.readFileSync(this.path)).contents;
      const { commit, generation } = decode(content!) as Reached;
      const good = Number.isSafeInteger(commit) && Number.isSafeInteger(generation.epoch) && typeof generation.node === "string" && Number.isSafeInteger(generation.counter);
      return good ? { commit, generation } : undefined;
    } catch {
      return undefined;
    }
  }

  /** Best effort: without it damage is found as far as the logs themselves tell. */
  write({ commit, generation }: Reached): void {
    try {
      if (this.#descriptor === undefined) {
        this.files.closeSync(this.files.openSync(this.path, "a", 0o600));
        this.#descriptor = this.files.openSync(this.path, "r+");
      }
      const bytes = frameRecord(encode({ commit, generation }));
      this.files.writeSync(this.#descriptor, bytes, 0, bytes.length, 0);
    } catch {
      // a full disk
    }
  }

  close(): void {
    if (this.#descriptor !== undefined) this.files.closeSync(this.#descriptor);
    this.#descriptor = undefined;
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
