/**
 * Seams: where a process of a node meets what is outside, and where faults are
 * put in between. Without `--allow-injection` there is no such object, and
 * nothing is wrapped.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import { type RandomSource, seededRandom } from "../../core/random.ts";
import type { FrameLink, LinkHandlers } from "../../transports/frame_link.ts";
import type { Http2ServerOptions } from "../../transports/http2_server.ts";
import { openUdp, type UdpOptions, type UdpPort } from "../../transports/udp.ts";
import type { Fault, Traffic } from "../fault_order.ts";
import { FaultFile, type SeamFault } from "./fault_file.ts";
import { nowMs, systemClock } from "./system_clock.ts";

/** What is on the way: of an armor of this node, or between nodes. */
type Way = "here" | "between nodes";
type Active = { readonly fault: SeamFault; readonly random: RandomSource };

/** Opens a UDP port; as `openUdp`. */
export type OpenUdp = (options: UdpOptions) => Promise<UdpPort>;

/** How a link to another node is opened; as in `PeersOptions`. */
type Connect<Handlers> = (address: string, handlers: Handlers, node: string) => FrameLink | undefined;

/** The seams of one process. */
export class Seams {
  readonly #active = new Map<number, Active>();
  readonly #once = new Set<(fault: SeamFault) => void>();
  readonly #stop: () => void;
  #jumpedMs = 0;

  /**
   * @param folder The data folder.
   * @param self Id of the armor or guard.
   * @param pid Its process.
   */
  constructor(folder: string, readonly self: string, readonly pid: number) {
    this.#stop = new FaultFile(folder).follow((faults) => this.#changed(faults));
  }

  close(): void {
    this.#stop();
  }

  /** Called for each fault that happens once, in this process. */
  onFault(happened: (fault: SeamFault) => void): void {
    this.#once.add(happened);
    for (const { fault } of this.#active.values()) if (fault.pid === this.pid) happened(fault);
  }

  /** This node is cut off. */
  get isCut(): boolean {
    return this.#find("partition", "all", "between nodes") !== undefined;
  }

  /** Hand on what travels: not, later, twice, or altered. */
  pass<Item>(traffic: Traffic, way: Way, item: Item, deliver: (item: Item) => void, alter?: (item: Item, random: RandomSource) => Item): void {
    if (this.#active.size === 0) return deliver(item);
    if (way === "between nodes" && this.isCut) return;
    if (this.#hits("drop", traffic, way)) return;
    const altered = alter && this.#hits("corrupt", traffic, way);
    const handed = altered ? alter(item, altered.random) : item;
    const late = this.#hits("delay", traffic, way);
    const twice = this.#hits("duplicate", traffic, way);
    for (let left = twice ? 2 : 1; left > 0; left--) {
      if (late) setTimeout(() => deliver(handed), late.random.below(Math.max(1, late.fault.order.byMs)));
      else deliver(handed);
    }
  }

  /** UDP whose datagrams pass here. */
  udp(way: Way): OpenUdp {
    return async (options) => {
      const port = await openUdp({
        ...options,
        onDatagram: (bytes, from) => this.pass("heartbeats", way, bytes, (passed) => options.onDatagram(passed, from), flipBit),
      });
      return { ...port, send: (bytes, to) => this.pass("heartbeats", way, bytes, (passed) => port.send(passed, to), flipBit) };
    };
  }

  /** Links to other nodes, opened here. */
  connect<Handlers extends LinkHandlers>(connect: Connect<Handlers>, withinMs: number): Connect<Handlers> {
    return (address, handlers, node) => {
      if (this.isCut) return neverOpen(handlers, withinMs);
      let link: FrameLink | undefined;
      link = connect(address, this.handlers(handlers, () => link), node);
      return link && this.link(link);
    };
  }

  /** A link to another node whose frames pass here. */
  link(link: FrameLink): FrameLink {
    return {
      get backlogBytes() {
        return link.backlogBytes;
      },
      send: (bytes) => this.pass("messages", "between nodes", bytes, (passed) => (this.#breaks() ? link.close() : link.send(passed))),
      close: () => link.close(),
    };
  }

  /** What such a link tells. */
  handlers<Handlers extends LinkHandlers>(handlers: Handlers, link: () => FrameLink | undefined): Handlers {
    return {
      ...handlers,
      onFrames: (frames: Uint8Array[]) => {
        for (const bytes of frames) this.pass("messages", "between nodes", bytes, (passed) => (this.#breaks() ? link()?.close() : handlers.onFrames([passed])));
      },
    };
  }

  /** Links to this node, opened by others: a wrapper of what takes them. */
  takes(onLink: Http2ServerOptions["onLink"]): Http2ServerOptions["onLink"] {
    return (link, peer) => {
      const taken = onLink(this.link(link), peer);
      return "refuse" in taken ? taken : this.handlers(taken, () => link);
    };
  }

  /** The machine's clock, and how far it has jumped. */
  clock(): Clock {
    return { ...systemClock, nowMs: () => Math.max(0, nowMs() + this.#jumpedMs) };
  }

  /** An altered byte under TLS ends the connection. */
  #breaks(): boolean {
    return this.#hits("corrupt", "messages", "between nodes") !== undefined;
  }

  #changed(faults: readonly SeamFault[]): void {
    const left = new Set(faults.map(({ number }) => number));
    for (const number of this.#active.keys()) if (!left.has(number)) this.#active.delete(number);
    for (const fault of faults) {
      if (this.#active.has(fault.number) || !this.#concerns(fault)) continue;
      this.#active.set(fault.number, { fault, random: seededRandom(fault.order.seed) });
      if (fault.order.fault === "clock-jump") this.#jumpedMs += fault.order.byMs;
      if (fault.pid === this.pid) for (const happened of this.#once) happened(fault);
    }
  }

  #concerns({ order: { target }, pid }: SeamFault): boolean {
    if (pid !== null) return pid === this.pid;
    return target.kind === "node" || (target.kind === "armor" && target.id === this.self);
  }

  #hits(kind: Fault, traffic: Traffic, way: Way): Active | undefined {
    const found = this.#find(kind, traffic, way);
    return found && found.random.below(100) < found.fault.order.percent ? found : undefined;
  }

  #find(kind: Fault, traffic: Traffic, way: Way): Active | undefined {
    for (const active of this.#active.values()) {
      const { order, untilMs } = active.fault;
      if (order.fault !== kind || untilMs <= nowMs()) continue;
      if (traffic !== "all" && order.traffic !== "all" && order.traffic !== traffic) continue;
      if (order.target.kind === "node" && way !== "between nodes") continue;
      return active;
    }
    return undefined;
  }
}

/** Flip one bit. */
export function flipBit(bytes: Uint8Array, random: RandomSource): Uint8Array {
  const altered = new Uint8Array(bytes);
  if (altered.length > 0) altered[random.below(altered.length)]! ^= 1 << random.below(8);
  return altered;
}

/** A connection into nothing. */
function neverOpen({ onClose }: LinkHandlers, withinMs: number): FrameLink {
  let over = false;
  const end = (reason: "closed" | "lost"): void => {
    if (over) return;
    over = true;
    onClose(reason);
  };
  setTimeout(() => end("lost"), withinMs);
  return { send: () => {}, backlogBytes: 0, close: () => setTimeout(() => end("closed"), 0) };
}
