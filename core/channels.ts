/**
 * Channels: all reliable channels of an armor, one to each peer, and what they
 * write into commits. Here it is decided whether a user message is admitted.
 *
 * @module
 */
import type { ChannelSnapshot } from "./checkpoint.ts";
import { decode } from "./codec.ts";
import { type CommitDraft, type Origin, saysSomething } from "./commit_draft.ts";
import type { Frame } from "./frame.ts";
import type { Generation } from "./generation.ts";
import { limits, timing } from "./limits.ts";
import type { Lane, Message } from "./message.ts";
import type { ArmorId } from "./micro_operation.ts";
import type { RandomSource } from "./random.ts";
import { keptFields } from "./outbox.ts";
import { ReliableChannel } from "./reliable_channel.ts";

/** Whose channels they are. */
export interface ChannelsOptions {
  readonly armor: ArmorId;
  readonly generation: Generation;
  readonly random: RandomSource;
  /** The boot whose clock the armor is told. */
  readonly boot: string | undefined;
  /** The armor begins anew: no peer can know it. */
  readonly fresh: boolean;
  /** What a checkpoint holds. */
  readonly saved?: Iterable<ChannelSnapshot>;
}

/** Channels by peer. */
export class Channels {
  readonly #options: ChannelsOptions;
  readonly #channels = new Map<ArmorId, ReliableChannel>();
  /** Those that may have something to send, to answer or to save: few of a large armor's, and only they are looked at in each step. */
  readonly #busy = new Set<ReliableChannel>();
  /** Last words of forgotten channels. */
  #acks: Frame[] = [];

