/**
 * Self-audit: now and then every element's `check` runs over committed state, and
 * whatever has changed in place since the last time is found by its seal.
 * Corrupt committed state cannot be undone, so the armor fails fast and restarts
 * from its checkpoint.
 *
 * @module
 */
import { type Element, element } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";

/** Asks the host to call the microkernel's audit. */
export function selfAudit(): Element {
  return element({
    name: "self_audit",
    version: 1,
    state: {},
    handlers: {
      "armor.started": (_state, thread) => thread.after("audit", timing.selfAuditMs, "audit.run"),
      "audit.run": (_state, thread) => {
        thread.command({ kind: "audit", args: {} });
        thread.after("audit", timing.selfAuditMs, "audit.run");
      },
    },
  });
}
