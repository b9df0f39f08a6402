/**
 * Heartbeat armor: runs on another node than the FTM, polls it, and leads the
 * takeover when it fails.
 *
 * @module
 */
import type { Element } from "../core/element.ts";
import type { ArmorOptions } from "./armor_options.ts";
import { basicElements } from "./elements/basic.ts";
import { ftmPoll } from "./elements/ftm_poll.ts";
import { livenessPoll } from "./elements/liveness_poll.ts";
import { takeover } from "./elements/takeover.ts";

/** The elements; `node` is the node the heartbeat armor runs on. */
export function heartbeatArmor({ node, supply }: ArmorOptions): Element[] {
  return [...basicElements(supply), livenessPoll(), ftmPoll(node), takeover(node)];
}
