/**
 * Node probe: a second opinion. Before the FTM declares a node failed it asks
 * the other daemons to try that node themselves, by UDP and over their
 * connection to its daemon.
 *
 * @module
 */
import { type Element, element } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";

/** `node.probe` blocks while the host tries; writes payload field `answered`. */
export function nodeProbe(): Element {
  return element({
    name: "node_probe",
    version: 1,
    state: {},
    blocking: ["node.probe"],
    handlers: {
      "node.probe": (_state, thread) => {
        const { subject = "", address = "" } = thread.payload;
        if (!thread.completion) {
          thread.block({ kind: "node.probe", args: { node: subject, address, withinMs: timing.nodeConfirmMs }, timeoutMs: timing.nodeConfirmMs * 2 });
          return;
        }
        thread.payload["answered"] = thread.completion.ok && thread.completion.value === true;
      },
    },
  });
}