  /** Take up what a checkpoint holds. */
  constructor(options: ChannelsOptions) {
    this.#options = options;
    const { armor, generation, saved = [] } = options;
    for (const one of saved) this.#channels.set(one.peer, new ReliableChannel(armor, one.peer, generation, this.#attempt(), one));
    for (const channel of this.#channels.values()) this.#busy.add(channel);
  }

  /** The channel to a peer, of which something will be asked; made if there is none. */
  to(peer: ArmorId): ReliableChannel {
    let channel = this.#channels.get(peer);
    if (!channel) {
      const { armor, generation, fresh } = this.#options;
      channel = new ReliableChannel(armor, peer, generation, this.#attempt(), undefined, fresh);
      this.#channels.set(peer, channel);
    }
    this.#busy.add(channel);
    return channel;
  }

  /** The armor starts: what a checkpoint brought has its deadline still, and without one its time anew. */
  begin(nowMs: number): void {
    for (const channel of this.#channels.values()) channel.begin(nowMs, this.#options.boot, (body) => waitMs(decode(body) as Message));
  }

  /** All, as a snapshot keeps them. */
  snapshot(): ChannelSnapshot[] {
    return [...this.#channels.values()].map((channel) => channel.snapshot());
  }

  /** Messages the lane to a peer can still take. */
  room(peer: ArmorId, lane: Lane): number {
    return this.#channels.get(peer)?.room(lane) ?? limits.outboxMax;
  }

  /** Room for what one segment may send, in the user lane of every channel. */
  get hasRoom(): boolean {
    for (const channel of this.#busy) if (channel.room("user") < limits.sendsPerSegmentMax) return false;
    return true;
  }

  /** Messages that peers have not acknowledged. */
  *unacknowledged(): Generator<Message> {
    for (const channel of this.#channels.values()) {
      for (const { body } of channel.snapshot().outbox) yield decode(body) as Message;
    }
  }

  /** The way to other armors has changed: transmit again at once. @param at Only to those with this place in their name, and to those with none. */
  kick(nowMs: number, at: string | undefined): void {
    for (const channel of this.#channels.values()) {
      const { peer } = channel;
      if (at !== undefined && peer.includes("@") && !peer.endsWith(`@${at}`)) continue;
      channel.kick(nowMs);
      this.#busy.add(channel);
    }
  }

  /** Take out, channel by channel, messages that never left and whose deadline has passed. */
  *takeExpired(nowMs: number): Generator<readonly Uint8Array[]> {
    for (const channel of this.#busy) {
      const expired = channel.takeExpired(nowMs);
      if (expired.length > 0) yield expired;
    }
  }

  /** Put a message into the outbox. @returns Whether there was room. */
  enqueue(draft: CommitDraft, message: Message, body: Uint8Array, nowMs: number): boolean {
    const { to: peer, lane } = message;
    const channel = this.to(peer);
    if (channel.room(lane) === 0) return false;
    if (channel.dirty === "agreement") this.stageAgreement(draft, channel);
    const forMs = waitMs(message);
    const kept = message.deadlineMs === undefined ? undefined : { atMs: nowMs + message.deadlineMs, boot: this.#options.boot };
    const sequence = channel.enqueue(lane, body, forMs === undefined ? undefined : nowMs + forMs, kept);
    (draft.sent ??= []).push({ peer, lane, sequence, body, ...keptFields(kept) });
    return true;
  }

  /** The numbers both ends agreed on become durable with this draft. */
  stageAgreement(draft: CommitDraft, channel: ReliableChannel): void {
    (draft.channels ??= []).push(channel.snapshot());
    channel.saved();
  }

  /** Acknowledgements wait for a commit that says something else, but not too many: a restart must know what cannot have left. */
  stageOverdue(draft: CommitDraft): void {
    for (const channel of this.#busy) {
      if (!channel.overdue) continue;
      if (channel.dirty === "agreement") this.stageAgreement(draft, channel);
      else this.#stageAcknowledged(draft, channel);
    }
  }

  /** The message of this place is handled by this draft. */
  stageHandled(draft: CommitDraft, origin: Origin): void {
    const channel = this.to(origin.peer);
    if (channel.dirty === "agreement") this.stageAgreement(draft, channel);
    channel.handled(origin.lane, origin.sequence);
    draft.handled = [origin];
  }

  /** Complete a draft that says something by what has changed on its own: agreements, acknowledgements, channels to forget. */
  stageRest(draft: CommitDraft, forgotten: readonly ArmorId[]): void {
    if (forgotten.some((peer) => this.#channels.has(peer))) draft.forgotten = forgotten;
    if (!saysSomething(draft)) return;
    for (const channel of this.#busy) {
      if (channel.dirty === "agreement" && !draft.sent?.some(({ peer }) => peer === channel.peer)) this.stageAgreement(draft, channel);
      if (channel.dirty === "acked") this.#stageAcknowledged(draft, channel);
    }
    for (const peer of forgotten) this.#forget(peer);
  }

  /** What is to leave now, and when to look again. @param admits Whether user messages are admitted. */
  take(admits: boolean, nowMs: number): { acks: Frame[]; sends: Frame[]; wakeAtMs: number | undefined } {
    const acks = this.#acks;
    this.#acks = [];
    const sends: Frame[] = [];
    let wakeAtMs: number | undefined;
    for (const channel of this.#busy) {
      if (channel.idle) {
        if (channel.dirty === "no") this.#busy.delete(channel);
        continue;
      }
      if (channel.refused && admits) channel.announceRoom();
      acks.push(...channel.replies(admits ? limits.windowMax : 0));
      sends.push(...channel.outgoing(nowMs));
      const { wakeAtMs: wake } = channel;
      if (wake !== Infinity && (wakeAtMs === undefined || wake < wakeAtMs)) wakeAtMs = wake;
    }
    return { acks, sends, wakeAtMs };
  }

  /** The last thing a channel says is that it has handled what made us forget it. */
  #forget(peer: ArmorId): void {
    const channel = this.#channels.get(peer);
    if (!channel) return;
    this.#acks.push(...channel.replies(limits.windowMax));
    this.#channels.delete(peer);
    this.#busy.delete(channel);
  }

  #stageAcknowledged(draft: CommitDraft, channel: ReliableChannel): void {
    (draft.acked ??= []).push({ peer: channel.peer, acked: channel.acked });
    channel.saved();
  }

  #attempt(): number {
    return this.#options.random.below(2 ** 32);
  }
}

/** How long a message may wait for its receiver to take it: what is never admitted would block its lane. */
function waitMs({ lane, deadlineMs }: Message): number | undefined {
  return deadlineMs ?? (lane === "user" ? timing.admissionMs : undefined);
}
