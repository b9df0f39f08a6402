/**
 * Probe a node: does its guard answer by UDP, or its daemon over the link? Asked
 * on behalf of the FTM before it declares the node failed, and by everybody who
 * meets a node at another address than the one it is known by.
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
  /** The asking daemon, and its heartbeat key. */
  readonly armor: string;
  readonly key: Uint8Array;
  readonly listenHost: string;
  readonly cluster: string;
  /** Where faults may be injected. */
  readonly seams?: Seams | undefined;
}

/** What to ask. */
export interface GuardQuestion {
  readonly node: string;
  readonly address: string;
  readonly withinMs: number;
  /** An answer of the guard that calls itself by this address does not count: it is the one that asks to be taken. */
  readonly except?: string;
}

const asksMax = 3;
const lookEveryMs = 10;

/** Work `node.probe`: with `except` the question is whether somebody else has the id, and only its guard can tell. */
export async function probeNode(args: DataRecord, means: ProbeMeans & { readonly peers: Peers }): Promise<boolean> {
  const question = args as unknown as GuardQuestion;
  if (question.except !== undefined) return await guardAnswers(question, means);
  means.peers.ping(question.node);
  return await guardAnswers(question, means) || means.peers.isHeard(question.node, question.withinMs);
}

/** @returns Whether the guard of the node answered from this address within the time. */
export async function guardAnswers({ node, address, withinMs, except }: GuardQuestion, means: ProbeMeans): Promise<boolean> {
  const nonces = new Set<string>();
  let heard = false;
  const udp = await (means.seams?.udp("between nodes") ?? openUdp)({
    host: means.listenHost,
    port: 0,
    onDatagram: (bytes) => {
      const datagram = decodeHeartbeat(bytes, ({ to }) => (to === means.armor ? means.key : undefined));
      if (datagram?.type !== "reply" || !nonces.has(Buffer.from(datagram.nonce).toString("hex"))) return;
      heard ||= except === undefined || datagram.detail !== except;
    },
  });
  try {
    for (let asked = 0; asked < asksMax && !heard; asked++) {
      const nonce = randomBytes(16);
      nonces.add(nonce.toString("hex"));
      const ask = { type: "ask", cluster: means.cluster, from: means.armor, to: `guard@${node}`, nonce } as const;
      udp.send(encodeHeartbeat(ask, means.key), parseAddress(address));
      for (let waited = 0; waited < withinMs / asksMax && !heard; waited += lookEveryMs) await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
    }
    return heard;
  } finally {
    udp.close();
  }
}
