/**
 * Guard watch: a daemon looks after its guard as it does after its armors. One
 * that answers nothing is ended; the host replaces what has ended.
 *
 * @module
 */
import { type Element, element } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import type { LivenessChange } from "./liveness_poll.ts";

/** @param node The daemon's node. */
export function guardWatch(node: string): Element {
  const guard = `guard@${node}`;
  return element({
    name: "guard_watch",
    version: 1,
    state: {},
    handlers: {
      "guard.watch": (_state, thread) => {
        thread.payload["targets"] = [{
          id: guard,
          address: "local",
          suspectMisses: timing.nodeSuspectMisses,
          failedMisses: timing.localMisses,
        }];
        thread.insert(op("liveness.watch"));
      },
      "liveness.changed": (_state, thread) => {
        const changes = thread.payload["changes"] as LivenessChange[];
        for (const { id, liveness } of changes) {
          if (id !== guard || liveness === "suspect") continue;
          thread.command({ kind: liveness === "failed" ? "guard.hung" : "guard.heard", args: {} });
        }
      },
      "guard.noticed": (_state, thread) => {
        const { kind = "", cause = "" } = thread.payload;
        thread.event({ kind: kind as string, subject: guard, node, cause: cause === "" ? null : cause, detectedBy: thread.self });
      },
    },
  });
}
