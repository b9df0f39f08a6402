/**
 * Outbox: what waits for one peer in one lane of a channel, oldest first, with
 * the numbers it is transmitted under. It knows which of its messages may have
 * left, so that it can be told what is certain to have had no effect. Pure.
 *
 * @module
 */
import type { OutboxEntry } from "./checkpoint.ts";
import { invariant } from "./invariant.ts";
import { limits } from "./limits.ts";

/** A deadline that outlives the process. */
export interface KeptDeadline {
  /** By the clock of this boot. */
  readonly atMs: number;
  readonly boot: string | undefined;
}

/** A message that waits, with what is lost on restart. */
export interface Waiting {
  sequence: number;
  readonly body: Uint8Array;
  deadlineAtMs: number | undefined;
  /** Its sender's deadline; the others are as long as a receiver may take. */
  readonly kept: KeptDeadline | undefined;
}

/** What a checkpoint holds of an outbox. */
export interface SavedOutbox {
  readonly next: number;
  readonly acked: number;
  readonly waiting: readonly Pick<Waiting, "sequence" | "body" | "kept">[];
  /** Its state went back: anything may have left. */
  readonly rewound: boolean;
}

/** What both ends agree on anew. */
export interface Agreement {
  /** The last number that the peer has handled. */
  readonly mark: number;
  /** The peer knows this outbox. */
  readonly known: boolean;
  /** The peer began anew by order: what it had handled is over. */
  readonly fresh: boolean;
  /** The peer's state went back. */
  readonly rewound: boolean;
  /** After a rewind of this side: messages from this number on were queued after it. */
  readonly base: number | undefined;
  /** In commits that were lost messages may have had other numbers. */
  readonly renumberedBefore: boolean;
}

/** What an agreement means for the messages. */
export interface Agreed {
  /** They may have had effects, or not. */
  readonly inDoubt: readonly Uint8Array[];
  /** More are forgotten by one side. */
  readonly lost: number;
  /** Some have other numbers now. */
  readonly renumbered: boolean;
  /** Some need not wait any more. */
  readonly dropped: boolean;
}

/** Messages that may have left after the last acknowledgement that was committed. */
const aheadMax = 2 * limits.windowMax;

/** One lane's messages to one peer. */
export class Outbox {
  #waiting: Waiting[] = [];
  #next = 1;
  #acked = 0;
  /** As of the last commit. */
  #savedAcked = 0;
  /** Messages that may have left, now or in an earlier life: a prefix of this length. */
  #transmitted = 0;
  /** Messages transmitted since the last agreement: a prefix of this length. */
  #cursor = 0;
  /** No deadline of an untransmitted message is earlier. */
  #deadlineAtMs = Infinity;

  /** @param saved What a checkpoint holds. */
  constructor(saved?: SavedOutbox) {
    if (!saved) return;
    this.#next = saved.next;
    this.#acked = this.#savedAcked = saved.acked;
    for (const { sequence, body, kept } of saved.waiting) {
      this.#waiting.push({ sequence, body, deadlineAtMs: undefined, kept });
      // Beyond what may leave ahead of a commit, under numbers that still hold, it is certain that nothing has left.
      if (saved.rewound || sequence <= saved.acked + aheadMax) this.#transmitted += 1;
    }
  }

  /** Messages, oldest first. */
  get waiting(): readonly Readonly<Waiting>[] {
    return this.#waiting;
  }

  /** Number of the next message. */
  get next(): number {
    return this.#next;
  }

  /** The last number that the peer has acknowledged. */
  get acked(): number {
    return this.#acked;
  }

  /** Messages it can still take. */
  get room(): number {
    return limits.outboxMax - this.#waiting.length;
  }

  /** Some have been transmitted since the last agreement. */
  get isUnderWay(): boolean {
    return this.#cursor > 0;
  }

  /** When the first message may have to turn round that has never left; Infinity: none, or none has a deadline. */
  get expiresAtMs(): number {
    return this.#waiting.length > this.#transmitted ? this.#deadlineAtMs + 1 : Infinity;
  }

  /** So many acknowledgements are in no commit that what has left could not be told from what has not. */
  get overdue(): boolean {
    return this.#acked - this.#savedAcked >= limits.windowMax;
  }

  /** A commit now being written holds the acknowledgements. */
  saved(): void {
    this.#savedAcked = this.#acked;
  }

  /**
   * Restored messages have their deadline still; one of another boot has passed, whatever the clock of this one says.
   * Those without one have their time anew. `waitMs`: of a message.
   */
  begin(nowMs: number, boot: string | undefined, waitMs: (body: Uint8Array) => number | undefined): void {
    for (const entry of this.#waiting) {
      const ms = waitMs(entry.body);
      if (ms === undefined) continue;
      const leftMs = (entry.kept?.atMs ?? nowMs + ms) - nowMs;
      const passed = entry.kept !== undefined && (entry.kept.boot !== boot || leftMs > ms);
      entry.deadlineAtMs = passed ? nowMs - 1 : nowMs + leftMs;
      this.#deadlineAtMs = Math.min(this.#deadlineAtMs, entry.deadlineAtMs);
    }
  }

