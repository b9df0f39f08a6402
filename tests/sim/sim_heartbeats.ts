/**
 * UDP ports of all simulated nodes: heartbeats travel as objects, and only those
 * are heard that come with the right key. One that is altered on its way is
 * written and read by the real `heartbeat_datagram.ts`, which must refuse it.
 *
 * @module
 */
import type { RandomSource } from "../../core/random.ts";
import { AddressError, type HostPort } from "../../transports/address.ts";
import { decodeHeartbeat, encodeHeartbeat, type HeartbeatAsk, type HeartbeatReply } from "../../transports/heartbeat_datagram.ts";
import type { HeartbeatPort, HeartbeatPortOptions } from "../../transports/heartbeat_port.ts";
import { loopback } from "../../armors/host/heartbeats.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";

/** A heartbeat on its way. */
type Beat = HeartbeatAsk | HeartbeatReply;

/** A port that a process reads. */
type Reader = { readonly node: SimNode; readonly process: SimProcess; readonly options: HeartbeatPortOptions };

const firstFreePort = 20_000;

/** Every port by node and number; a node's name is its address. */
export class BeatPorts {
  readonly #readers = new Map<string, Reader>();
  #next = firstFreePort;

  /** @throws {AddressError} `"address_in_use"`. */
  open(node: SimNode, process: SimProcess, options: HeartbeatPortOptions): HeartbeatPort {
    const port = options.port === 0 ? this.#next++ : options.port;
    const key = `${node.name} ${port}`;
    if (this.#readers.get(key)?.process.alive) throw new AddressError("address_in_use", `Cannot listen on ${node.name}:${port} (UDP): address in use`);
    const reader = { node, process, options };
    this.#readers.set(key, reader);
    const close = (): void => {
      if (this.#readers.get(key) === reader) this.#readers.delete(key);
    };
    process.onDeath.push(close);
    return {
      port,
      send: (beat, signedWith, to) => {
        if (process.effect()) this.#post(node, { beat, signedWith, from: { host: to.host === loopback ? loopback : node.name, port }, to });
      },
      close,
    };
  }

  /** Somebody sends this to every port of a node, signed with a key of its own: the real reader must not hear it. */
  forge(node: SimNode, beat: Beat, signedWith: Uint8Array): void {
    for (const reader of this.#readers.values()) {
      if (reader.node !== node || !reader.process.alive) continue;
      const heard = decodeHeartbeat(encodeHeartbeat(beat, signedWith), reader.options.keyFor);
      if (heard) node.watch.broken("strangers", `${reader.process.name} of ${node.name} hears a ${beat.type} that is signed without the secret`);
    }
  }

  #post(node: SimNode, { beat, signedWith, from, to }: { beat: Beat; signedWith: Uint8Array; from: HostPort; to: HostPort }): void {
    const at = to.host === loopback ? node.name : to.host;
    node.network.datagram(node.name, at, bytesOf(beat), () => {
      const reader = this.#readers.get(`${at} ${to.port}`);
      reader?.process.run(() => {
        const { keyFor, onHeartbeat } = reader.options;
        const key = keyFor(beat);
        if (key && isEqual(key, signedWith)) onHeartbeat(beat, from);
      });
    }, () => {
      const bytes = altered(encodeHeartbeat(beat, signedWith), node.random);
      if (decodeHeartbeat(bytes, () => signedWith)) node.watch.broken("altered datagrams", `an altered ${beat.type} of ${beat.from} for ${beat.to} is accepted`);
    });
  }
}

/** Length of the datagram, as in `heartbeat_datagram.ts`: all but names and detail is of fixed length. */
function bytesOf(beat: Beat): number {
  const names = beat.cluster.length + beat.from.length + beat.to.length;
  return 57 + names + (beat.type === "reply" ? 25 + beat.detail.length : 0);
}

/** The datagram with some of its bits flipped, or cut short. */
function altered(bytes: Uint8Array, random: RandomSource): Uint8Array {
  if (random.below(8) === 0) return bytes.subarray(0, random.below(bytes.length));
  // An odd number: an even one could undo itself.
  for (let flips = 1 + 2 * random.below(2); flips > 0; flips--) bytes[random.below(bytes.length)]! ^= 1 << random.below(8);
  return bytes;
}

function isEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || (a.length === b.length && a.every((byte, index) => byte === b[index]));
}

const keys = new Map<string, Uint8Array>();

/** The key of an armor or guard: whoever has the secret can say it. */
export function simKey(id: string): Uint8Array {
  let key = keys.get(id);
  if (!key) keys.set(id, key = new TextEncoder().encode(`key of ${id}`));
  return key;
}
