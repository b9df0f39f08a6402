/**
 * Heartbeats of one armor: its loopback socket, where the guard and the daemon
 * ask, and its outgoing asks to other nodes' guards. Every armor knows only its
 * own key.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { DataRecord } from "../../core/data.ts";
import { type HostPort, parseAddress } from "../../transports/address.ts";
import type { HeartbeatHeader } from "../../transports/heartbeat_datagram.ts";
import type { HeartbeatPort, HeartbeatPortOptions } from "../../transports/heartbeat_port.ts";
import type { HeartbeatWay, Machine } from "./machine.ts";

/** What the heartbeats of an armor need. */
export interface HeartbeatOptions {
  readonly machine: Machine;
  readonly armor: string;
  /** Host to ask other nodes from; absent: this armor asks nobody elsewhere. */
  readonly outerHost?: string;
  /** Key of an id; armors answer for themselves only, the daemon knows all. */
  readonly keyOf: (id: string) => Uint8Array | undefined;
  readonly cluster: () => string;
  /** Grows while the armor works. */
  readonly progress: () => number;
  readonly epoch: () => number;
  /** Start a local thread in the armor. */
  readonly local: (op: string, payload: { [field: string]: string | number }) => void;
}

/** Open sockets of one armor. */
export interface Heartbeats {
  readonly port: number;
  /** Perform `heartbeat.ask`. */
  ask(args: DataRecord): void;
  /** Perform `heartbeat.reply`. */
  reply(args: DataRecord): void;
  close(): void;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
/** Address of everything that concerns this node alone. */
export const loopback = "127.0.0.1";

/** Open the sockets and tell their port. */
export async function openHeartbeats(options: HeartbeatOptions): Promise<Heartbeats> {
  const { machine, armor, outerHost, keyOf, cluster, progress, epoch, local } = options;
  const own = (): Uint8Array | undefined => keyOf(armor);

  const onHeartbeat: HeartbeatPortOptions["onHeartbeat"] = (heartbeat, { host, port }) => {
    if (heartbeat.cluster !== cluster()) return;
    const { from, nonce } = heartbeat;
    if (heartbeat.type === "ask") return local("heartbeat.asked", { from, nonce: hex(nonce), path: `${host}:${port}` });
    const { progress: done, turnAgeMs, epoch: promised } = heartbeat;
    local("heartbeat.answered", { from, nonce: hex(nonce), progress: done, turnAgeMs, epoch: promised });
  };
  // A local armor signs its reply with its own key, a remote guard with the asker's.
  const open = (way: HeartbeatWay, host: string, replyKey: (sender: string) => Uint8Array | undefined): Promise<HeartbeatPort> =>
    machine.openPort(way, {
      host,
      port: 0,
      keyFor: ({ type, from, to }: HeartbeatHeader) => (to !== armor ? undefined : type === "reply" ? replyKey(from) : own()),
      onHeartbeat,
    });
  const inner = await open("here", loopback, keyOf);
  const outer = outerHost === undefined ? undefined : await open("between nodes", outerHost, own);
  machine.ports.write(armor, inner.port);

  return {
    port: inner.port,
    ask: ({ to, address, nonce }) => {
      const id = String(to);
      const isLocal = address === "local";
      const key = isLocal ? keyOf(id) : own();
      const port = isLocal ? machine.ports.read(id.startsWith("guard@") ? "guard" : id) : undefined;
      if (!key || (isLocal && port === undefined)) return;
      const ask = { type: "ask", cluster: cluster(), from: armor, to: id, nonce: Buffer.from(String(nonce), "hex") } as const;
      if (isLocal) inner.send(ask, key, { host: loopback, port: port! });
      else outer?.send(ask, key, parseAddress(String(address)));
    },
    reply: ({ to, nonce, path, next }) => {
      const key = own();
      if (!key) return;
      const [host, port] = String(path).split(":");
      const reply = {
        type: "reply",
        cluster: cluster(),
        from: armor,
        to: String(to),
        nonce: Buffer.from(String(nonce), "hex"),
        progress: progress(),
        turnAgeMs: 0,
        epoch: epoch(),
        detail: String(next ?? ""),
      } as const;
      inner.send(reply, key, { host: host!, port: Number(port) } satisfies HostPort);
    },
    close: () => {
      inner.close();
      outer?.close();
    },
  };
}
