/**
 * Heartbeats of one armor: its loopback socket, where the guard and the daemon
 * ask, and its outgoing asks to other nodes' guards. Every armor knows only its
 * own key.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import { decodeHeartbeat, encodeHeartbeat } from "../../transports/heartbeat_datagram.ts";
import { type HostPort, parseAddress } from "../../transports/address.ts";
import { openUdp, type UdpPort } from "../../transports/udp.ts";
import { readPort, type RunDir, writePort } from "./run_dir.ts";
import type { Seams } from "./seams.ts";

/** What the heartbeats of an armor need. */
export interface HeartbeatOptions {
  readonly armor: string;
  readonly run: RunDir;
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
  /** Where faults may be injected. */
  readonly seams?: Seams | undefined;
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
const loopback = "127.0.0.1";

/** Open the sockets and write the port file. */
export async function openHeartbeats(options: HeartbeatOptions): Promise<Heartbeats> {
  const { armor, run, keyOf, cluster, progress, epoch, local, seams } = options;
  const own = (): Uint8Array | undefined => keyOf(armor);

  // A local armor signs its reply with its own key, a remote guard with the asker's.
  const onDatagram = (bytes: Uint8Array, from: HostPort, replyKey: (sender: string) => Uint8Array | undefined): void => {
    const datagram = decodeHeartbeat(bytes, ({ type, from: sender, to }) => {
      if (to !== armor) return undefined;
      return type === "reply" ? replyKey(sender) : own();
    });
    if (!datagram || datagram.cluster !== cluster()) return;
    if (datagram.type === "ask") {
      local("heartbeat.asked", { from: datagram.from, nonce: hex(datagram.nonce), path: `${from.host}:${from.port}` });
    } else {
      local("heartbeat.answered", {
        from: datagram.from,
        nonce: hex(datagram.nonce),
        progress: datagram.progress,
        turnAgeMs: datagram.turnAgeMs,
        epoch: datagram.epoch,
      });
    }
  };

  const inner = await (seams?.udp("here") ?? openUdp)({ host: loopback, port: 0, onDatagram: (bytes, from) => onDatagram(bytes, from, keyOf) });
  const outer: UdpPort | undefined = options.outerHost === undefined
    ? undefined
    : await (seams?.udp("between nodes") ?? openUdp)({ host: options.outerHost, port: 0, onDatagram: (bytes, from) => onDatagram(bytes, from, own) });
  writePort(run, armor, inner.port);

  return {
    port: inner.port,
    ask: ({ to, address, nonce }) => {
      const id = String(to);
      const isLocal = address === "local";
      const key = isLocal ? keyOf(id) : own();
      const port = isLocal ? readPort(run, id.startsWith("guard@") ? "guard" : id) : undefined;
      if (!key || (isLocal && port === undefined)) return;
      const ask = { type: "ask", cluster: cluster(), from: armor, to: id, nonce: Buffer.from(String(nonce), "hex") } as const;
      if (isLocal) inner.send(encodeHeartbeat(ask, key), { host: loopback, port: port! });
      else outer?.send(encodeHeartbeat(ask, key), parseAddress(String(address)));
    },
    reply: ({ to, nonce, path }) => {
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
        detail: "",
      } as const;
      inner.send(encodeHeartbeat(reply, key), { host: host!, port: Number(port) });
    },
    close: () => {
      inner.close();
      outer?.close();
    },
  };
}
