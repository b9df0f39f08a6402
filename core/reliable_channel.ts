/**
 * Reliable channel between two armors: per-lane sequence numbers,
 * retransmission, in-order delivery, duplicates dropped. Pure: frames and
 * `nowMs` in, frames out; the microkernel decides when a message counts as
 * handled, so acknowledgements never run ahead of commits.
 *
 * A channel is named by both ends and both ends' generations. `hello` and
 * `welcome` agree on numbers whenever a generation is new to the other side;
 * what neither side can prove handled or unhandled is reported as in doubt.
 * Source of the idea: sequence numbers and cumulative acks as in TCP, the
 * incarnation check as in SCTP's verification tag.
 *
 * @module
 */
import type { ChannelSnapshot, LaneNumbers, OutboxEntry } from "./checkpoint.ts";
import type { AckFrame, DataFrame, Frame, HelloFrame, WelcomeFrame } from "./frame.ts";
import { compareGenerations, type Generation } from "./generation.ts";
import { Inbox } from "./inbox.ts";
import { limits } from "./limits.ts";
import { type Lane, lanes } from "./message.ts";
import type { ArmorId } from "./micro_operation.ts";
import { type KeptDeadline, keptFields, Outbox } from "./outbox.ts";

/** What a received frame means to the microkernel. */
export type Received =
  | { readonly kind: "deliver"; readonly lane: Lane; readonly sequence: number; readonly frame: DataFrame }
  /** One side's state went back: `inDoubt` may have had effects that are gone, `lost` more are forgotten by one side. */
  | { readonly kind: "rewound"; readonly inDoubt: readonly Uint8Array[]; readonly lost: number }
  /** Messages have other numbers now: to be committed before any of them is transmitted. */
  | { readonly kind: "renumbered" }
  | { readonly kind: "nothing" };

const nothing: Received = { kind: "nothing" };

/** One armor's end of the channel to one peer, both directions. */
export class ReliableChannel {
  readonly #inbox: Inbox;
  readonly #outbox: Readonly<Record<Lane, Outbox>>;
  /** After a rewind: messages numbered from here on were queued after it. */
  #rewoundAt: LaneNumbers | undefined;
  /** How often messages have got other numbers under `numbered`: in commits that were lost they may have had some that this state does not know of. */
  #series = 0;
  #previous: Generation | undefined;
  #outbound: Generation | undefined;
  #numbered: Generation;
  /** The peer has answered `hello` since this process started or last lost trust. */
  #agreed = false;
  /** One side's generation is new to the other: say hello even if nothing waits, so that a rewind is never silent. */
  #greets = false;
  /** Names the handshake under way; every `hello` of it carries the same, or two sides that greet at once never agree. */
  #attempt: number;
  /** Transmitted again, and no answer yet: more than the first few are kept back. */
  #trying = false;
  #window = 0;
  /** When a closed window may be asked for again; two sides that are both closed must not answer each other at once for ever. */
  #askAtMs = 0;
  #askBackoffMs: number = limits.retransmitFirstMs;
  /** Infinity: nothing to transmit again. Not `undefined`, which an optimizing engine was seen to return as NaN from among numbers. */
  #retransmitAtMs = Infinity;
  #backoffMs: number = limits.retransmitFirstMs;
  readonly #replies: Frame[] = [];
  /** The agreement, or an acknowledgement, changed since the last commit. */
  dirty: "no" | "acked" | "agreement" = "no";
  /** A user message was not admitted, or would not have been: tell the peer when there is room again. */
  refused = false;

  /**
   * @param attempt Random start of the numbers that tie `welcome` to `hello`.
   * @param saved What a checkpoint holds; of another generation: this is a rewind.
   * @param fresh This armor began without a checkpoint.
   */
  constructor(
    readonly self: ArmorId,
    readonly peer: ArmorId,
    readonly generation: Generation,
    attempt: number,
    saved?: ChannelSnapshot,
    readonly fresh = false,
  ) {
    this.#attempt = attempt;
    this.#numbered = saved?.numbered ?? generation;
    if (saved) {
      this.#previous = saved.previous;
      this.#rewoundAt = saved.rewoundAt;
      this.#series = saved.series ?? 0;
      if (!this.#rewoundAt && compareGenerations(saved.numbered, generation) !== 0) {
        this.#rewoundAt = { ...saved.next };
        this.dirty = "agreement";
      }
      this.#greets = this.#rewoundAt !== undefined;
      this.#outbound = saved.outbound;
    }
    this.#inbox = new Inbox(saved);
    this.#outbox = { system: this.#restore("system", saved), user: this.#restore("user", saved) };
  }

