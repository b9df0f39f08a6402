/**
 * Program look: can this node launch that program? Asked before an application
 * is accepted; the disk is looked at outside the microkernel.
 *
 * @module
 */
import { type Element, element } from "../../core/element.ts";

/** `program.look` blocks on the disk; writes payload field `reason`, empty if it can. */
export function programLook(): Element {
  return element({
    name: "program_look",
    version: 1,
    state: {},
    blocking: ["program.look"],
    handlers: {
      "program.look": (_state, thread) => {
        if (!thread.completion) {
          thread.block({ kind: "program.look", args: thread.payload["application"]!, timeoutMs: 2_000 });
          return;
        }
        thread.payload["reason"] = thread.completion.ok ? thread.completion.value : thread.completion.error;
        delete thread.payload["application"];
      },
    },
  });
}
