/**
 * The two UDP ports of a guard: the node's own, where other nodes ask, and one on
 * loopback for the armors of this node.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import type { HostPort } from "../../transports/address.ts";
import type { GuardEvent } from "../guard.ts";
import { loopback } from "./heartbeats.ts";
import type { Machine } from "./machine.ts";

/** What the ports need of their guard. */
export interface GuardPortOptions {
  readonly machine: Machine;
  /** The node's own address. */
  readonly listen: HostPort;
  /** Heartbeat key of an armor or guard. */
  readonly keyOf: (id: string) => Uint8Array;
  readonly cluster: () => string;
  readonly heard: (event: GuardEvent) => void;
}

/** An answer on its way to `path`, as the asker's heartbeat gave it. */
export interface GuardAnswer {
  readonly path: string;
  readonly from: string;
  readonly to: string;
  readonly nonce: string;
  readonly turnAgeMs?: number;
  readonly progress?: number;
  readonly epoch?: number;
  readonly detail?: string;
}

/** Open ports. */
export interface GuardPorts {
  /** Ask an armor of this node. */
  ask(what: { readonly from: string; readonly to: string; readonly nonce: string }): void;
  answer(answer: GuardAnswer): void;
  close(): void;
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

/** @throws {AddressError} If the node's address cannot be had. */
export async function openGuardPorts({ machine, listen, keyOf, cluster, heard }: GuardPortOptions): Promise<GuardPorts> {
  const inner = await machine.openPort("here", {
    host: loopback,
    port: 0,
    keyFor: ({ type, from, to }) => keyOf(type === "ask" ? to : from),
    onHeartbeat: (heartbeat, { host, port }) => {
      if (heartbeat.cluster !== cluster()) return;
      const { from, to } = heartbeat;
      const nonce = hex(heartbeat.nonce);
      if (heartbeat.type === "ask") heard({ kind: "asked", from, to, nonce, path: `local ${host} ${port}` });
      else heard({ kind: "answered", from, nonce, progress: heartbeat.progress, epoch: heartbeat.epoch, next: heartbeat.detail });
    },
  });
  const outer = await machine.openPort("between nodes", {
    ...listen,
    keyFor: ({ type, from }) => (type === "ask" ? keyOf(from) : undefined),
    onHeartbeat: (ask, { host, port }) => {
      if (ask.cluster === cluster()) heard({ kind: "asked", from: ask.from, to: ask.to, nonce: hex(ask.nonce), path: `outer ${host} ${port}` });
    },
  }).catch((error) => {
    // Left open, it would keep this process alive.
    inner.close();
    throw error;
  });
  machine.ports.write("guard", inner.port);
  return {
    ask: ({ from, to, nonce }) => {
      const port = machine.ports.read(to);
      if (port === undefined) return;
      const ask = { type: "ask", cluster: cluster(), from, to, nonce: Buffer.from(nonce, "hex") } as const;
      inner.send(ask, keyOf(to), { host: loopback, port });
    },
    answer: ({ path, from, to, nonce, progress = 0, turnAgeMs = 0, epoch = 0, detail = "" }) => {
      const [way, host, port] = path.split(" ");
      const reply = { type: "reply", cluster: cluster(), from, to, nonce: Buffer.from(nonce, "hex"), progress, turnAgeMs, epoch, detail } as const;
      // On loopback an answer is signed with the answerer's key, elsewhere with the asker's.
      const [socket, signer] = way === "outer" ? [outer, to] : [inner, from];
      socket.send(reply, keyOf(signer), { host: host!, port: Number(port) });
    },
    close: () => {
      inner.close();
      outer.close();
    },
  };
}
