/**
 * Heartbeat reply: answers liveness asks. It runs through the microkernel, so a
 * hung event loop or a wedged element is seen as a hang. What a reply offers as the
 * nonce of the next ask makes that an answer too: who is also asked by the asker
 * need not be asked back. Touches no durable state.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
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
        const next: DataRecord = String(from).startsWith("guard@") ? { next: thread.random.bytes(16).toHex() } : {};
        Object.assign(thread.payload, next);
        thread.command({ kind: "heartbeat.reply", args: { to: from, nonce, path, ...next } });
      },
    },
  });
}
