/**
 * Link between an armor and its daemon: what is said on it besides frames. The
 * armor registers; the daemon answers with the armor's heartbeat key. It is made
 * again whenever it breaks, for as long as the armor lives.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { decode, encode } from "../../core/codec.ts";
import type { DataRecord } from "../../core/data.ts";
import type { Frame } from "../../core/frame.ts";
import type { Generation } from "../../core/generation.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import type { FrameLink, LinkHandlers } from "../../transports/frame_link.ts";
import type { ElementSet } from "../elements/element_source.ts";
import type { Role } from "../shapes.ts";

/** First thing an armor says. */
export type Register = {
  readonly type: "register";
  readonly armor: string;
  readonly role: Role;
  readonly process: ProcessIdentity;
  /** Absent: started by hand; the daemon says under which it runs. */
  readonly generation: Generation | null;
  readonly elements: readonly DataRecord[];
};

/** What the armor is made of now: it is not what it was when it registered. */
export type Described = { readonly type: "described"; readonly elements: readonly DataRecord[] };

/** The daemon's answer. */
export type Registered = {
  readonly type: "registered";
  /** Heartbeat key of this armor, and of no other. */
  readonly key: Uint8Array;
  readonly cluster: string;
  readonly node: string;
  /** Host to ask other nodes from. */
  readonly host: string;
  readonly generation: Generation;
  /** What a new FTM starts from. */
  readonly begin: DataRecord | null;
  /** What the armor is given if it begins without a checkpoint. */
  readonly given: ElementSet | null;
  /** This node takes elements by message. */
  readonly allowElements: boolean;
};

/** The way to another node is there: what waits for it may be sent again at once. */
export type LinkUp = { readonly type: "link-up"; readonly node: string };

/** The daemon will not have this armor. */
export type Refused = { readonly type: "refused"; readonly reason: string };

/** Anything on a local link. */
export type LocalFrame = Frame | Register | Described | Registered | LinkUp | Refused;

/** How an armor holds on to its daemon. */
export interface DaemonLinkOptions {
  /** Open a link to the daemon. */
  readonly connect: (handlers: LinkHandlers & { onOpen(): void }) => FrameLink;
  readonly clock: Clock;
  readonly register: () => Register;
  readonly onRegistered: (answer: Registered) => void;
  readonly onFrame: (frame: Frame) => void;
  readonly onLinkUp: (node: string) => void;
  /** The daemon will not have this armor: it must end. */
  readonly onRefused: (reason: string) => void;
}

const retryFirstMs = 10;
const retryCapMs = 250;

/** A link that comes back. */
export class DaemonLink {
  #link: FrameLink | undefined;
  #open = false;
  #retryMs = retryFirstMs;

  constructor(readonly options: DaemonLinkOptions) {
    this.#connect();
  }

  /** Send towards another armor; dropped while there is no daemon. */
  send(frame: Frame): void {
    if (this.#open) this.#link?.send(encode(frame));
  }

  /** Say what the armor is made of; a later registration says it again. */
  describe(elements: readonly DataRecord[]): void {
    if (this.#open) this.#link?.send(encode({ type: "described", elements } satisfies Described));
  }

  #connect(): void {
    const { connect, clock, register, onRegistered, onFrame, onLinkUp, onRefused } = this.options;
    this.#link = connect({
      onOpen: () => {},
      onFrames: (frames) => {
        for (const bytes of frames) {
          const frame = decode(bytes) as LocalFrame;
          if (frame.type === "registered") {
            this.#open = true;
            this.#retryMs = retryFirstMs;
            onRegistered(frame);
          } else if (frame.type === "link-up") onLinkUp(frame.node);
          else if (frame.type === "refused") onRefused(frame.reason);
          else if (frame.type !== "register" && frame.type !== "described") onFrame(frame);
        }
      },
      onClose: (reason, error) => {
        this.#open = false;
        if (reason === "refused") return onRefused(error?.message ?? "refused");
        clock.after(this.#retryMs, () => this.#connect());
        this.#retryMs = Math.min(this.#retryMs * 2, retryCapMs);
      },
    });
    this.#link.send(encode(register()));
  }
}
