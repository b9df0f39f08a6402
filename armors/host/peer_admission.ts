/**
 * Peer admission: which links of other daemons this one takes. A peer proves
 * the cluster secret by its certificate before it gets here; what remains is
 * whether it is of this cluster, of this version, looking for this node, and the
 * only one with its id.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { LinkRefusal } from "../../transports/http2_server.ts";
import { version } from "../version.ts";

/** Headers with which a daemon opens a link. */
export type PeerHeaders = { readonly [name: string]: string | readonly string[] | undefined };

/** Who opens a link, and what it wants. */
export interface PeerGreeting {
  readonly cluster: string;
  readonly node: string;
  /** Where others reach the peer. */
  readonly address: string;
  /** Nodes registered in its cluster. */
  readonly nodes: number;
  /** Whom it looks for. */
  readonly target: string;
}

/** @returns The headers of a greeting. */
export function greetingHeaders({ cluster, node, address, nodes, target }: PeerGreeting): Record<string, string> {
  return {
    "armor-version": version,
    "armor-cluster": cluster,
    "armor-node": node,
    "armor-address": address,
    "armor-nodes": String(nodes),
    "armor-target": target,
  };
}

/** What admission needs of its daemon. */
export interface AdmissionOptions {
  readonly node: string;
  /** Of the node, for the texts. */
  readonly name: string;
  /** Empty until the node has one. */
  readonly cluster: () => string;
  /** Where a node is registered, as far as known. */
  readonly addressOf: (node: string) => string | undefined;
  /** Whether another than the one at `except` answers at `address` under this id. */
  readonly answers: (node: string, address: string, except: string) => Promise<boolean>;
  /** This node's cluster is new and empty, and gives way to a larger one: `false` if it is not. */
  readonly giveWay: (greeting: PeerGreeting) => boolean;
  /** Somebody was refused who should not have come. */
  readonly refused: (node: string, cause: string) => void;
  readonly clock: Clock;
}

/** A verdict about an address holds this long. */
const verdictMs = 5_000;
const verdictsMax = 100;

type Verdict = { readonly atMs: number; readonly answers: boolean | undefined };

/** Judges links. */
export class PeerAdmission {
  readonly #verdicts = new Map<string, Verdict>();

  constructor(readonly options: AdmissionOptions) {}

  /** @returns `undefined`: it is taken. */
  judge(headers: PeerHeaders, peerName: string | undefined): LinkRefusal | undefined {
    const { name, cluster, giveWay, refused } = this.options;
    const greeting = read(headers);
    const { node } = greeting;
    const refuse = (cause: string, text: string): LinkRefusal => {
      refused(node, cause);
      return { refuse: text };
    };
    if (headers["armor-version"] !== version) {
      const theirs = String(headers["armor-version"]).slice(0, 50);
      return refuse(`version ${theirs}, this is ${version}`, `node ${name} runs version ${version}, this one ${theirs}`);
    }
    if (peerName !== node) return refuse(`certificate of ${peerName}`, `the certificate is ${peerName}'s, not ${node}'s`);
    if (cluster() === "") return { refuse: `node ${name} has not joined a cluster yet` };
    if (greeting.cluster !== cluster()) {
      if (giveWay(greeting)) return { refuse: `node ${name} gives up its own cluster` };
      return refuse("another cluster", `node ${name} belongs to another cluster`);
    }
    if (greeting.target !== this.options.node) return { refuse: `at this address is node ${name}, with another id` };
    return this.#judgeAddress(greeting);
  }

  /** One id at two addresses: the old one must be silent before the new one is taken. */
  #judgeAddress({ node, address }: PeerGreeting): LinkRefusal | undefined {
    const { addressOf, answers, refused, clock } = this.options;
    const known = addressOf(node);
    if (known === undefined || known === address) return undefined;
    const key = `${node} ${known} ${address}`;
    const verdict = this.#verdicts.get(key);
    const checking = { refuse: `node ${node} was at ${known}: that is looked into` };
    if (verdict && (verdict.answers === undefined || clock.nowMs() - verdict.atMs < verdictMs)) {
      if (verdict.answers === undefined) return checking;
      if (!verdict.answers) return undefined;
      refused(node, `its id answers at ${known}`);
      return { refuse: inUse(node, known), final: true };
    }
    if (this.#verdicts.size >= verdictsMax) this.#verdicts.clear();
    this.#verdicts.set(key, { atMs: clock.nowMs(), answers: undefined });
    const settle = (found: boolean): void => void this.#verdicts.set(key, { atMs: clock.nowMs(), answers: found });
    answers(node, known, address).then(settle, () => this.#verdicts.delete(key));
    return checking;
  }
}

/** What is told to the second node of an id. */
export function inUse(node: string, address: string): string {
  return `cannot start: the node of this data dir ("${node}") answers at ${address}; a data dir belongs to one node: start with an empty one`;
}

function read(headers: PeerHeaders): PeerGreeting {
  const text = (name: string): string => String(headers[name] ?? "");
  return {
    cluster: text("armor-cluster"),
    node: text("armor-node"),
    address: text("armor-address"),
    nodes: Number(text("armor-nodes")),
    target: text("armor-target"),
  };
}
