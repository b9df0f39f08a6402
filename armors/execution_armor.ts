/**
 * Execution armor: launches local application processes, detects their failures,
 * and performs recovery. One on each node.
 *
 * @module
 */
import type { Element } from "../core/element.ts";
import { applicationProbe } from "./elements/application_probe.ts";
import { basicElements } from "./elements/basic.ts";
import { epochGuard } from "./elements/epoch_guard.ts";
import { instances } from "./elements/instances.ts";
import { programLook } from "./elements/program_look.ts";

/** @param node Node the execution armor runs on. */
export function executionArmor({ node }: { readonly node: string }): Element[] {
  return [...basicElements(), epochGuard(), instances(node), applicationProbe(), programLook()];
}
