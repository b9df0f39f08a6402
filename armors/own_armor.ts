/**
 * An armor of the user's own: the basic elements, and those it is given. Watched
 * and recovered like the armors that Armor comes with.
 *
 * @module
 */
import type { Element } from "../core/element.ts";
import { basicElements } from "./elements/basic.ts";
import type { ElementSupply } from "./elements/reconfiguration.ts";

/** The elements it begins with; those it is given come behind them. */
export function ownArmor(supply: ElementSupply): Element[] {
  return basicElements(supply);
}
