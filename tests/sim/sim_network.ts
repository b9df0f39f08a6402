/**
 * A network of datagrams that may be lost, late, doubled and overtaken, and of
 * connections that keep their order until they break. Ways between nodes can be
 * cut in one direction or both, and be slow. A connection across a cut holds what
 * is sent, as TCP does, until it heals or one end gives up.
 *
 * @module
 */
import type { RandomSource } from "../../core/random.ts";
import type { FrameLink, LinkEnd, LinkHandlers } from "../../transports/frame_link.ts";
import { TransportError } from "../../transports/transport_error.ts";
import type { LinkRefusal } from "../../transports/http2_server.ts";
import type { SimClock } from "./sim_clock.ts";
import type { SimProcess } from "./sim_processes.ts";

/** Unkindness to datagrams; parts of a thousand. */
export interface DatagramFaults {
  readonly drop: number;
  readonly duplicate: number;
  readonly corrupt: number;
  readonly delayMaxMs: number;
}

/** Nothing lost or altered, two milliseconds at most. */
export const kindDatagrams: DatagramFaults = { drop: 0, duplicate: 0, corrupt: 0, delayMaxMs: 2 };

/** Unkindness to what runs over connections between nodes; parts of a thousand. */
export interface StreamFaults {
  /** A bit flips on the way: the stream's cipher notices, and the connection is over. */
  readonly corrupt: number;
  /** Frames that vanish, come twice or late: as if a gateway had restarted with them in its hands. */
  readonly drop: number;
  readonly duplicate: number;
  readonly late: number;
}

/** Everything comes as it was sent. */
export const kindStreams: StreamFaults = { corrupt: 0, drop: 0, duplicate: 0, late: 0 };

/** Who takes connections at an address. */
export interface SimListener {
  readonly process: SimProcess;
  onLink(link: FrameLink, headers: Readonly<Record<string, string>>): LinkHandlers | LinkRefusal;
  /** Answers a request. */
  onRequest?(path: string): unknown;
}

const connectWithinMs = 2_000;
const requestWithinMs = 3_000;

/** All ways between nodes and within them. */
export class SimNetwork {
  datagrams: DatagramFaults = kindDatagrams;
  streams: StreamFaults = kindStreams;
  readonly #listeners = new Map<string, SimListener>();
  readonly #cut = new Set<string>();
  readonly #slowMs = new Map<string, number>();
  readonly #links = new Set<SimLink>();
  /** What was sent from one node to another so far. */
  readonly counts = { frames: 0, frameBytes: 0, datagrams: 0, datagramBytes: 0 };
  readonly #datagramsOf = new Map<string, number>();

  /** @param isOn Whether a node has power. */
  constructor(readonly clock: SimClock, readonly random: RandomSource, readonly isOn: (node: string) => boolean) {}

  /** From now on nothing gets from one node to another. */
  cut(from: string, to: string): void {
    this.#cut.add(`${from} ${to}`);
  }

  /** The way is slow. */
  slow(from: string, to: string, delayMs: number): void {
    this.#slowMs.set(`${from} ${to}`, delayMs);
  }

