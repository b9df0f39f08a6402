/**
 * Datagrams over UDP. What is sent arrives once, several times, late or never;
 * whoever needs to know asks and waits for an answer.
 *
 * @module
 */
import { createSocket, type Socket } from "node:dgram";
import { lookup } from "node:dns/promises";
import { isIP, isIPv6 } from "node:net";
import { AddressError, cannotListen, formatAddress, type HostPort } from "./address.ts";

/** What to open. */
export interface UdpOptions {
  /** A literal or a host name; `::` takes IPv4 too where the system allows it. */
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** @param bytes The callee's own. */
  readonly onDatagram: (bytes: Uint8Array, from: HostPort) => void;
}

/** An open UDP port. */
export interface UdpPort {
  /** The port bound. */
  readonly port: number;
  /**
   * Send and forget: no error is ever thrown or reported. A host name is
   * resolved at its first use and again only after a failure.
   */
  send(bytes: Uint8Array, to: HostPort): void;
  close(): void;
}

/** Names a caller may use before the table is emptied; a cluster has far fewer. */
const namesMax = 1_024;

/**
 * Bind a UDP port.
 *
 * @throws {AddressError} `"address_in_use"`, or `"bad_address"` when the host
 *   cannot be resolved or is not this machine's.
 */
export async function openUdp({ host, port, onDatagram }: UdpOptions): Promise<UdpPort> {
  const where = formatAddress({ host, port });
  const resolved = isIP(host) ? host : await resolve(host).catch((cause: unknown) => {
    throw new AddressError("bad_address", `Cannot listen on ${where}: no address for host ${JSON.stringify(host)}`, { cause });
  });
  const family = isIPv6(resolved) ? 6 : 4;
  // Names are resolved before they come here: the runtime need not look, which it does for every datagram.
  const socket: Socket = createSocket({ type: family === 6 ? "udp6" : "udp4", lookup: (address, _options, done) => done(null, address, family) });
  await new Promise<void>((done, failed) => {
    socket.once("error", (cause: Error & { code?: string }) => {
      try {
        socket.close();
      } catch { /* never opened */ }
      failed(cannotListen(`${where} (UDP)`, cause));
    });
    socket.bind({ address: resolved, port, exclusive: true }, () => done());
  });
  socket.removeAllListeners("error");
  socket.on("error", () => {}); // an unreachable peer, told late: the sender hears of it by silence
  socket.on("message", (bytes, from) => {
    onDatagram(new Uint8Array(bytes), { host: plainAddress(from.address), port: from.port });
  });

  let open = true;
  /** Addresses by host name; a promise while the answer is awaited. */
  const names = new Map<string, string | Promise<void>>();
  const sendTo = (bytes: Uint8Array, address: string, toPort: number): void => {
    if (!open) return;
    const target = family === 6 && !isIPv6(address) ? `::ffff:${address}` : address;
    if (family === 4 && isIPv6(target)) return;
    // Bun reports "port unreachable" of an earlier datagram at the next send, which is then not sent
    // (oven-sh/bun#35922): one dead node would silence all others. The report is used up by the first try.
    const send = (again: boolean): void => {
      try {
        socket.send(bytes, toPort, target, (error) => {
          if (error && again && open) send(false);
        });
      } catch {
        if (again) send(false);
      }
    };
    send(true);
  };
  return {
    port: socket.address().port,
    send(bytes, to) {
      if (to.port < 1 || to.port > 65_535) return;
      if (isIP(to.host)) return sendTo(bytes, to.host, to.port);
      const known = names.get(to.host);
      if (typeof known === "string") return sendTo(bytes, known, to.port);
      if (known !== undefined) return; // being resolved: dropped, as a full queue would
      if (names.size >= namesMax) names.clear();
      const copy = new Uint8Array(bytes);
      names.set(to.host, resolve(to.host, family).then(
        (address) => {
          names.set(to.host, address);
          sendTo(copy, address, to.port);
        },
        () => void names.delete(to.host),
      ));
    },
    close() {
      if (!open) return;
      open = false;
      socket.close();
    },
  };
}

/** One address of a name; for an IPv4 socket an IPv4 one. */
async function resolve(host: string, family?: 4 | 6): Promise<string> {
  return (await lookup(host, { family: family === 4 ? 4 : 0 })).address;
}

/** An IPv4 peer of an IPv6 socket under its IPv4 name, so that it compares equal. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
