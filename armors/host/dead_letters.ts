/**
 * Dead letters: messages that an armor could neither handle nor answer, and
 * those it died under. One bounded file for each armor, a CBOR sequence in the
 * form of `record_frame.ts`; the oldest go first. Writing is best effort: the
 * event `message.dead-lettered` has named the message already.
 *
 * @module
 */
import { appendFileSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { decode, encode } from "../../core/codec.ts";
import type { DataRecord } from "../../core/data.ts";
import { limits } from "../../core/limits.ts";
import type { DataDir } from "./data_dir.ts";
import { frameRecord, scanFrames } from "./record_frame.ts";

/** One letter; `at` is wall time, for people. */
export type DeadLetter = {
  readonly at: string;
  readonly armor: string;
  readonly message: DataRecord & { readonly id: string };
  /** Absent: there was no room to send it. */
  readonly failure?: DataRecord;
};

const fileName = "dead-letters.cborseq";

/** Where an armor keeps its dead letters. */
export function deadLetterPath(data: DataDir, armor: string): string {
  return join(data.armor(armor), fileName);
}

/** The file of one armor. */
export class DeadLetterFile {
  constructor(readonly path: string, readonly armor: string, readonly log: (text: string) => void) {}

  /** Keep what a command `dead-letter` says. The same letter again, after a crash between two steps, is kept once. */
  add(args: DataRecord, at: string): void {
    const { message, failure } = args as { message: DeadLetter["message"]; failure?: DataRecord };
    this.log(`dead letter ${message.id}: ${JSON.stringify(failure ?? "no room to send it")}`);
    const letter: DeadLetter = { at, armor: this.armor, message: bounded(message), ...(failure && { failure }) };
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      const { contents, length, rest, bytes } = scan(this.path);
      const last = contents.at(-1);
      if (last && (decode(last) as DeadLetter).message.id === message.id) return;
      const added = frameRecord(encode(letter));
      const full = contents.length >= limits.deadLettersMax || length + added.length > limits.deadLetterBytesMax;
      if (!full && rest === "nothing") return appendFileSync(this.path, added, { mode: 0o600 });
      // Half of the bounds: it is not rewritten for every letter.
      writeFileSync(`${this.path}.new`, Buffer.concat([...newest(contents, full ? 2 : 1), added]), { mode: 0o600 });
      renameSync(`${this.path}.new`, this.path);
      if (rest === "damaged") this.log(`dead letters after byte ${length} of ${bytes} were damaged and are gone`);
    } catch (error) {
      this.log(`cannot keep a dead letter: ${String(error)}`);
    }
  }
}

/** Every dead letter in a data dir, oldest first by armor. */
export function readDeadLetters(data: DataDir, armor?: string): DeadLetter[] {
  const folder = join(data.path, "armors");
  const names = armor === undefined ? readdirSync(folder).sort().map((name) => join(folder, name, fileName)) : [deadLetterPath(data, armor)];
  return names.flatMap((path) => scan(path).contents.flatMap((content) => {
    try {
      return [decode(content) as DeadLetter];
    } catch {
      return [];
    }
  }));
}

function scan(path: string): { contents: readonly Uint8Array[]; length: number; rest: string; bytes: number } {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch {
    return { contents: [], length: 0, rest: "nothing", bytes: 0 };
  }
  return { ...scanFrames(bytes), bytes: bytes.length };
}

/** The newest that fit into a part of the bounds. */
function newest(contents: readonly Uint8Array[], part: number): Uint8Array[] {
  const kept: Uint8Array[] = [];
  let bytes = 0;
  for (const content of contents.toReversed()) {
    const record = frameRecord(content);
    if (kept.length + 1 > limits.deadLettersMax / part || bytes + record.length > limits.deadLetterBytesMax / part) break;
    bytes += record.length;
    kept.unshift(record);
  }
  return kept;
}

function bounded(message: DeadLetter["message"]): DeadLetter["message"] {
  const size = encode(message).length;
  return size <= limits.deadLetterMessageBytesMax ? message : { ...message, payload: { omittedBytes: size } };
}