  /** Everything is as it should be. */
  heal(): void {
    this.#cut.clear();
    this.#slowMs.clear();
    for (const link of this.#links) link.retry();
  }

  isCut(from: string, to: string): boolean {
    return from !== to && this.#cut.has(`${from} ${to}`);
  }

  /** Milliseconds from one node to another. */
  latencyMs(from: string, to: string): number {
    if (from === to) return 0;
    return 1 + this.random.below(2) + (this.#slowMs.get(`${from} ${to}`) ?? 0);
  }

  /** Send a datagram; `deliver` runs at the other end, perhaps; an altered one is `corrupted`. @param bytes It would have. */
  datagram(from: string, to: string, bytes: number, deliver: () => void, corrupted: () => void): void {
    if (from === to) return void this.clock.at(this.clock.nowMs, deliver);
    this.counts.datagrams += 1;
    this.counts.datagramBytes += bytes;
    for (const node of [from, to]) this.#datagramsOf.set(node, this.datagramsOf(node) + 1);
    const { drop, duplicate, corrupt, delayMaxMs } = this.datagrams;
    const copies = this.random.below(1_000) < duplicate ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      if (this.random.below(1_000) < drop) continue;
      const delayMs = this.latencyMs(from, to) + this.random.below(delayMaxMs + 1);
      const arrive = corrupt > 0 && this.random.below(1_000) < corrupt ? corrupted : deliver;
      if (!this.isCut(from, to)) this.clock.at(this.clock.nowMs + delayMs, () => !this.isCut(from, to) && arrive());
    }
  }

  /** Sent by a node and to it. */
  datagramsOf(node: string): number {
    return this.#datagramsOf.get(node) ?? 0;
  }

  /** Take connections until the process ends. */
  listen(address: string, listener: SimListener): void {
    this.#listeners.set(address, listener);
    listener.process.onDeath.push(() => {
      if (this.#listeners.get(address) === listener) this.#listeners.delete(address);
    });
  }

  listener(address: string): SimListener | undefined {
    const found = this.#listeners.get(address);
    return found?.process.alive ? found : undefined;
  }

  /** Open a connection. `at` is the node of the address, `undefined` if there is none. */
  connect(
    process: SimProcess,
    at: string,
    address: string,
    headers: Readonly<Record<string, string>>,
    handlers: LinkHandlers & { onOpen(): void },
  ): FrameLink {
    const link = new SimLink(this, process, at);
    this.#links.add(link);
    link.dial(address, headers, handlers);
    return link.client;
  }

  /** Ask for something once; `undefined` when nobody answers. */
  request(process: SimProcess, at: string, address: string, path: string): Promise<unknown> {
    const from = process.machine.name;
    return new Promise((resolve) => {
      let over = false;
      const finish = (value: unknown): void => {
        if (over) return;
        over = true;
        this.clock.settled = true;
        resolve(value);
      };
      process.clock.after(requestWithinMs, () => finish(undefined));
      this.clock.at(this.clock.nowMs + this.latencyMs(from, at), () => {
        if (this.isCut(from, at)) return;
        const listener = this.listener(address);
        if (!listener) return;
        listener.process.run(() => {
          const answer = listener.onRequest?.(path);
          this.clock.at(this.clock.nowMs + this.latencyMs(at, from), () => {
            if (!this.isCut(at, from)) process.run(() => finish(answer));
          });
        });
      });
    });
  }

  /** Break connections at random, as a middlebox does. */
  breakSome(perThousand: number): void {
    for (const link of [...this.#links]) {
      if (link.isRemote && this.random.below(1_000) < perThousand) link.reset();
    }
  }

  /** Called by links. */
  forget(link: SimLink): void {
    this.#links.delete(link);
  }
}

type Item = { readonly atMs: number; readonly bytes: Uint8Array | undefined; readonly end: LinkEnd | undefined };

/** One end of a connection. */
class End {
  handlers: LinkHandlers | undefined;
  /** On their way to this end. */
  readonly coming: Item[] = [];
  closed = false;
  waiting = false;
  constructor(readonly node: string, readonly process: SimProcess) {}
}

/** A connection between two processes. */
class SimLink {
  readonly client: FrameLink;
  readonly isRemote: boolean;
  readonly #client: End;
  #server: End | undefined;
  readonly #early: Uint8Array[] = [];
  #over = false;

  constructor(readonly network: SimNetwork, process: SimProcess, readonly at: string) {
    const from = process.machine.name;
    this.isRemote = from !== at;
    this.#client = new End(from, process);
    this.client = this.#handle(this.#client, () => this.#server, (bytes) => void this.#early.push(bytes));
    process.onDeath.push(() => this.#died(this.#client, () => this.#server));
  }

  dial(address: string, headers: Readonly<Record<string, string>>, handlers: LinkHandlers & { onOpen(): void }): void {
    const { network } = this;
    const { clock } = network;
    const end = this.#client;
    end.handlers = handlers;
    let settled = false;
    const fail = (reason: LinkEnd, words: string, final = false): void => {
      if (settled) return;
      settled = true;
      this.#finish();
      const error = reason === "refused" ? new TransportError(final ? "expelled" : "refused", words) : undefined;
      if (!end.closed) end.process.run(() => handlers.onClose(reason, error));
      end.closed = true;
    };
    if (this.isRemote) end.process.clock.after(connectWithinMs, () => fail("lost", "no answer"));
    const arriveMs = clock.nowMs + network.latencyMs(end.node, this.at) * 2;
    clock.at(arriveMs, () => {
      if (settled || end.closed || network.isCut(end.node, this.at) || network.isCut(this.at, end.node)) return;
      const listener = network.listener(address);
      if (!listener) {
        // Nobody at home: refused at once where the machine is on, silence where it is off.
        if (network.isOn(this.at)) end.process.run(() => fail("lost", "refused"));
        return;
      }
      listener.process.run(() => {
        if (settled || end.closed || !end.process.alive) return;
        const server = new End(this.at, listener.process);
        this.#server = server;
        const handle = this.#handle(server, () => this.#client, () => {});
        const answer = listener.onLink(handle, headers);
        const back = clock.nowMs + network.latencyMs(this.at, end.node);
        if ("refuse" in answer) {
          clock.at(back, () => end.process.run(() => fail("refused", answer.refuse, answer.final)));
          return;
        }
        server.handlers = answer;
        listener.process.onDeath.push(() => this.#died(server, () => this.#client));
        for (const bytes of this.#early.splice(0)) this.#post(end, server, { bytes });
        clock.at(back, () => {
          if (settled || network.isCut(this.at, end.node)) return;
          end.process.run(() => {
            if (settled || end.closed) return;
            settled = true;
            handlers.onOpen();
          });
        });
      });
    });
  }

  /** After a cut: what was held comes, late. */
  retry(): void {
    const { clock, random } = this.network;
    for (const end of [this.#client, this.#server]) {
      if (end && end.coming.length > 0) clock.at(clock.nowMs + 50 + random.below(400), () => this.#deliver(end));
    }
  }

  /** Both ends learn that it is broken. */
  reset(): void {
    for (const end of [this.#client, this.#server]) this.#lose(end, "lost");
    this.#finish();
  }

  #handle(own: End, other: () => End | undefined, early: (bytes: Uint8Array) => void): FrameLink {
    return {
      backlogBytes: 0,
      send: (bytes) => {
        if (own.closed || !own.process.effect()) return;
        const to = other();
        if (to) this.#send(own, to, bytes);
        else early(bytes);
      },
      close: () => {
        if (own.closed || !own.process.alive) return;
        own.closed = true;
        own.process.clock.after(0, () => own.handlers?.onClose("closed"));
        const to = other();
        if (to) this.#post(own, to, { end: "ended" });
      },
    };
  }

  /** What the network does to one frame. */
  #send(from: End, to: End, bytes: Uint8Array): void {
    if (this.isRemote) {
      this.network.counts.frames += 1;
      this.network.counts.frameBytes += bytes.length;
    }
    const { random, streams: { corrupt, drop, duplicate, late }, clock } = this.network;
    if (!this.isRemote || corrupt + drop + duplicate + late === 0) return this.#post(from, to, { bytes });
    const fate = random.below(1_000);
    if (fate < corrupt) clock.at(clock.nowMs + this.network.latencyMs(from.node, to.node), () => this.reset());
    else if (fate < corrupt + drop) return;
    else if (fate < corrupt + drop + late) clock.at(clock.nowMs + 1 + random.below(300), () => to.closed || this.#post(from, to, { bytes }));
    else for (let copy = fate < corrupt + drop + late + duplicate ? 2 : 1; copy > 0; copy--) this.#post(from, to, { bytes });
  }

  #post(from: End, to: End, what: { bytes?: Uint8Array; end?: LinkEnd }): void {
    const { clock } = this.network;
    const last = to.coming.at(-1)?.atMs ?? 0;
    const atMs = Math.max(last, clock.nowMs + this.network.latencyMs(from.node, to.node));
    to.coming.push({ atMs, bytes: what.bytes, end: what.end });
    if (to.waiting) return;
    to.waiting = true;
    clock.at(atMs, () => this.#deliver(to));
  }

  #deliver(to: End): void {
    to.waiting = false;
    const from = to === this.#client ? this.#server : this.#client;
    const fromNode = from?.node ?? this.at;
    const { clock } = this.network;
    if (this.network.isCut(fromNode, to.node)) return; // held until it heals
    while (to.coming.length > 0) {
      const item = to.coming[0]!;
      if (item.atMs > clock.nowMs) {
        to.waiting = true;
        clock.at(item.atMs, () => this.#deliver(to));
        return;
      }
      to.coming.shift();
      if (item.end) {
        this.#lose(to, item.end);
        return this.#finish();
      }
      if (!to.process.alive) {
        // Another boot: the connection is unknown there.
        if (from && to.process.machine.on) this.#post(to, from, { end: "lost" });
        to.coming.length = 0;
        return;
      }
      to.process.run(() => {
        if (!to.closed) to.handlers?.onFrames([item.bytes!]);
      });
    }
  }

  #lose(end: End | undefined, reason: LinkEnd): void {
    if (!end || end.closed) return;
    end.process.run(() => {
      if (end.closed) return;
      end.closed = true;
      end.handlers?.onClose(reason);
    });
  }

  /** The kernel closes what a dead process had open. */
  #died(end: End, other: () => End | undefined): void {
    if (end.closed) return;
    end.closed = true;
    const to = other();
    if (to) this.#post(end, to, { end: "lost" });
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.network.forget(this);
  }
}
