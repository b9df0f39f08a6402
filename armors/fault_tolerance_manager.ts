/**
 * Fault-tolerance manager (FTM): initial configuration, registration of all
 * armors and applications, recovery from armor and node failures.
 *
 * @module
 */
import type { Element } from "../core/element.ts";
import type { ArmorOptions } from "./armor_options.ts";
import { admission } from "./elements/admission.ts";
import { applicationTable } from "./elements/application_table.ts";
import { basicElements } from "./elements/basic.ts";
import { eventNumbering } from "./elements/event_numbering.ts";
import { livenessPoll } from "./elements/liveness_poll.ts";
import { nodeConfirmation } from "./elements/node_confirmation.ts";
import { ownArmorTable } from "./elements/own_armors.ts";
import { placement } from "./elements/placement.ts";
import { recovery } from "./elements/recovery.ts";
import { registration } from "./elements/registration.ts";
import { view } from "./elements/view.ts";

/** The elements; `node` is the node the FTM runs on. */
export function faultToleranceManager({ node, supply }: ArmorOptions): Element[] {
  return [
    ...basicElements(supply),
    applicationTable(node),
    registration(node),
    livenessPoll(),
    nodeConfirmation(node),
    recovery(node),
    placement(),
    admission(),
    ownArmorTable(),
    eventNumbering(),
    view(),
  ];
}
