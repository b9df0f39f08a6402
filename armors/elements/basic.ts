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
import { type ElementSupply, reconfiguration } from "./reconfiguration.ts";
import { selfAudit } from "./self_audit.ts";

/**
 * Messaging, heartbeat reply, checkpointing, reconfiguration, self-audit.
 *
 * @param supply Where elements from outside come from; absent: nowhere.
 */
export function basicElements(supply?: ElementSupply): Element[] {
  return [messaging(), heartbeatReply(), checkpointing(), reconfiguration(supply), selfAudit()];
}
