/**
 * Looking around: a peer that is silent where it is registered may have moved
 * together with this node, as after a change of the network; the operator's list
 * of addresses says where to.
 *
 * @module
 */
import type { NodeRegistration } from "../shapes.ts";
import type { DaemonMachine } from "./daemon_machine.ts";
import { nearNodes, type Peers } from "./peers.ts";

/** What looking around needs of its daemon. */
export interface LookOptions {
  readonly machine: DaemonMachine;
  /** This node's id. */
  readonly self: string;
  readonly peers: Peers;
  /** Addresses of others, from `--join`. */
  readonly addresses: readonly string[];
  readonly cluster: () => string;
  /** The other nodes of the cluster. */
  readonly others: () => readonly NodeRegistration[];
  /** A node answers at another address. */
  readonly sighted: (node: string, address: string) => void;
}

const lookEveryMs = 2_000;

/** Look for as long as the daemon runs. */
export async function lookAround({ machine, self, peers, addresses, cluster, others, sighted }: LookOptions): Promise<void> {
  let tried: ReadonlySet<string> = new Set();
  for (; addresses.length > 0; await machine.pause(lookEveryMs)) {
    const members = others().filter((node) => !node.left);
    const near = new Set(nearNodes(members.map((node) => node.id), self));
    const silent = members.filter((node) => near.has(node.id) && !peers.isHeard(node.id, Infinity));
    const lost = silent.filter((node) => tried.has(node.id));
    // Perhaps there was nothing to say to it so far.
    for (const node of silent) peers.ping(node.id);
    tried = new Set(silent.map((node) => node.id));
    if (lost.length === 0) continue;
    const answers = await Promise.all(addresses.map((at) => machine.ask(at).then((found) => ({ at, found }), () => ({ at, found: undefined }))));
    for (const { at, found } of answers) {
      const node = found?.cluster === cluster() ? lost.find((one) => one.id === found.node) : undefined;
      if (!node || node.address === at) continue;
      peers.setAddress(node.id, at);
      peers.ping(node.id);
      sighted(node.id, at);
    }
  }
}
