/**
 * Elements as armors get them in the simulation: watched by the checkers.
 *
 * @module
 */
import type { Element } from "../../core/element.ts";
import { ElementLoader, ElementLoadError, hashOf } from "../../armors/host/element_loader.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";

const sources = new Map<string, readonly Element[]>();

/** Know what a source makes, by its hash: importing it would take time that is not simulated. */
export function addSource(hash: string, elements: readonly Element[]): void {
  sources.set(hash, elements);
}

/** One process's loader. */
export class SimLoader extends ElementLoader {
  readonly #loaded = new Map<string, readonly Element[]>();

  constructor(readonly node: SimNode, readonly process: SimProcess) {
    super();
  }

  override readonly library = (hash: string): readonly Element[] | undefined => this.#loaded.get(hash);

  override async load(source: string): Promise<{ readonly hash: string; readonly elements: readonly Element[] }> {
    const hash = hashOf(source);
    const elements = sources.get(hash);
    if (!elements) throw new ElementLoadError("refused", "it is no source of the simulation");
    this.#loaded.set(hash, this.node.watch.elements(this.process, elements));
    return await this.process.later(1 + this.node.random.below(5), () => ({ hash, elements }));
  }

  override async compose(...parts: Parameters<ElementLoader["compose"]>): Promise<readonly Element[]> {
    const elements = this.node.watch.elements(this.process, await super.compose(...parts));
    return await this.process.later(0, () => elements);
  }
}
