/**
 * Fault-tolerance manager (FTM): initial configuration, registration of all
 * armors and applications, recovery from armor and node failures.
 *
 * @module
 */
import type { Element } from "../core/element.ts";
import { admission } from "./elements/admission.ts";
import { applicationTable } from "./elements/application_table.ts";
import { basicElements } from "./elements/basic.ts";
import { eventNumbering } from "./elements/event_numbering.ts";
import { livenessPoll } from "./elements/liveness_poll.ts";
import { nodeConfirmation } from "./elements/node_confirmation.ts";
import { placement } from "./elements/placement.ts";
import { recovery } from "./elements/recovery.ts";
import { registration } from "./elements/registration.ts";
import { view } from "./elements/view.ts";

/** @param node Node the FTM runs on. */
export function faultToleranceManager({ node }: { readonly node: string }): Element[] {
  return [
    ...basicElements(),
    applicationTable(node),
    registration(node),
    livenessPoll(),
    nodeConfirmation(),
    recovery(node),
    placement(),
    admission(),
    eventNumbering(),
    view(),
  ];
}
