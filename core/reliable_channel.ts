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
import { invariant } from "./invariant.ts";
import { limits } from "./limits.ts";
import type { Lane } from "./message.ts";
import type { ArmorId } from "./micro_operation.ts";

/** An outbox entry with what is lost on restart. */
interface Waiting {
  sequence: number;
  readonly body: Uint8Array;
  deadlineAtMs: number | undefined;
  /** Its sender's deadline, which outlives the process; the others are as long as a receiver may take. */
  readonly keptAtMs: number | undefined;
}

/** What a received frame means to the microkernel. */
export type Received =
  | { readonly kind: "deliver"; readonly lane: Lane; readonly sequence: number; readonly frame: DataFrame }
  /** One side's state went back: `inDoubt` may have had effects that are gone, `lost` more are forgotten by one side. */
  | { readonly kind: "rewound"; readonly inDoubt: readonly Uint8Array[]; readonly lost: number }
  /** Messages have other numbers now: to be committed before any of them is transmitted. */
  | { readonly kind: "renumbered" }
  | { readonly kind: "nothing" };

const lanes: readonly Lane[] = ["system", "user"];
/** Messages that may have left after the last acknowledgement that was committed. */
const aheadMax = 2 * limits.windowMax;
const nothing: Received = { kind: "nothing" };

/** One armor's end of the channel to one peer, both directions. */
export class ReliableChannel {
  readonly #marks: Record<Lane, number> = { system: 0, user: 0 };
  readonly #next: Record<Lane, number> = { system: 1, user: 1 };
  readonly #acked: Record<Lane, number> = { system: 0, user: 0 };
  /** As of the last commit. */
  #savedAcked: LaneNumbers = { system: 0, user: 0 };
  readonly #outbox: Record<Lane, Waiting[]> = { system: [], user: [] };
  readonly #ackDue: Record<Lane, boolean> = { system: false, user: false };
  /** After a rewind: messages numbered from here on were queued after it. */
  #rewoundAt: LaneNumbers | undefined;
  /** How often messages have got other numbers under `numbered`: in commits that were lost they may have had some that this state does not know of. */
  #series = 0;
  /** What `inbound` said of that with its last message. */
  #heardSeries = 0;
  #previous: Generation | undefined;
  #inbound: Generation | undefined;
  /**
   * A generation that said hello, with the marks it was told. It takes the place of
   * `inbound` with its first data, which prove that it has agreed; until then
   * another successor of `inbound` can go on from the same marks.
   */
  #greeted: { readonly generation: Generation; readonly marks: LaneNumbers } | undefined;
  #outbound: Generation | undefined;
  #numbered: Generation;
  /** The peer has answered `hello` since this process started or last lost trust. */
  #agreed = false;
  /** One side's generation is new to the other: say hello even if nothing waits, so that a rewind is never silent. */
  #greets = false;
  /** Names the handshake under way; every `hello` of it carries the same, or two sides that greet at once never agree. */
  #attempt: number;
  /** Messages that may have left, now or in an earlier life: a prefix of the outbox of this length. */
  readonly #transmitted: Record<Lane, number> = { system: 0, user: 0 };
  /** Messages transmitted since the last agreement: a prefix of the outbox of this length. */
  readonly #cursor: Record<Lane, number> = { system: 0, user: 0 };
  /** No deadline of an untransmitted message is earlier. */
  #deadlineAtMs = Infinity;
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
    if (!saved) return;
    this.#previous = saved.previous;
    this.#rewoundAt = saved.rewoundAt;
    this.#series = saved.series ?? 0;
    this.#heardSeries = saved.heardSeries ?? 0;
    if (!this.#rewoundAt && compareGenerations(saved.numbered, generation) !== 0) {
      this.#rewoundAt = { ...saved.next };
      this.dirty = "agreement";
    }
    this.#greets = this.#rewoundAt !== undefined;
    this.#inbound = saved.inbound;
    this.#outbound = saved.outbound;
    for (const lane of lanes) {
      this.#marks[lane] = saved.marks[lane];
      this.#next[lane] = saved.next[lane];
      this.#acked[lane] = saved.acked[lane];
    }
    this.#savedAcked = { ...saved.acked };
    for (const { lane, sequence, body, deadlineAtMs: keptAtMs } of saved.outbox) {
      this.#outbox[lane].push({ sequence, body, deadlineAtMs: undefined, keptAtMs });
      // Beyond what may leave ahead of a commit, under numbers that still hold, it is certain that nothing has left.
      if (this.#rewoundAt || sequence <= saved.acked[lane] + aheadMax) this.#transmitted[lane] += 1;
    }
  }

