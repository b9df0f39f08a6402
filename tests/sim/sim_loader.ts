/**
 * Elements as armors get them in the simulation: watched by the checkers.
 *
 * @module
 */
import type { Element } from "../../core/element.ts";
import { ElementLoader } from "../../armors/host/element_loader.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";

/** One process's loader. */
export class SimLoader extends ElementLoader {
  constructor(readonly node: SimNode, readonly process: SimProcess) {
    super();
  }

  override async compose(...parts: Parameters<ElementLoader["compose"]>): Promise<readonly Element[]> {
    const elements = this.node.watch.elements(this.process, await super.compose(...parts));
    return await this.process.later(0, () => elements);
  }
}
