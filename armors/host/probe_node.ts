/**
 * Probe a node: does its guard answer by UDP, or its daemon over the link? Asked
 * on behalf of the FTM before it declares the node failed.
 *
 * @module
 */
import { randomBytes } from "node:crypto";
import type { DataRecord } from "../../core/data.ts";
import { parseAddress } from "../../transports/address.ts";
import { decodeHeartbeat, encodeHeartbeat } from "../../transports/heartbeat_datagram.ts";
import { openUdp } from "../../transports/udp.ts";
import type { Peers } from "./peers.ts";
import type { Seams } from "./seams.ts";

/** What the prober has at hand. */
export interface ProbeMeans {
  readonly peers: Peers;
  /** The asking daemon, and its heartbeat key. */
  readonly armor: string;
  readonly key: Uint8Array;
  readonly listenHost: string;
  readonly cluster: string;
  /** Where faults may be injected. */
  readonly seams?: Seams | undefined;
}

const asksMax = 3;

/** @returns Whether anything was heard from the node within the time. */
export async function probeNode(args: DataRecord, means: ProbeMeans): Promise<boolean> {
  const { node, address, withinMs } = args as { node: string; address: string; withinMs: number };
  const nonces = new Set<string>();
  let heard = false;
  const udp = await (means.seams?.udp("between nodes") ?? openUdp)({
    host: means.listenHost,
    port: 0,
    onDatagram: (bytes) => {
      const datagram = decodeHeartbeat(bytes, ({ to }) => (to === means.armor ? means.key : undefined));
      if (datagram?.type === "reply" && nonces.has(Buffer.from(datagram.nonce).toString("hex"))) heard = true;
    },
  });
  try {
    means.peers.ping(node);
    for (let asked = 0; asked < asksMax && !heard; asked++) {
      const nonce = randomBytes(16);
      nonces.add(nonce.toString("hex"));
      const ask = { type: "ask", cluster: means.cluster, from: means.armor, to: `guard@${node}`, nonce } as const;
      udp.send(encodeHeartbeat(ask, means.key), parseAddress(address));
      for (let waited = 0; waited < withinMs / asksMax && !heard; waited += 10) await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return heard || means.peers.isHeard(node, withinMs);
  } finally {
    udp.close();
  }
}