  /**
   * Restored messages have their deadline still; it has passed if there is more left than there ever was: the clock is
   * of another boot. Those without one have their time anew. `waitMs`: of a message.
   */
  begin(nowMs: number, waitMs: (body: Uint8Array) => number | undefined): void {
    for (const lane of lanes) {
      for (const entry of this.#outbox[lane]) {
        const ms = waitMs(entry.body);
        if (ms === undefined) continue;
        const leftMs = (entry.keptAtMs ?? nowMs + ms) - nowMs;
        entry.deadlineAtMs = leftMs > ms ? nowMs - 1 : nowMs + leftMs;
        this.#deadlineAtMs = Math.min(this.#deadlineAtMs, entry.deadlineAtMs);
      }
    }
  }

  /** Messages the lane can still take. */
  room(lane: Lane): number {
    return limits.outboxMax - this.#outbox[lane].length;
  }

  /** Whether something waits for the peer. */
  get pending(): boolean {
    return this.#outbox.system.length > 0 || this.#outbox.user.length > 0;
  }

  /** Queue an encoded message; the caller has checked {@link room}. `kept`: its deadline outlives the process. @returns Its number. */
  enqueue(lane: Lane, body: Uint8Array, deadlineAtMs: number | undefined, kept = false): number {
    invariant(this.room(lane) > 0, `outbox to "${this.peer}" overflows`);
    const sequence = this.#next[lane]++;
    this.#outbox[lane].push({ sequence, body, deadlineAtMs, keptAtMs: kept ? deadlineAtMs : undefined });
    if (deadlineAtMs !== undefined) this.#deadlineAtMs = Math.min(this.#deadlineAtMs, deadlineAtMs);
    return sequence;
  }

