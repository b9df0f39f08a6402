/**
 * Dead letters of all nodes: what `GET /v1/dead-letters` answers. They stay on
 * the node where they came to be, also when the armor has moved.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { ArmorError } from "../../core/errors.ts";
import type { DataDir } from "./data_dir.ts";
import { readDeadLetters } from "./dead_letters.ts";

/** A letter as it is shown; byte strings are `{"base64": …}`. */
export type ShownLetter = { readonly node: string; readonly at: string; readonly armor: string; readonly message: unknown; readonly failure?: unknown };

/** Answer of `GET /v1/dead-letters`, and output of `armor dead-letters --json`. */
export interface DeadLetterDocument {
  /** In order of time. */
  readonly letters: readonly ShownLetter[];
  /** Nodes that did not answer: their letters are missing here. */
  readonly silent: readonly string[];
}

/** What the collection needs of its daemon. */
export interface CollectionOptions {
  readonly data: DataDir;
  /** Name of this node. */
  readonly node: string;
  /** Names of the others, with a way to ask each for its own letters. */
  readonly others: readonly { readonly name: string; readonly ask: () => Promise<DeadLetterDocument> }[];
}

/**
 * @param armor Only those of this armor.
 * @throws {ArmorError} `"usage"` if it cannot be the id of an armor.
 */
export async function collectDeadLetters({ data, node, others }: CollectionOptions, armor?: string): Promise<DeadLetterDocument> {
  if (armor !== undefined && !/^[\w.@-]{1,64}$/.test(armor)) throw new ArmorError("usage", `${JSON.stringify(armor.slice(0, 80))} is not the name of an armor`);
  const own = readDeadLetters(data, armor).map((letter): ShownLetter => ({ node, ...(plain(letter) as Omit<ShownLetter, "node">) }));
  const answers = await Promise.all(others.map(({ ask }) => ask().catch(() => undefined)));
  return {
    letters: [...own, ...answers.flatMap((answer) => answer?.letters ?? [])].sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : 0)),
    silent: others.flatMap(({ name }, index) => (answers[index] ? [] : [name])),
  };
}

/** JSON has no byte strings. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) return { base64: Buffer.from(value).toString("base64") };
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}
