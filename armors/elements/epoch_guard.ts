/**
 * Epoch guard: orders carry the FTM's epoch; an older one than was ever seen
 * here is refused. The first op of every order.
 *
 * @module
 */
import { type Element, element } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { compareEpochs, type Epoch, epochZero } from "../../core/generation.ts";

type State = { readonly epoch: Epoch };

/** For armors that obey the FTM and make no promises of their own. */
export function epochGuard(): Element {
  return element<State>({
    name: "epoch_guard",
    version: 1,
    state: { epoch: epochZero },
    handlers: {
      "epoch.guard": (state, thread) => {
        const epoch = thread.payload["epoch"] as Epoch;
        const order = compareEpochs(epoch, state.epoch);
        if (order < 0) throw new OperationError("stale-epoch", `orders of epoch ${epoch.number} are refused: ${state.epoch.number} was seen`);
        return order > 0 ? { epoch } : state;
      },
    },
  });
}
