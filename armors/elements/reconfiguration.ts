/**
 * Reconfiguration: what this armor is made of. The daemon sends
 * `armor.configure` after each registration; its commit is the first after a
 * restart and shows that the armor works.
 *
 * @module
 */
import { type Element, element } from "../../core/element.ts";
import type { Incarnation } from "../shapes.ts";

type State = { readonly incarnation: Incarnation };

/** Keeps the incarnation under which the armor was last registered. */
export function reconfiguration(): Element {
  return element<State>({
    name: "reconfiguration",
    version: 1,
    state: { incarnation: { placement: 0, restart: 0 } },
    handlers: {
      "armor.configure": (state, thread) => ({ ...state, incarnation: thread.payload["incarnation"] as Incarnation }),
    },
  });
}
