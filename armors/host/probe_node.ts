/**
 * Probe a node: does its guard answer by UDP? Asked on behalf of the FTM before it
 * declares the node failed (`node_looks.ts`), and by everybody who meets a node at
 * another address than the one it is known by.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { parseAddress } from "../../transports/address.ts";
import type { Machine } from "./machine.ts";

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
