/**
 * The basic set of elements every armor contains. Source: "every armor process
 * contains a basic set of elements that provide core functionality".
 *
 * @module
 */
import type { Element } from "../../core/element.ts";
import { checkpointing } from "./checkpointing.ts";
import { heartbeatReply } from "./heartbeat_reply.ts";
import { messaging } from "./messaging.ts";
import { type ElementLibrary, reconfiguration } from "./reconfiguration.ts";
import { selfAudit } from "./self_audit.ts";

/**
 * Messaging, heartbeat reply, checkpointing, reconfiguration, self-audit.
 *
 * @param library Where elements given to the armor while it runs come from.
 */
export function basicElements(library?: ElementLibrary): Element[] {
  return [messaging(), heartbeatReply(), checkpointing(), reconfiguration(library), selfAudit()];
}