  /** Take a message; the caller has checked {@link room}. @returns Its number. */
  enqueue(body: Uint8Array, deadlineAtMs: number | undefined, kept: KeptDeadline | undefined): number {
    invariant(this.room > 0, "an outbox overflows");
    const sequence = this.#next++;
    this.#waiting.push({ sequence, body, deadlineAtMs, kept });
    if (deadlineAtMs !== undefined) this.#deadlineAtMs = Math.min(this.#deadlineAtMs, deadlineAtMs);
    return sequence;
  }

  /** Take out what has never left and is too late, and number the others anew. */
  takeExpired(nowMs: number): Uint8Array[] {
    if (nowMs <= this.#deadlineAtMs) return [];
    this.#deadlineAtMs = Infinity;
    const expired: Uint8Array[] = [];
    const kept = this.#waiting.filter(({ body, deadlineAtMs = Infinity }, index) => {
      if (index < this.#transmitted || nowMs <= deadlineAtMs) {
        if (index >= this.#transmitted) this.#deadlineAtMs = Math.min(this.#deadlineAtMs, deadlineAtMs);
        return true;
      }
      expired.push(body);
      return false;
    });
    if (expired.length > 0) this.#replace(kept, this.#acked);
    return expired;
  }

  /** The peer has handled all up to this number. @returns Whether that is news. */
  acknowledge(mark: number): boolean {
    if (mark <= this.#acked || mark >= this.#next) return false;
    const count = mark - this.#acked;
    this.#transmitted = Math.max(0, this.#transmitted - count);
    this.#cursor = Math.max(0, this.#cursor - count);
    this.#waiting.splice(0, count);
    this.#acked = mark;
    return true;
  }

  /** Both ends have met: what the peer has handled goes, the rest is transmitted again after it. */
  agree({ mark, known, fresh, rewound, base, renumberedBefore }: Agreement): Agreed {
    const sure = base !== undefined && renumberedBefore ? this.#sureUpTo() : Infinity;
    const waiting = this.#waiting.filter(({ sequence }) => sequence > Math.min(mark, sure) || (base !== undefined && sequence >= base));
    const dropped = this.#waiting.length - waiting.length;
    const transmitted = Math.max(0, this.#transmitted - dropped);
    const doubtful = rewound || mark < this.#acked || mark > sure || (!known && base !== undefined);
    const inDoubt = doubtful ? waiting.slice(0, transmitted).map(({ body }) => body) : [];
    let lost = 0;
    if (known || (rewound && !fresh)) lost += Math.max(0, this.#acked - mark);
    if (base !== undefined) lost += Math.max(0, mark - (base - 1));
    const renumbered = (waiting[0]?.sequence ?? this.#next) !== mark + 1;
    this.#replace(waiting, mark);
    this.#transmitted = transmitted;
    this.#cursor = 0;
    this.#acked = mark;
    return { inDoubt, lost, renumbered, dropped: dropped > 0 };
  }

  /** All that has not been acknowledged is to be transmitted again. */
  again(): void {
    this.#cursor = 0;
  }

  /**
   * Messages to transmit now, which count as transmitted: what the window allows and, so that it is answered instead
   * of waiting for ever, what is too late anyway. `most`: no more than so many from the beginning.
   */
  take(nowMs: number, window: number, most: number): Readonly<Waiting>[] {
    const first = this.#cursor;
    while (this.#cursor < Math.min(this.#waiting.length, most)) {
      const { sequence, deadlineAtMs } = this.#waiting[this.#cursor]!;
      const late = deadlineAtMs !== undefined && deadlineAtMs < nowMs;
      if (sequence > this.#acked + (late ? limits.windowMax : window)) break;
      this.#cursor += 1;
      this.#transmitted = Math.max(this.#transmitted, this.#cursor);
    }
    return this.#waiting.slice(first, this.#cursor);
  }

  /** The last of the messages that cannot have turned round at a deadline: those before it have their numbers in any case. */
  #sureUpTo(): number {
    return (this.#waiting.find(({ deadlineAtMs }) => deadlineAtMs !== undefined)?.sequence ?? this.#next) - 1;
  }

  /** These messages wait, numbered anew from the one after `mark`. */
  #replace(waiting: Waiting[], mark: number): void {
    waiting.forEach((entry, index) => entry.sequence = mark + 1 + index);
    this.#waiting = waiting;
    this.#next = mark + 1 + waiting.length;
  }
}

/** As a checkpoint holds it. */
export function keptFields(kept: KeptDeadline | undefined): Pick<OutboxEntry, "deadlineAtMs" | "boot"> {
  return kept ? { deadlineAtMs: kept.atMs, ...(kept.boot !== undefined && { boot: kept.boot }) } : {};
}
