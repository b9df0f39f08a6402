/**
 * Checkpoint: an armor's saved state, as one snapshot and the commit records
 * after it. One commit record holds what one segment changed; the unit of change
 * is a top-level property of an element's state.
 *
 * @module
 */
import type { Data, DataRecord } from "./data.ts";
import type { Generation } from "./generation.ts";
import type { Lane, Message } from "./message.ts";
import type { ArmorId } from "./micro_operation.ts";
import type { Completion, WorkRequest } from "./element.ts";

/** Version of the file format; another version is refused, never guessed. */
export const checkpointFormat = 1;

/** A suspended thread, or a message the armor sent to itself. */
export interface Continuation {
  /** The message as it stands: next op first. */
  readonly message: Message;
  /** The blocking work; absent: ready to run. */
  readonly work?: WorkRequest;
  /** How the work ended, if it has. */
  readonly completion?: Completion;
}

/** A message not yet acknowledged. */
export interface OutboxEntry {
  readonly lane: Lane;
  readonly sequence: number;
  /** The message in CBOR, as it travels. */
  readonly body: Uint8Array;
  /** When its deadline passes, by the clock of the boot in which it was sent; after another boot it counts as passed. */
  readonly deadlineAtMs?: number;
  /** That boot; absent where the armor was not told. */
  readonly boot?: string;
}

/** A number for each lane. */
export type LaneNumbers = { readonly system: number; readonly user: number };

/** A channel to one peer as a checkpoint keeps it. */
export interface ChannelSnapshot {
  readonly peer: ArmorId;
  /** The peer's generation whose messages `marks` counts. */
  readonly inbound?: Generation;
  /** The peer's generation that agreed on the numbers of the outbox. */
  readonly outbound?: Generation;
  /** This armor's generation under which the outbox is numbered. */
  readonly numbered: Generation;
  /** The generation before `numbered`, until the peer has acknowledged something under `numbered`. */
  readonly previous?: Generation;
  /** After a rewind, until the next agreement: messages numbered from here on were queued after it. */
  readonly rewoundAt?: LaneNumbers;
  /** How often messages of the outbox have got other numbers since the agreement; absent: never. */
  readonly series?: number;
  /** What the peer said of that with the last message handled. */
  readonly heardSeries?: number;
  /** Highest handled number per lane, from the peer. */
  readonly marks: LaneNumbers;
  /** Next number per lane, to the peer. */
  readonly next: LaneNumbers;
  /** Numbers up to which the peer has acknowledged. */
  readonly acked: LaneNumbers;
  /** Unacknowledged messages, oldest first. */
  readonly outbox: readonly OutboxEntry[];
}

/** Everything durable of one armor. */
export interface Snapshot {
  readonly format: typeof checkpointFormat;
  readonly armor: ArmorId;
  readonly generation: Generation;
  /** Number of the last commit it contains. */
  readonly commit: number;
  /** Counter of message ids. */
  readonly messages: number;
  readonly elements: { readonly [name: string]: { readonly version: number; readonly state: DataRecord } };
  readonly continuations: { readonly [key: string]: Continuation };
  readonly channels: readonly ChannelSnapshot[];
}

/** What one segment changed. Absent fields: nothing. */
export interface CommitRecord {
  /** Consecutive. */
  readonly commit: number;
  readonly generation: Generation;
  readonly messages?: number;
  /** Elements that were added, or replaced by one of this version. */
  readonly versions?: { readonly [element: string]: number };
  /** Elements that were removed, with their state. */
  readonly removed?: readonly string[];
  /** Element → changed properties. */
  readonly set?: { readonly [element: string]: { readonly [property: string]: Data } };
  /** Element → properties that are gone. */
  readonly unset?: { readonly [element: string]: readonly string[] };
  /** Continuations kept (record) or finished (`null`). */
  readonly continuations?: { readonly [key: string]: Continuation | null };
  /** Messages added to outboxes. */
  readonly sent?: readonly (OutboxEntry & { readonly peer: ArmorId })[];
  /** Messages handled. */
  readonly handled?: readonly { readonly peer: ArmorId; readonly lane: Lane; readonly sequence: number }[];
  /** Channels whose agreement changed since the last commit, as a whole; written before `sent` and `handled`. */
  readonly channels?: readonly ChannelSnapshot[];
  /** Peer and numbers acknowledged since the last commit. */
  readonly acked?: readonly { readonly peer: ArmorId; readonly acked: LaneNumbers }[];
  /** Channels dropped for ever. */
  readonly forgotten?: readonly ArmorId[];
}
