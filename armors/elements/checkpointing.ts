/**
 * Checkpointing: commit records are the microkernel's effects; this element
 * takes orders and reports about the checkpoint as a whole.
 *
 * @module
 */
import { type Element, element } from "../../core/element.ts";

/** `checkpoint.take` writes a snapshot; `checkpoint.restored` and `disk.changed` report what the host found. */
export function checkpointing(): Element {
  return element({
    name: "checkpointing",
    version: 1,
    state: {},
    handlers: {
      "checkpoint.take": (_state, thread) => thread.command({ kind: "checkpoint.snapshot", args: {} }),
      // From a daemon's host: recovery lives on the ballast, see `host/ballast.ts`.
      "disk.changed": (_state, thread) => {
        const { full, node } = thread.payload as { full: boolean; node: string };
        if (full) thread.event({ kind: "disk.full", subject: node, node });
        else thread.event({ kind: "disk.freed", subject: node, node });
      },
      "checkpoint.restored": (_state, thread) => {
        const { damage = [], complete = true } = thread.payload;
        for (const cause of damage as string[]) {
          thread.event({ kind: "checkpoint.damaged", subject: thread.self, cause, rewind: !complete });
        }
      },
    },
  });
}
