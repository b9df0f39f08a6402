/**
 * Peers: links to the daemons of other nodes, made when there is something to
 * send. A link is never trusted to be alive: what is sent must be followed by
 * something received, or the link is closed and made anew.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { decode, encode } from "../../core/codec.ts";
import type { Frame } from "../../core/frame.ts";
import type { FrameLink, LinkEnd, LinkHandlers } from "../../transports/frame_link.ts";
import type { TransportError } from "../../transports/transport_error.ts";

/** What daemons say to each other besides frames. */
type Control = { readonly type: "ping" | "pong" };

/** A frame that goes to `target` over a third node, because `origin` cannot reach it. */
type Relay = { readonly type: "relay"; readonly origin: string; readonly target: string; readonly frame: Uint8Array };

/** What peers need. */
export interface PeersOptions {
  /** Open a link; `undefined` while this node has no certificate yet. */
  readonly connect: (address: string, handlers: LinkHandlers & { onOpen(): void }, node: string) => FrameLink | undefined;
  readonly clock: Clock;
  /** This node's id. */
  readonly node: string;
  readonly onFrame: (frame: Frame, bytes: Uint8Array, node: string) => void;
  /** The way to a node is there. */
  readonly onOpen: (node: string) => void;
  /** The way to a node is gone: a hint, not a judgement. */
  readonly onClosed: (node: string, reason: LinkEnd, error: TransportError | undefined, wasOpen: boolean) => void;
}

type Peer = {
  address: string;
  link: FrameLink | undefined;
  open: boolean;
  waiting: Uint8Array[];
  waitingBytes: number;
  retryMs: number;
  retryAtMs: number;
  /** First frame sent since something was received. */
  unansweredSinceMs: number | undefined;
  receivedAtMs: number;
  pingAtMs: number | undefined;
};

const retryFirstMs = 50;
const retryCapMs = 500;
/** A cut way swallows the first packets; a new try is quicker than waiting for their repetition. */
export const connectWithinMs = 1_000;
/** Frames that wait for a link, and their bytes; channels repeat what finds no room. */
const waitingMax = 1_000;
const waitingBytesMax = 1024 * 1024;
const checkEveryMs = 500;
const pingAfterMs = 1_000;
const pongWithinMs = 2_000;

/** Links that a node makes without having anything to say: among many, a link for each pair of them would cost more than everything else. */
const nearMax = 8;

/**
 * Which of the other nodes a node keeps an eye on, so that each has some that do: all of a few, of many
 * those that come next after it, in a circle.
 */
export function nearNodes(others: readonly string[], self: string): readonly string[] {
  if (others.length <= nearMax) return others;
  const sorted = [...others].sort();
  const first = sorted.findIndex((node) => node > self);
  return Array.from({ length: nearMax }, (_, index) => sorted[(Math.max(0, first) + index) % sorted.length]!);
}

/** Until there is a link, if there is room: one frame always finds it. */
function wait(peer: Peer, bytes: Uint8Array): void {
  if (peer.waiting.length >= waitingMax || (peer.waiting.length > 0 && peer.waitingBytes + bytes.length > waitingBytesMax)) return;
  peer.waiting.push(bytes);
  peer.waitingBytes += bytes.length;
}

/** All peers of one daemon. */
export class Peers {
  readonly #peers = new Map<string, Peer>();
  readonly #clock: Clock;
  readonly #stop: () => void;
  #relayed = 0;

  constructor(readonly options: PeersOptions) {
    this.#clock = options.clock;
    this.#stop = this.#clock.every(checkEveryMs, () => this.#check());
  }

  /** Where a node is. */
  setAddress(node: string, address: string): void {
    const peer = this.#peer(node);
    if (peer.address === address) return;
    peer.address = address;
    peer.retryAtMs = 0;
    peer.retryMs = retryFirstMs;
  }

  /** Address of a node, if known. */
  address(node: string): string | undefined {
    return this.#peers.get(node)?.address || undefined;
  }

  /** Send an encoded frame; without a link it waits, bounded, for one. */
  send(node: string, bytes: Uint8Array): void {
    const peer = this.#peer(node);
    if (peer.open && peer.link) {
      peer.unansweredSinceMs ??= this.#clock.nowMs();
      peer.link.send(bytes);
      return;
    }
    wait(peer, bytes);
    this.#dial(node, peer);
    if (peer.retryMs > retryFirstMs) this.#relay(node, bytes);
  }

