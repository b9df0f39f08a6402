/**
 * Self-audit: now and then every element's `check` runs over committed state, and
 * whatever has changed in place since the last time is found by its seal.
 * Corrupt committed state cannot be undone, so the armor fails fast and restarts
 * from its checkpoint.
 *
 * @module
 */
import { type Element, element, type Thread } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";
import { nextTogetherMs } from "../../core/timers.ts";

/** Asks the host to call the microkernel's audit. */
export function selfAudit(): Element {
  const later = (thread: Thread): void => thread.after("audit", nextTogetherMs(thread.nowMs, timing.selfAuditMs) - thread.nowMs, "audit.run");
  return element({
    name: "self_audit",
    version: 1,
    state: {},
    handlers: {
      "armor.started": (_state, thread) => later(thread),
      "audit.run": (_state, thread) => {
        thread.command({ kind: "audit", args: {} });
        later(thread);
      },
    },
  });
}
