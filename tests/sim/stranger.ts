/**
 * A stranger: somebody in the network who has no secret, or is of another
 * cluster that has the same one. Rule 5 of the safety list: nothing of what it
 * says is heard, and it is not let in.
 *
 * @module
 */
import { greetingHeaders } from "../../armors/host/peer_admission.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";
import type { SimCluster } from "./sim_cluster.ts";

const otherCluster = "anothercluster";
const tries = 8;

/**
 * Dial a node with the greeting of another cluster, and send its ports heartbeats
 * that are signed with no key of this one.
 *
 * @param process The stranger's, on any machine.
 */
export function comeAsStranger(cluster: SimCluster, process: SimProcess, node: SimNode): void {
  const { network, plan } = cluster;
  const ids = cluster.nodes.flatMap(({ id }) => [`guard@${id}`, `daemon@${id}`]);
  const anyId = (): string => ["ftm", "heartbeat", ...ids][plan.below(ids.length + 2)]!;
  for (let left = tries; left > 0; left--) {
    const header = { cluster: node.identity?.cluster || otherCluster, from: anyId(), to: anyId(), nonce: plan.bytes(16) };
    const beat = plan.below(2) === 0 ? ({ type: "ask", ...header } as const) : ({ type: "reply", ...header, progress: 1, turnAgeMs: 0, epoch: 1, detail: "" } as const);
    node.ports.forge(node, beat, plan.bytes(32));
  }
  const { cluster: own = "" } = node.identity ?? {};
  // It may know a member's id and address; what it cannot have is this cluster's identity and the secret.
  const claimed = cluster.nodes[plan.below(cluster.nodes.length)]!;
  const headers = greetingHeaders({ cluster: otherCluster, node: claimed.id, address: claimed.address, nodes: 1, target: node.id });
  network.connect(process, node.name, node.address, headers, {
    onOpen: () => node.watch.broken("strangers", `${node.name} of cluster ${own} lets somebody in from ${otherCluster} who calls itself ${claimed.name}`),
    onFrames: () => {},
    onClose: () => {},
  });
}
