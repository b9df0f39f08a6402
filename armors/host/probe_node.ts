/**
 * Probe a node: does its guard answer by UDP, or its daemon over the link? Asked
 * on behalf of the FTM before it declares the node failed, and by everybody who
 * meets a node at another address than the one it is known by.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { DataRecord } from "../../core/data.ts";
import { parseAddress } from "../../transports/address.ts";
import type { Machine } from "./machine.ts";
import type { Peers } from "./peers.ts";

/** What the prober has at hand. */
export interface ProbeMeans {
  readonly machine: Machine;
  /** The asking daemon, and its heartbeat key. */
  readonly armor: string;
  readonly key: Uint8Array;
  readonly listenHost: string;
  readonly cluster: () => string;
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
export async function probeNode(args: DataRecord, means: ProbeMeans, peers: Peers): Promise<boolean> {
  const question = args as unknown as GuardQuestion;
  if (question.except !== undefined) return await guardAnswers(question, means);
  peers.ping(question.node);
  return await guardAnswers(question, means) || peers.isHeard(question.node, question.withinMs);
}

/** @returns Whether the guard of the node answered from this address within the time. */
export async function guardAnswers({ node, address, withinMs, except }: GuardQuestion, means: ProbeMeans): Promise<boolean> {
  const { machine, armor, key } = means;
  const nonces = new Set<string>();
  let heard = false;
  const port = await machine.openPort("between nodes", {
    host: means.listenHost,
    port: 0,
    keyFor: ({ to }) => (to === armor ? key : undefined),
    onHeartbeat: (reply) => {
      if (reply.type !== "reply" || !nonces.has(Buffer.from(reply.nonce).toString("hex"))) return;
      heard ||= except === undefined || reply.detail !== except;
    },
  });
  try {
    for (let asked = 0; asked < asksMax && !heard; asked++) {
      const nonce = machine.random.bytes(16);
      nonces.add(Buffer.from(nonce).toString("hex"));
      port.send({ type: "ask", cluster: means.cluster(), from: armor, to: `guard@${node}`, nonce }, key, parseAddress(address));
      for (let waited = 0; waited < withinMs / asksMax && !heard; waited += lookEveryMs) await machine.pause(lookEveryMs);
    }
    return heard;
  } finally {
    port.close();
  }
}
