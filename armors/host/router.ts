/**
 * Router: moves frames towards the armor they are for. It knows the armors of
 * this node by their links and the others by the gateway's map; what it cannot
 * place is dropped, and retransmitted by the sender.
 *
 * @module
 */
import { encode } from "../../core/codec.ts";
import type { Frame } from "../../core/frame.ts";
import { compareGenerations, type Generation } from "../../core/generation.ts";
import { daemonOf, nodeOf } from "../shapes.ts";

/** What takes encoded frames: the link of a local armor. */
export type FrameSink = { send(bytes: Uint8Array): void };

/** Frames of one node's daemon. */
export class Router {
  readonly #local = new Map<string, FrameSink>();
  readonly #nodes = new Map<string, string>();
  /** Newest generation heard from armors that move between nodes. */
  readonly #heard = new Map<string, Generation>();

  constructor(readonly node: string, readonly peers: { send(node: string, bytes: Uint8Array): void }, readonly toDaemon: (frame: Frame) => void) {}

  /** An armor of this node has registered. */
  attach(armor: string, link: FrameSink): void {
    this.#local.set(armor, link);
  }

  /** Its link is gone; a newer one stays. */
  detach(armor: string, link: FrameSink): boolean {
    return this.#local.get(armor) === link && this.#local.delete(armor);
  }

  /** The link of a local armor. */
  link(armor: string): FrameSink | undefined {
    return this.#local.get(armor);
  }

  /** Tell every local armor. */
  toAll(bytes: Uint8Array): void {
    for (const link of this.#local.values()) link.send(bytes);
  }

  /** Which node an armor is on, as the FTM says; `generation`: what an older one says of itself is not listened to. */
  setNode(armor: string, node: string, generation?: Generation): void {
    this.#nodes.set(armor, node);
    const before = this.#heard.get(armor);
    if (generation && (!before || compareGenerations(before, generation) < 0)) this.#heard.set(armor, generation);
  }

  /** A frame from this node's daemon or one of its armors. */
  fromHere(frame: Frame, bytes?: Uint8Array): void {
    this.#learn(frame, this.node);
    this.#route(frame, bytes);
  }

  /** A frame from another node; never sent on to a third one. */
  fromPeer(frame: Frame, bytes: Uint8Array, node: string): void {
    this.#learn(frame, node);
    if (frame.to === daemonOf(this.node)) this.toDaemon(frame);
    else this.#local.get(frame.to)?.send(bytes);
  }

  #route(frame: Frame, bytes: Uint8Array | undefined): void {
    if (frame.to === daemonOf(this.node)) return this.toDaemon(frame);
    const link = this.#local.get(frame.to);
    const at = frame.to.includes("@") ? nodeOf(frame.to) : this.#nodes.get(frame.to);
    if (link && (at === undefined || at === this.node || frame.to.includes("@"))) return link.send(bytes ?? encode(frame));
    if (at !== undefined && at !== this.node) this.peers.send(at, bytes ?? encode(frame));
  }

  /** An armor that speaks in a newer generation is where its frames come from. */
  #learn({ from, fromGeneration }: Frame, node: string): void {
    if (from.includes("@")) return;
    const before = this.#heard.get(from);
    if (before && compareGenerations(fromGeneration, before) < 0) return;
    this.#heard.set(from, fromGeneration);
    this.#nodes.set(from, node);
  }
}