  /** The microkernel has committed the effects of this message. */
  handled(lane: Lane, sequence: number): void {
    invariant(sequence === this.#marks[lane] + 1, `message ${sequence} handled out of order`);
    this.#marks[lane] = sequence;
    this.#ackDue[lane] = true;
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
        this.#trying = lanes.some((lane) => this.#cursor[lane] > 0);
        for (const lane of lanes) this.#cursor[lane] = 0;
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
    const toGeneration = this.#greeted?.generation ?? this.#inbound;
    const marks = this.#greeted?.marks ?? this.#marks;
    for (const lane of lanes) {
      if (!this.#ackDue[lane] || !toGeneration) continue;
      this.#ackDue[lane] = false;
      frames.push({
        type: "ack",
        from: this.self,
        to: this.peer,
        fromGeneration: this.generation,
        toGeneration,
        lane,
        mark: marks[lane],
        window,
      });
    }
    // Who hears of a closed window is told when it opens.
    if (window === 0 && frames.length > 0) this.refused = true;
    return frames;
  }

  /** Acknowledge again, to tell a sender that was refused of new room. */
  announceRoom(): void {
    this.refused = false;
    this.#ackDue.user = true;
  }

  /** Transmit at once what waits: the way to the peer has changed. */
  kick(nowMs: number): void {
    this.#backoffMs = limits.retransmitFirstMs;
    if (this.pending || this.#greets) this.#retransmitAtMs = nowMs;
  }

  /** Nothing waits, and nothing is to be answered: most channels of a large armor, at most times. */
  get idle(): boolean {
    return !this.pending && !this.#greets && !this.refused && this.#retransmitAtMs === Infinity && this.#replies.length === 0 && !this.#ackDue.system && !this.#ackDue.user;
  }

  /** When {@link outgoing} wants to be called next; Infinity: only when something has changed. */
  get wakeAtMs(): number {
    const unsent = lanes.some((lane) => this.#outbox[lane].length > this.#transmitted[lane]);
    return unsent ? Math.min(this.#retransmitAtMs, this.#deadlineAtMs + 1) : this.#retransmitAtMs;
  }

  /**
   * Take out messages whose deadline passed before they were ever transmitted:
   * only of these is it certain that they had no effect.
   */
  takeExpired(nowMs: number): Uint8Array[] {
    if (nowMs <= this.#deadlineAtMs) return [];
    this.#deadlineAtMs = Infinity;
    const expired: Uint8Array[] = [];
    for (const lane of lanes) {
      const first = this.#transmitted[lane];
      const kept = this.#outbox[lane].filter(({ body, deadlineAtMs = Infinity }, index) => {
        if (index < first || nowMs <= deadlineAtMs) {
          if (index >= first) this.#deadlineAtMs = Math.min(this.#deadlineAtMs, deadlineAtMs);
          return true;
        }
        expired.push(body);
        return false;
      });
      if (kept.length === this.#outbox[lane].length) continue;
      this.#replaceOutbox(lane, kept, this.#acked[lane]);
      // After a rewind only what was queued since turns round: its numbers have not been told to anybody.
      if (!this.#rewoundAt) this.#series += 1;
      this.dirty = "agreement";
    }
    return expired;
  }

  /** What a commit now being written holds: agreement and acknowledgements. */
  saved(): void {
    this.dirty = "no";
    this.#savedAcked = { ...this.#acked };
  }

  /** So many acknowledgements are in no commit that what has left could not be told from what has not. */
  get overdue(): boolean {
    return lanes.some((lane) => this.#acked[lane] - this.#savedAcked[lane] >= limits.windowMax);
  }

  /** Numbers acknowledged by the peer. */
  get acked(): { system: number; user: number } {
    return { ...this.#acked };
  }

  /** The durable part. */
  snapshot(): ChannelSnapshot {
    const outbox: OutboxEntry[] = lanes.flatMap((lane) =>
      this.#outbox[lane].map(({ sequence, body, keptAtMs }) => ({ lane, sequence, body, ...(keptAtMs !== undefined && { deadlineAtMs: keptAtMs }) }))
    );
    return {
      peer: this.peer,
      ...(this.#inbound && { inbound: this.#inbound }),
      ...(this.#outbound && { outbound: this.#outbound }),
      numbered: this.#numbered,
      ...(this.#previous && { previous: this.#previous }),
      ...(this.#rewoundAt && { rewoundAt: this.#rewoundAt }),
      ...(this.#series > 0 && { series: this.#series }),
      ...(this.#heardSeries > 0 && { heardSeries: this.#heardSeries }),
      marks: { ...this.#marks },
      next: { ...this.#next },
      acked: { ...this.#acked },
      outbox,
    };
  }

  #isOlder(from: Generation): boolean {
    return [this.#inbound, this.#greeted?.generation, this.#outbound].some((known) => known && compareGenerations(from, known) < 0);
  }

  #receiveHello(frame: HelloFrame, nowMs: number): Received {
    const same = this.#inbound && compareGenerations(frame.fromGeneration, this.#inbound) === 0;
    const known = same || Boolean(this.#inbound && frame.previous && compareGenerations(frame.previous, this.#inbound) === 0);
    const marks = known ? { ...this.#marks } : { system: 0, user: 0 };
    this.#greeted = same ? undefined : { generation: frame.fromGeneration, marks };
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
      ...(known && this.#heardSeries > 0 && { series: this.#heardSeries }),
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
      const base = this.#rewoundAt?.[lane];
      let mark = frame.known ? frame.marks[lane] : 0;
      // Within one line of both states marks only rise: a lower one was overtaken by an acknowledgement.
      if (frame.known && !rewound && base === undefined) mark = Math.max(mark, this.#acked[lane]);
      const sure = base !== undefined && (frame.series ?? 0) > this.#series ? this.#sureUpTo(lane) : Infinity;
      const waiting = this.#outbox[lane].filter(({ sequence }) => sequence > Math.min(mark, sure) || (base !== undefined && sequence >= base));
      const dropped = this.#outbox[lane].length - waiting.length;
      const transmitted = Math.max(0, this.#transmitted[lane] - dropped);
      if (rewound || mark < this.#acked[lane] || mark > sure || (!frame.known && base !== undefined)) {
        inDoubt.push(...waiting.slice(0, transmitted).map(({ body }) => body));
      }
      if (frame.known || (rewound && !frame.fresh)) lost += Math.max(0, this.#acked[lane] - mark);
      if (base !== undefined) lost += Math.max(0, mark - (base - 1));
      if ((waiting[0]?.sequence ?? this.#next[lane]) !== mark + 1) renumbered = true;
      if (dropped > 0) this.dirty = "agreement";
      this.#replaceOutbox(lane, waiting, mark);
      this.#transmitted[lane] = transmitted;
      this.#cursor[lane] = 0;
      this.#acked[lane] = mark;
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
    if (mark <= this.#acked[lane] || mark >= this.#next[lane]) return;
    const count = mark - this.#acked[lane];
    this.#transmitted[lane] = Math.max(0, this.#transmitted[lane] - count);
    this.#cursor[lane] = Math.max(0, this.#cursor[lane] - count);
    this.#outbox[lane].splice(0, count);
    this.#acked[lane] = mark;
    if (this.dirty === "no") this.dirty = "acked";
    if (this.#previous) this.dirty = "agreement";
    this.#previous = undefined;
    this.#backoffMs = limits.retransmitFirstMs;
    this.#retransmitAtMs = this.pending ? nowMs + this.#backoffMs : Infinity;
  }

  #receiveData(frame: DataFrame): Received {
    if (this.#greeted && compareGenerations(frame.fromGeneration, this.#greeted.generation) === 0) this.#adopt(this.#greeted);
    if (!this.#inbound || compareGenerations(frame.fromGeneration, this.#inbound) !== 0) {
      this.#answerStranger(frame);
      return nothing;
    }
    const { lane, sequence, series = 0 } = frame;
    if (sequence !== this.#marks[lane] + 1) {
      this.#ackDue[lane] = true;
      return nothing;
    }
    if (series !== this.#heardSeries) {
      this.#heardSeries = series;
      this.dirty = "agreement";
    }
    return { kind: "deliver", lane, sequence, frame };
  }

  #adopt({ generation, marks }: { generation: Generation; marks: LaneNumbers }): void {
    this.#inbound = generation;
    for (const lane of lanes) this.#marks[lane] = marks[lane];
    this.#heardSeries = 0;
    this.#greeted = undefined;
    this.dirty = "agreement";
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

  /** The last of the messages that cannot have turned round at a deadline: those before it have their numbers in any case. */
  #sureUpTo(lane: Lane): number {
    return (this.#outbox[lane].find(({ deadlineAtMs }) => deadlineAtMs !== undefined)?.sequence ?? this.#next[lane]) - 1;
  }

  /** Number these messages anew from the one after `mark`. */
  #replaceOutbox(lane: Lane, waiting: Waiting[], mark: number): void {
    waiting.forEach((entry, index) => entry.sequence = mark + 1 + index);
    this.#outbox[lane] = waiting;
    this.#next[lane] = mark + 1 + waiting.length;
  }

  /** What the window allows and, so that it is answered instead of waiting for ever, what is too late anyway. */
  #transmit(lane: Lane, nowMs: number, frames: Frame[]): void {
    const window = lane === "user" ? this.#window : limits.windowMax;
    const last = this.#acked[lane] + window;
    const outbox = this.#outbox[lane];
    for (let index = this.#cursor[lane]; index < outbox.length && !(this.#trying && index >= limits.againMax); index++) {
      const entry = outbox[index]!;
      const late = entry.deadlineAtMs !== undefined && entry.deadlineAtMs < nowMs;
      if (entry.sequence > (late ? this.#acked[lane] + limits.windowMax : last)) break;
      this.#transmitted[lane] = Math.max(this.#transmitted[lane], index + 1);
      this.#cursor[lane] = index + 1;
      frames.push({
        type: "data",
        from: this.self,
        to: this.peer,
        fromGeneration: this.generation,
        toGeneration: this.#outbound!,
        lane,
        sequence: entry.sequence,
        ...(this.#series > 0 && { series: this.#series }),
        ...(entry.deadlineAtMs !== undefined && { deadlineMs: entry.deadlineAtMs - nowMs }),
        body: entry.body,
      });
    }
  }
}
