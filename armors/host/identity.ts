/**
 * Identity of a node: who it is and which cluster it belongs to. Written
 * before anything else is; everything in the data dir refers to it. Beside it
 * stands what the daemon must not forget, so that both are lost together or not
 * at all.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { decode, encode } from "../../core/codec.ts";
import { ArmorError } from "../../core/errors.ts";
import { newId } from "../../core/id.ts";
import type { RandomSource } from "../../core/random.ts";
import type { Ballast } from "./ballast.ts";
import { writeDurably } from "./durable_file.ts";
import type { NodeMemory } from "./node_memory.ts";

/** Content of `identity.cbor`. */
export type NodeIdentity = {
  readonly format: 1;
  readonly id: string;
  readonly name: string;
  /** Empty until the node has joined. */
  readonly cluster: string;
  /** This node started the cluster. */
  readonly bootstrap: boolean;
  /** What its daemon must not forget, once it has promised anything. */
  readonly memory?: NodeMemory;
  /** It gave up a cluster of its own for another one. */
  readonly gaveUp?: boolean;
  /** Where to ask besides `--join`, until the node has joined; a node with such a list never starts a cluster. */
  readonly joins?: readonly string[];
};

/** Stands for the cluster in the heartbeats of a node that has not joined one yet. */
export const unjoined = "-";

/**
 * @returns `undefined` if there is none yet.
 * @throws {ArmorError} `"damaged"` if it cannot be read: a node must not forget who it was.
 */
export function readIdentity(path: string): NodeIdentity | undefined {
  let bytes: Uint8Array;
  try {
    bytes = readFileSync(path);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw new ArmorError("damaged", `Cannot read ${JSON.stringify(path)}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
  try {
    const identity = decode(bytes) as NodeIdentity;
    if (identity.format === 1 && typeof identity.id === "string" && typeof identity.cluster === "string") return identity;
  } catch {
    // falls through
  }
  throw new ArmorError("damaged", `Cannot read ${JSON.stringify(path)}: it is damaged; start with an empty data dir under the same name to join as a new node`);
}

/** Write it durably. */
export function writeIdentity(path: string, identity: NodeIdentity): void {
  writeDurably(path, encode(identity));
}

/** Who a node is that starts for the first time; with nobody to join it starts a cluster. */
export function newIdentity(name: string, joins: readonly string[], random: RandomSource): NodeIdentity {
  const bootstrap = joins.length === 0;
  return { format: 1, id: newId(random), name, cluster: bootstrap ? newId(random, 12) : "", bootstrap };
}

/** Where the identity of a node is kept. */
export interface IdentityStore {
  /** As {@link readIdentity}. */
  read(): NodeIdentity | undefined;
  /** Durably. */
  write(identity: NodeIdentity): void;
}

/** Its file. @param ballast Gives way when the disk is full. */
export function identityFile(path: string, ballast: Ballast): IdentityStore {
  return { read: () => readIdentity(path), write: (identity) => ballast.relieve(() => writeIdentity(path, identity)) };
}

/** A daemon's hold on the identity of its node, which it alone changes while it runs. */
export class KeptIdentity {
  #now: NodeIdentity;
  #forgets = false;

  /** @throws {ArmorError} `"usage"`: it is made before a daemon is started. */
  constructor(readonly store: IdentityStore) {
    const identity = store.read();
    if (!identity) throw new ArmorError("usage", "the daemon proper is started by its guard: use --role daemon");
    this.#now = identity;
  }

  get now(): NodeIdentity {
    return this.#now;
  }

  write(identity: NodeIdentity): void {
    this.store.write(this.#now = identity);
  }

  /** Keep what must not be forgotten, unless {@link forget} was called. */
  remember(memory: NodeMemory): void {
    if (!this.#forgets) this.write({ ...this.#now, memory });
  }

  /** The node gives its cluster up: what it knows of that must not come into the next one. */
  forget(): void {
    this.#forgets = true;
    const { memory: _memory, ...identity } = this.#now;
    this.#now = identity;
  }
}
