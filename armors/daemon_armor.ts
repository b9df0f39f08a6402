/**
 * Daemon: one on each node. Gateway for armor-to-armor communication; detects
 * failures of local armors; keeps promises and a copy of the application table.
 *
 * @module
 */
import type { Element } from "../core/element.ts";
import { basicElements } from "./elements/basic.ts";
import { epochPromise } from "./elements/epoch_promise.ts";
import { eventLog } from "./elements/event_log.ts";
import { ftmWatch } from "./elements/ftm_watch.ts";
import { gateway } from "./elements/gateway.ts";
import { guardWatch } from "./elements/guard_watch.ts";
import { initialConfiguration } from "./elements/initial_configuration.ts";
import { livenessPoll } from "./elements/liveness_poll.ts";
import { localArmors } from "./elements/local_armors.ts";
import { membership } from "./elements/membership.ts";
import { nodeProbe } from "./elements/node_probe.ts";
import { operator } from "./elements/operator.ts";
import type { ElementSupply } from "./elements/reconfiguration.ts";
import { tableReplica } from "./elements/table_replica.ts";
import { takeover } from "./elements/takeover.ts";

/** What a daemon is. */
export type DaemonOptions = {
  readonly id: string;
  readonly name: string;
  /** HOST:PORT under which other nodes reach it. */
  readonly address: string;
  readonly boot: string;
  /** It starts a cluster of its own. */
  readonly bootstrap: boolean;
  /** It takes elements by message. Default: no. */
  readonly allowElements?: boolean;
  readonly supply?: ElementSupply;
};

/** The elements of a daemon. */
export function daemonArmor({ id, name, address, boot, bootstrap, allowElements = false, supply }: DaemonOptions): Element[] {
  return [
    ...basicElements(supply),
    livenessPoll(),
    epochPromise(id),
    tableReplica(),
    localArmors(id, allowElements),
    ftmWatch({ id, name, address }, bootstrap),
    takeover(id),
    membership({ id, name, address, draining: false, left: false }),
    gateway(),
    guardWatch(id),
    nodeProbe(),
    operator(id),
    initialConfiguration(),
    eventLog(id, boot),
  ];
}
