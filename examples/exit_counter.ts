/**
 * A worked example: an element for the execution armor that counts how often the
 * program of each instance has ended, and tells the operator at the third time.
 *
 * It subscribes to an op that another element handles already, so nothing of the
 * armor has to be changed for it. It imports types only and is made by a factory:
 * so it loads wherever the armor runs.
 *
 * @module
 */
import type { Element, element as makeElement } from "../mod.ts";

/** Instance → its newest launch that has ended, and how many have. */
type State = { readonly [instance: string]: { readonly launch: number; readonly ended: number } };

const tellAt = 3;

export default ({ element }: { readonly element: typeof makeElement }): Element =>
  element<State>({
    name: "exit_counter",
    version: 1,
    state: {},
    handlers: {
      "program.exited": (state, thread) => {
        const { id, launch } = thread.payload as { id: string; launch: number };
        const before = state[id] ?? { launch: 0, ended: 0 };
        // The host may say it again after a restart: each launch counts once.
        if (launch <= before.launch) return;
        const ended = before.ended + 1;
        if (ended === tellAt) thread.event({ kind: "application.ends-often", subject: id, ended });
        return { ...state, [id]: { launch, ended } };
      },
      // For whoever asks: the rest of the itinerary finds the answer in the payload.
      "exits.read": (state, thread) => {
        thread.payload["exits"] = state;
      },
    },
    check: (state) => Object.values(state).some(({ ended }) => ended < 1) ? "an instance that never ended is counted" : undefined,
  });
