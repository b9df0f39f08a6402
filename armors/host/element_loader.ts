/**
 * Element loader: from the source of a file of elements to elements. A source is
 * imported as a `data:` URL, which works on Bun, on Deno and in the executable,
 * and touches no disk; it is known by its hash from then on.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash } from "node:crypto";
import type { CommitRecord, Snapshot } from "../../core/checkpoint.ts";
import type { Data } from "../../core/data.ts";
import { elementStateOf } from "../../core/durable_state.ts";
import type { Element } from "../../core/element.ts";
import { elementSdk, type ElementFactory } from "../../core/element_sdk.ts";
import { elementsFrom } from "../../core/element_shape.ts";
import { ArmorError } from "../../core/errors.ts";
import { composed, type ElementSet, ownElements, sourceState } from "../elements/element_source.ts";

/** Why a source makes no elements; the text is ours, `cause` the runtime's error if there was one. */
export class ElementLoadError extends ArmorError<"refused"> {
  override readonly name = "ElementLoadError";
}

/** By which a source is known: SHA-256, hexadecimal. */
export function hashOf(source: string): string {
  return createHash("sha256").update(source).digest("hex");
}

/** Sources that a process has loaded, by hash. */
export class ElementLoader {
  readonly #loaded = new Map<string, readonly Element[]>();

  /** The elements of a source loaded before. */
  readonly library = (hash: string): readonly Element[] | undefined => this.#loaded.get(hash);

  /** Load a source of JavaScript. @throws {ElementLoadError} */
  async load(source: string): Promise<{ readonly hash: string; readonly elements: readonly Element[] }> {
    const hash = hashOf(source);
    let elements = this.#loaded.get(hash);
    if (!elements) this.#loaded.set(hash, elements = await evaluate(source));
    return { hash, elements };
  }

  /**
   * What an armor is made of: after a restart what its checkpoint names, from the sources in it; else what it is given.
   *
   * @throws {ElementLoadError} If one of them cannot be loaded: without it its state would be lost.
   */
  async compose(
    builtIn: readonly Element[],
    restored: { readonly snapshot: Snapshot | undefined; readonly records: readonly CommitRecord[] } | undefined,
    given: ElementSet = { own: [], sources: {} },
  ): Promise<readonly Element[]> {
    const saved = restored?.snapshot ? elementStateOf("reconfiguration", restored.snapshot, restored.records) : sourceState(given);
    const { own, source } = ownElements(saved);
    for (const hash of new Set(own.map((entry) => entry.hash))) await this.load(source(hash));
    return composed(builtIn, own, ({ name, hash }) => this.library(hash)?.find((element) => element.name === name));
  }

  /** Blocking work `element.load` of the element `reconfiguration`. */
  async work(args: Data, allowed: boolean, log: (text: string) => void): Promise<Data> {
    if (!allowed) return { refused: "its node takes no elements by message: start that node's daemon with --allow-elements" };
    try {
      return { hash: (await this.load((args as { source: string }).source)).hash };
    } catch (error) {
      if (!(error instanceof ElementLoadError)) throw error;
      log(`elements refused: ${error.message}${error.cause === undefined ? "" : `: ${String(error.cause)}`}`);
      return { refused: error.message };
    }
  }
}

async function evaluate(source: string): Promise<readonly Element[]> {
  let made: unknown;
  try {
    const url = `data:text/javascript;base64,${Buffer.from(source).toString("base64")}`;
    const { default: factory } = (await import(url)) as { readonly default?: ElementFactory };
    if (typeof factory !== "function") throw new ElementLoadError("refused", "it has no factory: write export default (sdk) => sdk.element({ … })");
    made = factory(elementSdk);
  } catch (cause) {
    if (cause instanceof ElementLoadError) throw cause;
    throw new ElementLoadError("refused", "its code cannot be run", { cause });
  }
  const elements = elementsFrom(made);
  if (typeof elements === "string") throw new ElementLoadError("refused", elements);
  return elements;
}
