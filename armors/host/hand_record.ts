/**
 * Hand record: what an armor leaves behind for its next life. A small file
 * counts the lives that ended early, which is before their first commit or soon
 * after their start; after two of them the armor is careful and
 * writes down what it has in hand before it touches it. What it dies under
 * again is poison; if it dies again though nothing of others is in hand, its
 * state is bad.
 *
 * An armor killed from outside has, between messages, nothing in hand: that
 * accuses nobody, however often it happens. A kill that falls into a message
 * weighs less than an end by the armor's own doing. The file is written, not synced: it
 * has to outlive the process, not the machine.
 *
 * @module
 */
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Beginning } from "../../core/caution.ts";
import { decode, encode } from "../../core/codec.ts";
import { limits } from "../../core/limits.ts";
import type { DataDir } from "./data_dir.ts";
import { frameRecord, scanFrames } from "./record_frame.ts";

/** Exit status of an armor whose state is bad: it dies whenever it is started. */
export const badStateStatus = 71;

/** Exit status of an armor whose disk refuses its checkpoint: no message is to blame. */
export const diskStatus = 74;

/** What was in hand: a thread, work of the host, or the restoring of the state. */
export type InHand = { readonly kind: Beginning["kind"] | "work" | "restore"; readonly id: string; readonly op: string };

/** Where an armor leaves it. */
export function handPath(data: DataDir, armor: string): string {
  return join(data.armor(armor), "hand");
}

/** How this life is to be led. */
export type Life = "normal" | "careful" | "failed";

type Words = {
  /** Lives since the armor last lasted. */
  readonly lives: number;
  readonly careful: boolean;
  readonly hand: InHand | null;
  readonly work: InHand | null;
  /** The process ended by its own mistake. */
  readonly ended: boolean;
  /** Weight of the careful lives that ended under each message or continuation. */
  readonly deaths: { readonly [id: string]: number };
  /** Weight of the careful lives in a row that ended with nothing of others in hand. */
  readonly bad: number;
};

const fresh: Words = { lives: 0, careful: false, hand: null, work: null, ended: false, deaths: {}, bad: 0 };

/** Lives that end early before the next one is careful. */
const normalLives = 2;
const idCharactersMax = 300;

/** Where the record is kept; nothing here throws. */
export interface HandStorage {
  read(): Uint8Array | undefined;
  write(bytes: Uint8Array): void;
  remove(): void;
}

/** A small file, written in place: it never stands empty. */
export function handFile(path: string): HandStorage {
  let descriptor: number | undefined;
  const open = (): number => {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    closeSync(openSync(path, "a", 0o600));
    return openSync(path, "r+");
  };
  return {
    read: () => {
      try {
        return readFileSync(path);
      } catch {
        return undefined;
      }
    },
    write: (bytes) => {
      try {
        descriptor ??= open();
        writeSync(descriptor, bytes, 0, bytes.length, 0);
      } catch {
        // a full disk must not keep an armor from starting
      }
    },
    remove: () => {
      if (descriptor !== undefined) closeSync(descriptor);
      descriptor = undefined;
      rmSync(path, { force: true });
    },
  };
}

/** One life's view of the record. */
export class HandRecord {
  #words: Words = fresh;

  /** @param failing Whether an armor of a bad state gives up; the FTM and the daemon are always tried again. */
  constructor(readonly storage: HandStorage, readonly failing = true) {}

  /**
   * Read how the last life ended, and begin another.
   *
   * @param own Whoever watches it knows that it ended by its own doing: a crash, or a hang.
   */
  begin(own = false): Life {
    const last = this.#judge(this.#read(), own);
    if (this.failing && last.bad >= limits.badStateWeight) {
      // The next start is one more try.
      this.#write({ ...last, bad: limits.badStateWeight - limits.ownDeathWeight, careful: false, hand: null, work: null, ended: false });
      return "failed";
    }
    const lives = last.lives + 1;
    const careful = lives > normalLives;
    this.#write({ ...last, lives, careful, hand: null, work: null, ended: false });
    return careful ? "careful" : "normal";
  }

  /** Messages and continuations this armor has died under, with what that weighs. */
  get suspects(): { readonly [id: string]: number } {
    return this.#words.deaths;
  }

  /** Whether it may not be handled any more. */
  isPoison(id: string): boolean {
    return (this.#words.deaths[id.slice(0, idCharactersMax)] ?? 0) >= limits.poisonWeight;
  }

  /** Left until {@link release}: the armor is about to do this. */
  hold({ kind, id, op }: InHand): void {
    if (this.#words.careful) this.#write({ ...this.#words, hand: { kind, id: id.slice(0, idCharactersMax), op: op.slice(0, idCharactersMax) } });
  }

  /** It is done. */
  release(): void {
    if (this.#words.hand) this.#write({ ...this.#words, hand: null });
  }

  /** The host works for this continuation, or for none. What was in hand when it begins is done: its effects are under way. */
  working(id: string | null, op = ""): void {
    if (!this.#words.careful) return;
    const work = id === null ? null : { kind: "work", id: id.slice(0, idCharactersMax), op } as const;
    this.#write({ ...this.#words, work, ...(work && { hand: null }) });
  }

  /** The process ends with this status: by its own mistake, unless it is 0 or the disk's fault. */
  end(status: number): void {
    if (this.#words === fresh || status === 0) return;
    this.#write(status === diskStatus ? { ...this.#words, hand: null, work: null } : { ...this.#words, ended: true });
  }

  /** It is not wanted here: this life shows nothing about the armor, and does not count. */
  refused(): void {
    const { lives } = this.#words;
    if (this.#words !== fresh) this.#write({ ...this.#words, lives: lives - 1, careful: false, hand: null, work: null });
  }

  /** The armor has lasted: what was before does not count any more. */
  settle(): void {
    this.#words = fresh;
    this.storage.remove();
  }

  #judge(last: Words, known: boolean): Words {
    if (!last.careful) return last;
    const own = known || last.ended;
    const weight = own ? limits.ownDeathWeight : 1;
    const ours = last.hand?.kind === "local" || last.hand?.kind === "restore";
    const culprit = ours ? undefined : last.hand ?? last.work;
    if (culprit) {
      return { ...last, bad: 0, deaths: { ...last.deaths, [culprit.id]: (last.deaths[culprit.id] ?? 0) + weight } };
    }
    return { ...last, bad: ours || own ? last.bad + weight : 0 };
  }

  /** What cannot be read counts as a first life: caution may come later, never an accusation. */
  #read(): Words {
    try {
      const [content] = scanFrames(this.storage.read() ?? new Uint8Array()).contents;
      const words = content && decode(content) as Words;
      return words && typeof words.lives === "number" && typeof words.bad === "number" && typeof words.deaths === "object" ? { ...fresh, ...words } : fresh;
    } catch {
      return fresh;
    }
  }

  #write(words: Words): void {
    this.#words = words;
    this.storage.write(frameRecord(encode(words)));
  }
}
