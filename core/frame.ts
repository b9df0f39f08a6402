/**
 * Frame: what travels between armors on a reliable channel. Daemons route by
 * `to` and never look into `body`.
 *
 * @module
 */
import type { Generation } from "./generation.ts";
import type { Lane } from "./message.ts";
import type { ArmorId } from "./micro_operation.ts";

/** Common to all frames: a channel is named by both ends. */
interface FrameEnds {
  readonly from: ArmorId;
  readonly to: ArmorId;
  readonly fromGeneration: Generation;
}

/** The sender opens or resynchronises its direction of the channel. */
export interface HelloFrame extends FrameEnds {
  readonly type: "hello";
  /** The generation under which the sender's outbox was numbered, if not this one. */
  readonly previous?: Generation;
  /** Echoed by `welcome`; an answer to any other attempt is stale. */
  readonly attempt: number;
}

/** The receiver's answer to `hello`, and to data of another generation. */
export interface WelcomeFrame extends FrameEnds {
  readonly type: "welcome";
  /** Generation of the sender this speaks of. */
  readonly toGeneration: Generation;
  /** Highest number handled in each lane, of `previous` if that is what is still known. */
  readonly marks: { readonly system: number; readonly user: number };
  /** False: the receiver knows nothing of this channel; its marks are 0. */
  readonly known: boolean;
  /** {@link DataFrame.series} of the last message handled; absent: 0. */
  readonly series?: number;
  /** It began anew by order, without a checkpoint: what it had handled before is not in doubt but over. */
  readonly fresh?: true;
  readonly attempt: number;
  /** User messages that may be sent beyond the mark. */
  readonly window: number;
}

/** One message. */
export interface DataFrame extends FrameEnds {
  readonly type: "data";
  readonly toGeneration: Generation;
  readonly lane: Lane;
  readonly sequence: number;
  /** How often messages of this channel have got other numbers in this generation, as what was before them turned round untransmitted; absent: never. */
  readonly series?: number;
  /** Remaining milliseconds; below zero once passed. */
  readonly deadlineMs?: number;
  /** The message in CBOR. */
  readonly body: Uint8Array;
}

/** Everything up to `mark` has been handled and has reached the receiver's durability class. */
export interface AckFrame extends FrameEnds {
  readonly type: "ack";
  readonly toGeneration: Generation;
  readonly lane: Lane;
  readonly mark: number;
  readonly window: number;
}

/** The receiver does not know the sender's generation: say hello again. */
export interface StrangerFrame extends FrameEnds {
  readonly type: "stranger";
  readonly toGeneration: Generation;
}

/** Anything on a channel. */
export type Frame = HelloFrame | WelcomeFrame | DataFrame | AckFrame | StrangerFrame;