  #restore(lane: Lane, saved: ChannelSnapshot | undefined): Outbox {
    if (!saved) return new Outbox();
    const waiting = saved.outbox.filter((entry) => entry.lane === lane).map(({ sequence, body, deadlineAtMs: atMs, boot }) => ({ sequence, body, kept: atMs === undefined ? undefined : { atMs, boot } }));
    return new Outbox({ next: saved.next[lane], acked: saved.acked[lane], waiting, rewound: this.#rewoundAt !== undefined });
  }

  /** The armor starts: what was restored has its deadline still, see {@link Outbox.begin}. `waitMs`: of a message. */
  begin(nowMs: number, boot: string | undefined, waitMs: (body: Uint8Array) => number | undefined): void {
    for (const lane of lanes) this.#outbox[lane].begin(nowMs, boot, waitMs);
  }

  /** Messages the lane can still take. */
  room(lane: Lane): number {
    return this.#outbox[lane].room;
  }

  /** Whether something waits for the peer. */
  get pending(): boolean {
    return this.#outbox.system.waiting.length > 0 || this.#outbox.user.waiting.length > 0;
  }

  /** Queue an encoded message; the caller has checked {@link room}. @returns Its number. */
  enqueue(lane: Lane, body: Uint8Array, deadlineAtMs: number | undefined, kept?: KeptDeadline): number {
    return this.#outbox[lane].enqueue(body, deadlineAtMs, kept);
  }

  /** The microkernel has committed the effects of this message. */
  handled(lane: Lane, sequence: number): void {
    this.#inbox.handled(lane, sequence);
  }

  /** Take one frame from the peer. Replies wait in {@link replies}. */
  receive(frame: Frame, nowMs: number): Received {
    if (this.#isOlder(frame.fromGeneration)) return nothing;
    if (frame.type === "hello") return this.#receiveHello(frame, nowMs);
    if (compareGenerations(frame.toGeneration, this.generation) !== 0) {
      if (frame.type === "data") this.#answerStranger(frame);
      return nothing;
    }
    switch (frame.type) {
      case "welcome":
        return this.#receiveWelcome(frame, nowMs);
      case "stranger":
        this.#agreed = false;
        this.kick(nowMs);
        return nothing;
      case "ack":
        this.#receiveAck(frame, nowMs);
        return nothing;
      case "data":
        return this.#receiveData(frame);
    }
  }

  /**
   * Frames to transmit now: `hello` while there is no agreement, then what the
   * window allows, again after each back-off. One call per step.
   */
  outgoing(nowMs: number): Frame[] {
    if (!this.pending && !this.#greets) {
      this.#retransmitAtMs = Infinity;
      return [];
    }
    const due = nowMs >= this.#retransmitAtMs;
    const frames: Frame[] = [];
    if (!this.#agreed) {
      if (this.#retransmitAtMs === Infinity || due) frames.push(this.#hello());
    } else {
      if (due) {
        this.#trying = lanes.some((lane) => this.#outbox[lane].isUnderWay);
        for (const lane of lanes) this.#outbox[lane].again();
      }
      for (const lane of lanes) this.#transmit(lane, nowMs, frames);
      // A closed window is asked for again; data alone would wait for ever.
      if (frames.length === 0 && due && this.#window === 0 && nowMs >= this.#askAtMs) {
        this.#askAtMs = nowMs + this.#askBackoffMs;
        this.#askBackoffMs = Math.min(this.#askBackoffMs * 2, limits.retransmitCapMs);
        frames.push(this.#hello());
      }
    }
    if (due) this.#backoffMs = Math.min(this.#backoffMs * 2, limits.retransmitCapMs);
    if (due || this.#retransmitAtMs === Infinity) this.#retransmitAtMs = nowMs + this.#backoffMs;
    return frames;
  }

  /** Replies and acknowledgements made since the last call. `window`: user messages that would be admitted. */
  replies(window: number): Frame[] {
    const frames = this.#replies.splice(0).map((frame) => frame.type === "welcome" ? { ...frame, window } : frame);
    for (const { toGeneration, lane, mark } of this.#inbox.takeAcknowledgements()) {
      frames.push({ type: "ack", from: this.self, to: this.peer, fromGeneration: this.generation, toGeneration, lane, mark, window });
    }
    // Who hears of a closed window is told when it opens.
    if (window === 0 && frames.length > 0) this.refused = true;
    return frames;
  }

  /** Acknowledge again, to tell a sender that was refused of new room. */
  announceRoom(): void {
    this.refused = false;
    this.#inbox.due("user");
  }

  /** Transmit at once what waits: the way to the peer has changed. */
  kick(nowMs: number): void {
    this.#backoffMs = limits.retransmitFirstMs;
    if (this.pending || this.#greets) this.#retransmitAtMs = nowMs;
  }

  /** Nothing waits, and nothing is to be answered: most channels of a large armor, at most times. */
  get idle(): boolean {
    return !this.pending && !this.#greets && !this.refused && this.#retransmitAtMs === Infinity && this.#replies.length === 0 && !this.#inbox.isDue;
  }

  /** When {@link outgoing} wants to be called next; Infinity: only when something has changed. */
  get wakeAtMs(): number {
    return Math.min(this.#retransmitAtMs, this.#outbox.system.expiresAtMs, this.#outbox.user.expiresAtMs);
  }

  /**
   * Take out messages whose deadline passed before they were ever transmitted:
   * only of these is it certain that they had no effect.
   */
  takeExpired(nowMs: number): Uint8Array[] {
    return lanes.flatMap((lane) => {
      const expired = this.#outbox[lane].takeExpired(nowMs);
      if (expired.length > 0) {
        // After a rewind only what was queued since turns round: its numbers have not been told to anybody.
        if (!this.#rewoundAt) this.#series += 1;
        this.dirty = "agreement";
      }
      return expired;
    });
  }

  /** What a commit now being written holds: agreement and acknowledgements. */
  saved(): void {
    this.dirty = "no";
    for (const lane of lanes) this.#outbox[lane].saved();
  }

  /** So many acknowledgements are in no commit that what has left could not be told from what has not. */
  get overdue(): boolean {
    return this.#outbox.system.overdue || this.#outbox.user.overdue;
  }

  /** Numbers acknowledged by the peer. */
  get acked(): { system: number; user: number } {
    return { system: this.#outbox.system.acked, user: this.#outbox.user.acked };
  }

  /** The durable part. */
  snapshot(): ChannelSnapshot {
    const outbox: OutboxEntry[] = lanes.flatMap((lane) =>
      this.#outbox[lane].waiting.map(({ sequence, body, kept }) => ({ lane, sequence, body, ...keptFields(kept) }))
    );
    const { inbound, marks, heardSeries } = this.#inbox;
    return {
      peer: this.peer,
      ...(inbound && { inbound }),
      ...(this.#outbound && { outbound: this.#outbound }),
      numbered: this.#numbered,
      ...(this.#previous && { previous: this.#previous }),
      ...(this.#rewoundAt && { rewoundAt: this.#rewoundAt }),
      ...(this.#series > 0 && { series: this.#series }),
      ...(heardSeries > 0 && { heardSeries }),
      marks,
      next: { system: this.#outbox.system.next, user: this.#outbox.user.next },
      acked: this.acked,
      outbox,
    };
  }

  #isOlder(from: Generation): boolean {
    return this.#inbox.isOlder(from) || (this.#outbound !== undefined && compareGenerations(from, this.#outbound) < 0);
  }

  #receiveHello(frame: HelloFrame, nowMs: number): Received {
    const { known, marks } = this.#inbox.greet(frame);
    const { heardSeries } = this.#inbox;
    if (this.#outbound && compareGenerations(this.#outbound, frame.fromGeneration) !== 0) {
      this.#agreed = false;
      this.#greets = true;
    }
    this.kick(nowMs);
    this.#replies.push({
      type: "welcome",
      from: this.self,
      to: this.peer,
      fromGeneration: this.generation,
      toGeneration: frame.fromGeneration,
      marks,
      known,
      ...(known && heardSeries > 0 && { series: heardSeries }),
      ...(this.fresh && !known && { fresh: true }),
      attempt: frame.attempt,
      window: 0,
    });
    return nothing;
  }

  #receiveWelcome(frame: WelcomeFrame, nowMs: number): Received {
    if (frame.attempt !== this.#attempt) return nothing;
    this.#attempt += 1;
    const rewound = this.#outbound !== undefined && compareGenerations(frame.fromGeneration, this.#outbound) !== 0;
    const inDoubt: Uint8Array[] = [];
    let lost = 0;
    let renumbered = rewound || this.#rewoundAt !== undefined;
    for (const lane of lanes) {
      const outbox = this.#outbox[lane];
      const base = this.#rewoundAt?.[lane];
      let mark = frame.known ? frame.marks[lane] : 0;
      // Within one line of both states marks only rise: a lower one was overtaken by an acknowledgement.
      if (frame.known && !rewound && base === undefined) mark = Math.max(mark, outbox.acked);
      const { known, fresh = false, series = 0 } = frame;
      const agreed = outbox.agree({ mark, known, fresh, rewound, base, renumberedBefore: series > this.#series });
      inDoubt.push(...agreed.inDoubt);
      lost += agreed.lost;
      renumbered ||= agreed.renumbered;
      if (agreed.dropped) this.dirty = "agreement";
    }
    if (renumbered || !this.#outbound) this.dirty = "agreement";
    this.#rewoundAt = undefined;
    if (compareGenerations(this.#numbered, this.generation) !== 0) {
      this.#previous = this.#numbered;
      this.#numbered = this.generation;
      this.#series = 0;
    }
    this.#outbound = frame.fromGeneration;
    this.#agreed = true;
    this.#greets = false;
    this.#trying = false;
    this.#open(frame.window);
    this.#backoffMs = limits.retransmitFirstMs;
    this.#retransmitAtMs = this.pending ? nowMs + this.#backoffMs : Infinity;
    if (inDoubt.length > 0 || lost > 0) return { kind: "rewound", inDoubt, lost };
    return renumbered ? { kind: "renumbered" } : nothing;
  }

  #open(window: number): void {
    this.#window = window;
    if (window > 0) this.#askBackoffMs = limits.retransmitFirstMs;
  }

  #receiveAck(frame: AckFrame, nowMs: number): void {
    if (!this.#outbound || compareGenerations(frame.fromGeneration, this.#outbound) !== 0 || !this.#agreed) return;
    this.#open(frame.window);
    this.#trying = false;
    const { lane, mark } = frame;
    if (!this.#outbox[lane].acknowledge(mark)) return;
    if (this.dirty === "no") this.dirty = "acked";
    if (this.#previous) this.dirty = "agreement";
    this.#previous = undefined;
    this.#backoffMs = limits.retransmitFirstMs;
    this.#retransmitAtMs = this.pending ? nowMs + this.#backoffMs : Infinity;
  }

  #receiveData(frame: DataFrame): Received {
    const { as, changed } = this.#inbox.look(frame);
    if (changed) this.dirty = "agreement";
    if (as === "stranger") this.#answerStranger(frame);
    return as === "next" ? { kind: "deliver", lane: frame.lane, sequence: frame.sequence, frame } : nothing;
  }

  /** Data between generations that have not met is refused, and the sender told to say hello. */
  #answerStranger(frame: DataFrame): void {
    if (this.#replies.some(({ type }) => type === "stranger")) return;
    this.#replies.push({
      type: "stranger",
      from: this.self,
      to: this.peer,
      fromGeneration: this.generation,
      toGeneration: frame.fromGeneration,
    });
  }

  #hello(): HelloFrame {
    const previous = compareGenerations(this.#numbered, this.generation) !== 0 ? this.#numbered : this.#previous;
    return {
      type: "hello",
      from: this.self,
      to: this.peer,
      fromGeneration: this.generation,
      ...(previous && { previous }),
      attempt: this.#attempt,
    };
  }

  #transmit(lane: Lane, nowMs: number, frames: Frame[]): void {
    const window = lane === "user" ? this.#window : limits.windowMax;
    for (const { sequence, deadlineAtMs, body } of this.#outbox[lane].take(nowMs, window, this.#trying ? limits.againMax : Infinity)) {
      frames.push({
        type: "data",
        from: this.self,
        to: this.peer,
        fromGeneration: this.generation,
        toGeneration: this.#outbound!,
        lane,
        sequence,
        ...(this.#series > 0 && { series: this.#series }),
        ...(deadlineAtMs !== undefined && { deadlineMs: deadlineAtMs - nowMs }),
        body,
      });
    }
  }
}
