/**
 * Inbox: what one end of a channel has handled of its peer's messages, and of
 * which generation of the peer. A generation that says hello takes the place of
 * the one before with its first data, which prove that it has agreed. Pure.
 *
 * @module
 */
import type { LaneNumbers } from "./checkpoint.ts";
import type { DataFrame, HelloFrame } from "./frame.ts";
import { compareGenerations, type Generation } from "./generation.ts";
import { invariant } from "./invariant.ts";
import { type Lane, lanes } from "./message.ts";

/** What a checkpoint holds of an inbox. */
export interface SavedInbox {
  readonly inbound?: Generation | undefined;
  readonly marks: LaneNumbers;
  readonly heardSeries?: number | undefined;
}

/** What a hello is answered. */
export interface Greeting {
  /** Its generation, or the one before, is the one this inbox counts. */
  readonly known: boolean;
  readonly marks: LaneNumbers;
}

/** An acknowledgement to be sent. */
export interface Acknowledgement {
  readonly toGeneration: Generation;
  readonly lane: Lane;
  readonly mark: number;
}

/** One armor's memory of the messages of one peer. */
export class Inbox {
  readonly #marks: Record<Lane, number> = { system: 0, user: 0 };
  readonly #ackDue: Record<Lane, boolean> = { system: false, user: false };
  /** What `inbound` said, with its last message, of how often messages have got other numbers. */
  #heardSeries = 0;
  #inbound: Generation | undefined;
  /** Said hello, with the marks it was told; until it sends data another successor of `inbound` can go on from the same marks. */
  #greeted: { readonly generation: Generation; readonly marks: LaneNumbers } | undefined;

  constructor(saved?: SavedInbox) {
    if (!saved) return;
    this.#inbound = saved.inbound;
    this.#heardSeries = saved.heardSeries ?? 0;
    Object.assign(this.#marks, saved.marks);
  }

  /** The generation whose messages it counts. */
  get inbound(): Generation | undefined {
    return this.#inbound;
  }

  /** Numbers handled. */
  get marks(): LaneNumbers {
    return { ...this.#marks };
  }

  /** See the field of the same name in `ChannelSnapshot`. */
  get heardSeries(): number {
    return this.#heardSeries;
  }

  /** Something is to be acknowledged. */
  get isDue(): boolean {
    return this.#ackDue.system || this.#ackDue.user;
  }

  /** Whether the peer has gone on under a later generation than this. */
  isOlder(from: Generation): boolean {
    return [this.#inbound, this.#greeted?.generation].some((known) => known && compareGenerations(from, known) < 0);
  }

  /** A message's effects are committed. */
  handled(lane: Lane, sequence: number): void {
    invariant(sequence === this.#marks[lane] + 1, `message ${sequence} handled out of order`);
    this.#marks[lane] = sequence;
    this.#ackDue[lane] = true;
  }

  /** Acknowledge, also what was acknowledged before. */
  due(lane: Lane): void {
    this.#ackDue[lane] = true;
  }

  /** A peer says hello. */
  greet({ fromGeneration, previous }: HelloFrame): Greeting {
    const same = this.#inbound && compareGenerations(fromGeneration, this.#inbound) === 0;
    const known = same || Boolean(this.#inbound && previous && compareGenerations(previous, this.#inbound) === 0);
    const marks = known ? this.marks : { system: 0, user: 0 };
    this.#greeted = same ? undefined : { generation: fromGeneration, marks };
    return { known, marks };
  }

  /**
   * Look at a message.
   *
   * @returns Whether it is the next one, whether it was handled or comes too early, or whether its sender has not agreed
   *   with this end. `changed`: what a checkpoint holds of this inbox is another.
   */
  look({ fromGeneration, lane, sequence, series = 0 }: DataFrame): { readonly as: "next" | "again" | "stranger"; readonly changed: boolean } {
    const adopts = this.#greeted !== undefined && compareGenerations(fromGeneration, this.#greeted.generation) === 0;
    if (adopts) this.#adopt(this.#greeted!);
    if (!this.#inbound || compareGenerations(fromGeneration, this.#inbound) !== 0) return { as: "stranger", changed: adopts };
    if (sequence !== this.#marks[lane] + 1) {
      this.#ackDue[lane] = true;
      return { as: "again", changed: adopts };
    }
    const changed = adopts || series !== this.#heardSeries;
    this.#heardSeries = series;
    return { as: "next", changed };
  }

  /** Acknowledgements that are due, each once. */
  takeAcknowledgements(): Acknowledgement[] {
    const toGeneration = this.#greeted?.generation ?? this.#inbound;
    if (!toGeneration) return [];
    const marks = this.#greeted?.marks ?? this.#marks;
    const due = lanes.filter((lane) => this.#ackDue[lane]);
    for (const lane of due) this.#ackDue[lane] = false;
    return due.map((lane) => ({ toGeneration, lane, mark: marks[lane] }));
  }

  #adopt({ generation, marks }: { readonly generation: Generation; readonly marks: LaneNumbers }): void {
    this.#inbound = generation;
    Object.assign(this.#marks, marks);
    this.#heardSeries = 0;
    this.#greeted = undefined;
  }
}
