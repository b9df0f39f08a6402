/**
 * All processes of a node killed at once, its programs too: until the
 * application answers on another node. Where the node had the FTM, a takeover
 * comes before.
 *
 * @module
 */
import { type Bearing, killNode } from "../tests/e2e/hard_cases.ts";
import { freePorts, type Measurement, note, roundsOf, type Row, withCluster } from "./harness.ts";

const rounds = roundsOf(10);

const nodes: { readonly [bearing in Bearing]: string } = {
  ftm: "the FTM's node",
  heartbeat: "the heartbeat armor's node",
  neither: "a node with neither FTM nor heartbeat armor",
};

export const measure: Measurement = () =>
  withCluster({ nodes: 3 }, async (cluster) => {
    const rows: Row[] = [];
    for (const bearing of Object.keys(nodes) as Bearing[]) {
      const values: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const [port] = (await freePorts(1)) as [number];
        values.push(await killNode(cluster, { name: `web${round}`, port }, bearing));
        note(`${nodes[bearing]}, round ${round + 1}: ${Math.round(values.at(-1)!)} ms`);
      }
      rows.push({
        what: `all processes of a node killed -9 → its application answers on another node: ${nodes[bearing]}`,
        method: "three nodes on loopback; every process of the node, the program too, gets SIGKILL; the port is asked every 2 ms; the node is started again after each round",
        target: { text: "≤ 0.5 s", max: 500, of: "max" },
        unit: "ms",
        values,
      });
    }
    return rows;
  });
