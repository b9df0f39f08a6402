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
