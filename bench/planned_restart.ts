/**
 * A node's guard and daemon ended by SIGTERM and started again: applications
 * must not notice, and nothing may move.
 *
 * @module
 */
import { type Measurement, note, pause, serve, traffic, withCluster } from "./harness.ts";

/** How long the daemon is away. */
const absencesMs = [1_000, 1_000, 25_000];

export const measure: Measurement = () =>
  withCluster({ nodes: 3 }, async (cluster) => {
    const [first] = cluster.nodes;
    const applications = await serve(cluster, first!, 3);
    const values: number[] = [];
    let [sent, answered] = [0, 0];
    for (const [index, absenceMs] of absencesMs.entries()) {
      const node = cluster.nodes[index]!;
      note(`${node.name} away for ${absenceMs / 1_000} s`);
      const running = applications.map(traffic);
      await node.endDaemon("SIGTERM");
      await pause(absenceMs);
      const startMs = performance.now();
      await node.start();
      values.push(performance.now() - startMs);
      await cluster.settled();
      for (const one of running) {
        const counts = await one.end();
        sent += counts.sent;
        answered += counts.answered;
      }
    }
    return [{
      what: "daemon ended by SIGTERM and started again within 30 s (its start until everything on the node is registered)",
      method: "three nodes on loopback, an application on each; away for 1, 1 and 25 s",
      target: { text: "applications untouched, nothing moved", max: Number.POSITIVE_INFINITY, of: "max" },
      unit: "ms",
      values,
      holds: { text: `applications answered ${answered} of ${sent} requests by the same processes`, ok: sent === answered },
    }];
  });