  /**
   * The straight way has failed: hand the frame to another node, each time to the
   * next. Doubles do no harm, channels drop them.
   */
  #relay(target: string, frame: Uint8Array): void {
    const others = [...this.#peers].filter(([node, { open, link }]) => node !== target && open && link);
    const chosen = others[this.#relayed++ % Math.max(1, others.length)];
    if (!chosen) return this.reach();
    chosen[1].unansweredSinceMs ??= this.#clock.nowMs();
    chosen[1].link!.send(encode({ type: "relay", origin: this.options.node, target, frame } satisfies Relay));
  }

  /** Take a link that the peer opened. */
  accept(node: string, link: FrameLink): LinkHandlers {
    const peer = this.#peer(node);
    this.#opened(node, peer, link);
    return this.#handlers(node, peer, () => link);
  }

  /** Make links to the nodes that are known; among many, to those that {@link nearNodes} says. */
  reach(): void {
    for (const node of nearNodes([...this.#peers.keys()], this.options.node)) this.ping(node);
  }

  /** Is there a link, and has something been heard on it within `ms`? */
  isHeard(node: string, ms: number): boolean {
    const peer = this.#peers.get(node);
    return peer !== undefined && peer.open && this.#clock.nowMs() - peer.receivedAtMs <= ms;
  }

  /** Ask for a sign of life on the link, or try to make one. */
  ping(node: string): void {
    const peer = this.#peer(node);
    if (peer.open && peer.link) {
      peer.unansweredSinceMs ??= this.#clock.nowMs();
      peer.link.send(encode({ type: "ping" } satisfies Control));
    } else this.#dial(node, peer);
  }

  close(): void {
    this.#stop();
    for (const { link } of this.#peers.values()) link?.close();
  }

  #peer(node: string): Peer {
    let peer = this.#peers.get(node);
    if (!peer) {
      peer = { address: "", link: undefined, open: false, waiting: [], waitingBytes: 0, retryMs: retryFirstMs, retryAtMs: 0, unansweredSinceMs: undefined, receivedAtMs: 0, pingAtMs: undefined };
      this.#peers.set(node, peer);
    }
    return peer;
  }

  #dial(node: string, peer: Peer): void {
    if (peer.link || !peer.address || this.#clock.nowMs() < peer.retryAtMs) return;
    let link: FrameLink | undefined;
    const handlers = this.#handlers(node, peer, () => link!);
    link = this.options.connect(peer.address, { ...handlers, onOpen: () => this.#opened(node, peer, link!) }, node);
    peer.link = link;
  }

  #opened(node: string, peer: Peer, link: FrameLink): void {
    peer.link = link;
    peer.open = true;
    peer.retryMs = retryFirstMs;
    peer.receivedAtMs = this.#clock.nowMs();
    peer.pingAtMs = undefined;
    peer.unansweredSinceMs = undefined;
    peer.waitingBytes = 0;
    for (const bytes of peer.waiting.splice(0)) link.send(bytes);
    this.options.onOpen(node);
  }

  #handlers(node: string, peer: Peer, self: () => FrameLink): LinkHandlers {
    return {
      onFrames: (frames) => {
        peer.receivedAtMs = this.#clock.nowMs();
        peer.pingAtMs = undefined;
        peer.unansweredSinceMs = undefined;
        for (const bytes of frames) this.#receive(node, bytes, self());
      },
      onClose: (reason, error) => {
        if (peer.link !== self()) return;
        const wasOpen = peer.open;
        peer.link = undefined;
        peer.open = false;
        peer.retryAtMs = this.#clock.nowMs() + peer.retryMs;
        peer.retryMs = Math.min(peer.retryMs * 2, retryCapMs);
        if (peer.waiting.length > 0) this.#clock.after(peer.retryMs, () => this.#dial(node, peer));
        this.options.onClosed(node, reason, error, wasOpen);
      },
    };
  }

  #receive(node: string, bytes: Uint8Array, link: FrameLink): void {
    let frame: Frame | Control | Relay;
    try {
      frame = decode(bytes) as Frame | Control | Relay;
    } catch {
      link.close();
      return;
    }
    if (frame.type === "relay") return this.#takeRelay(frame, bytes);
    if (frame.type === "ping") link.send(encode({ type: "pong" } satisfies Control));
    else if (frame.type !== "pong") this.options.onFrame(frame as Frame, bytes, node);
  }

  /** Ours, or to be passed on once more; never further than over one node. */
  #takeRelay({ origin, target, frame }: Relay, bytes: Uint8Array): void {
    if (target !== this.options.node) {
      const peer = this.#peer(target);
      if (peer.open) peer.link?.send(bytes);
      else {
        wait(peer, bytes);
        this.#dial(target, peer);
      }
      return;
    }
    try {
      this.options.onFrame(decode(frame) as Frame, frame, origin);
    } catch {
      // What cannot be read is as good as lost.
    }
  }

  #check(): void {
    const now = this.#clock.nowMs();
    for (const peer of this.#peers.values()) {
      if (!peer.open || !peer.link) continue;
      if (peer.pingAtMs !== undefined && now - peer.pingAtMs > pongWithinMs) {
        peer.link.close();
        continue;
      }
      const unanswered = peer.unansweredSinceMs !== undefined && now - peer.unansweredSinceMs > pingAfterMs;
      if (unanswered && peer.pingAtMs === undefined) {
        peer.pingAtMs = now;
        peer.link.send(encode({ type: "ping" } satisfies Control));
      }
    }
  }
}
