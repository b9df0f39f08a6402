/**
 * Messaging: reliable point-to-point messaging between armors is the
 * microkernel's channels; this element is where failed messages come back.
 *
 * @module
 */
import { type Element, element } from "../../core/element.ts";
import { type Failure, opFailed } from "../../core/message.ts";

/** Counts failures since the start; shown by `armor status`. */
type Volatile = { readonly failures: number; readonly last: Failure | null };

/** Subscribes to `armor.op-failed` in every armor. */
export function messaging(): Element {
  return element<Record<string, never>, Volatile>({
    name: "messaging",
    version: 1,
    state: {},
    volatile: () => ({ failures: 0, last: null }),
    handlers: {
      [opFailed]: (_state, thread) => {
        const { failures } = thread.volatile;
        thread.setVolatile({ failures: failures + 1, last: thread.payload["failure"] as Failure });
      },
      // Ids of removed armors are never used again: nothing is kept for them.
      "armor.forget": (_state, thread) => {
        for (const armor of thread.payload["forget"] as string[]) thread.forgetPeer(armor);
      },
    },
  });
}
