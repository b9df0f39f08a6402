/**
 * Heartbeat reply: answers liveness asks. It runs through the microkernel, so a
 * hung event loop or a wedged element is seen as a hang. Touches no durable state.
 *
 * @module
 */
import { type Element, element } from "../../core/element.ts";

/** Turns `heartbeat.asked` into the host's `heartbeat.reply`. */
export function heartbeatReply(): Element {
  return element({
    name: "heartbeat_reply",
    version: 1,
    state: {},
    handlers: {
      "heartbeat.asked": (_state, thread) => {
        const { from = "", nonce = "", path = "" } = thread.payload;
        thread.command({ kind: "heartbeat.reply", args: { to: from, nonce, path } });
      },
    },
  });
}
