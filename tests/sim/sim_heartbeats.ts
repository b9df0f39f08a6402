/**
 * Heartbeat sockets of one simulated armor: asks and answers as objects, with
 * the rules of `heartbeats.ts` about who may ask whom. One that is altered on its
 * way is written and read by the real `heartbeat_datagram.ts`, which must refuse it.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import type { Payload } from "../../core/payload.ts";
import type { RandomSource } from "../../core/random.ts";
import { decodeHeartbeat, encodeHeartbeat, heartbeatKey } from "../../transports/heartbeat_datagram.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";

/** A heartbeat on its way. */
export type Beat =
  | { readonly type: "ask"; readonly cluster: string; readonly from: string; readonly to: string; readonly nonce: string; readonly path: string }
  | {
    readonly type: "reply";
    readonly cluster: string;
    readonly from: string;
    readonly to: string;
    readonly nonce: string;
    readonly progress: number;
    readonly turnAgeMs: number;
    readonly epoch: number;
  };

/** A socket that somebody reads. */
export type BeatPort = { readonly node: SimNode; readonly process: SimProcess; readonly receive: (beat: Beat) => void };

/** What the sockets need of their armor. */
export interface SimHeartbeatOptions {
  readonly node: SimNode;
  readonly process: SimProcess;
  readonly armor: string;
  readonly asksOtherNodes: boolean;
  /** Only a daemon knows the keys of others. */
  readonly knowsKeyOf: (id: string) => boolean;
  readonly cluster: () => string;
  readonly progress: () => number;
  readonly epoch: () => number;
  readonly local: (op: string, payload: Payload) => void;
}

/** Open the sockets and write the port file. */
export function openSimHeartbeats(options: SimHeartbeatOptions): { ask(args: DataRecord): void; reply(args: DataRecord): void } {
  const { node, process, armor, cluster, local } = options;
  const receive = (beat: Beat): void => {
    if (beat.to !== armor || beat.cluster !== cluster()) return;
    if (beat.type === "ask") local("heartbeat.asked", { from: beat.from, nonce: beat.nonce, path: beat.path });
    else {
      const { from, nonce, progress, turnAgeMs, epoch } = beat;
      local("heartbeat.answered", { from, nonce, progress, turnAgeMs, epoch });
    }
  };
  const inner = node.ports.open({ node, process, receive });
  const outer = options.asksOtherNodes ? node.ports.open({ node, process, receive }) : undefined;
  node.portFiles.set(armor, inner);
  return {
    ask: ({ to, address, nonce }) => {
      if (!process.effect()) return;
      const id = String(to);
      const ask = { type: "ask", cluster: cluster(), from: armor, to: id, nonce: String(nonce) } as const;
      if (address === "local") {
        const port = node.portFiles.get(id.startsWith("guard@") ? "guard" : id);
        if (port !== undefined && options.knowsKeyOf(id)) node.ports.send(node, port, { ...ask, path: `local ${inner}` });
      } else if (outer !== undefined) node.ports.sendToGuard(node, String(address), { ...ask, path: `outer ${outer}` });
    },
    reply: ({ to, nonce, path }) => {
      if (!process.effect()) return;
      const port = Number(String(path).split(" ")[1]);
      node.ports.send(node, port, {
        type: "reply",
        cluster: cluster(),
        from: armor,
        to: String(to),
        nonce: String(nonce),
        progress: options.progress(),
        turnAgeMs: 0,
        epoch: options.epoch(),
      });
    },
  };
}

/** Every socket of the simulation by number, and the guards by address. */
export class BeatPorts {
  readonly #ports = new Map<number, BeatPort>();
  readonly #guards = new Map<string, BeatPort>();
  #next = 1;

  open(port: BeatPort): number {
    const number = this.#next++;
    this.#ports.set(number, port);
    port.process.onDeath.push(() => this.#ports.delete(number));
    return number;
  }

  /** The guard reads the node's own address. */
  openGuard(address: string, port: BeatPort): void {
    this.#guards.set(address, port);
  }

  send(from: SimNode, number: number, beat: Beat): void {
    const port = this.#ports.get(number);
    if (port) this.#post(from, port, beat);
  }

  sendToGuard(from: SimNode, address: string, beat: Beat): void {
    const port = this.#guards.get(address);
    if (port) this.#post(from, port, beat);
  }

  #post(from: SimNode, port: BeatPort, beat: Beat): void {
    const arrive = (): void => port.process.run(() => port.receive(beat));
    from.network.datagram(from.name, port.node.name, arrive, () => {
      if (!isRefused(altered(beat, from.random))) from.watch.broken("altered datagrams", `an altered ${beat.type} of ${beat.from} for ${beat.to} is accepted`);
    });
  }
}

const secret = new Uint8Array(32).fill(7);

/** The datagram with some of its bits flipped, or cut short. */
function altered(beat: Beat, random: RandomSource): Uint8Array {
  const nonce = new Uint8Array(16);
  nonce.set(new TextEncoder().encode(beat.nonce).subarray(0, nonce.length));
  const more = beat.type === "reply" ? { detail: "" } : {};
  const bytes = encodeHeartbeat({ ...beat, ...more, nonce } as Parameters<typeof encodeHeartbeat>[0], heartbeatKey(secret, beat.from));
  if (random.below(8) === 0) return bytes.subarray(0, random.below(bytes.length));
  // An odd number: an even one could undo itself.
  for (let flips = 1 + 2 * random.below(2); flips > 0; flips--) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  return bytes;
}

function isRefused(bytes: Uint8Array): boolean {
  return decodeHeartbeat(bytes, ({ from }) => heartbeatKey(secret, from)) === undefined;
}
