/**
 * Heartbeats over UDP: what is sent is signed, and only what is signed with the
 * right key is heard.
 *
 * @module
 */
import type { HostPort } from "./address.ts";
import { decodeHeartbeat, encodeHeartbeat, type HeartbeatAsk, type HeartbeatHeader, type HeartbeatReply } from "./heartbeat_datagram.ts";
import { openUdp, type UdpOptions, type UdpPort } from "./udp.ts";

/** What to open. */
export interface HeartbeatPortOptions {
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** The key of the one a datagram claims to be from or for; `undefined` refuses it. */
  readonly keyFor: (header: HeartbeatHeader) => Uint8Array | undefined;
  readonly onHeartbeat: (heartbeat: HeartbeatAsk | HeartbeatReply, from: HostPort) => void;
}

/** An open port. */
export interface HeartbeatPort {
  /** The port bound. */
  readonly port: number;
  /** Sign, send and forget. */
  send(heartbeat: HeartbeatAsk | HeartbeatReply, key: Uint8Array, to: HostPort): void;
  close(): void;
}

/**
 * Bind a UDP port.
 *
 * @param open As `openUdp`.
 * @throws {AddressError} As `openUdp` does.
 */
export async function openHeartbeatPort(
  { host, port, keyFor, onHeartbeat }: HeartbeatPortOptions,
  open: (options: UdpOptions) => Promise<UdpPort> = openUdp,
): Promise<HeartbeatPort> {
  const udp = await open({
    host,
    port,
    onDatagram: (bytes, from) => {
      const heartbeat = decodeHeartbeat(bytes, keyFor);
      if (heartbeat) onHeartbeat(heartbeat, from);
    },
  });
  return {
    port: udp.port,
    send: (heartbeat, key, to) => udp.send(encodeHeartbeat(heartbeat, key), to),
    close: () => udp.close(),
  };
}
