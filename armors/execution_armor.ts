/**
 * Execution armor: launches local application processes, detects their failures,
 * and performs recovery. One on each node.
 *
 * @module
 */
import type { Element } from "../core/element.ts";
import { applicationProbe } from "./elements/application_probe.ts";
import type { ArmorOptions } from "./armor_options.ts";
import { basicElements } from "./elements/basic.ts";
import { epochGuard } from "./elements/epoch_guard.ts";
import { instances } from "./elements/instances.ts";
import { pairWatch } from "./elements/pair_watch.ts";
import { programLook } from "./elements/program_look.ts";

/** The elements; `node` is the node the execution armor runs on. */
export function executionArmor({ node, supply }: ArmorOptions): Element[] {
  return [...basicElements(supply), epochGuard(), instances(node), applicationProbe(), programLook(), pairWatch(node)];
}
