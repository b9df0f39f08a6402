/**
 * All processes of a node killed at once, its programs too: until the
 * application answers on another node.
 *
 * @module
 */
import { killNode, runWeb } from "../tests/e2e/hard_cases.ts";
import { freePorts, type Measurement, note, roundsOf, withCluster } from "./harness.ts";

const rounds = roundsOf(10);

export const measure: Measurement = () =>
  withCluster({ nodes: 3 }, async (cluster) => {
    const [port] = (await freePorts(1)) as [number];
    const web = { name: "web", port };
    await runWeb(cluster, web);
    const values: number[] = [];
    for (let round = 0; round < rounds; round++) {
      values.push(await killNode(cluster, web));
      note(`round ${round + 1}: ${Math.round(values.at(-1)!)} ms`);
    }
    return [{
      what: "all processes of a node killed -9 → its application answers on another node",
      method: "three nodes on loopback; every process of the application's node, the program too, gets SIGKILL; the port is asked every 2 ms; the node is started again after each round",
      target: { text: "≤ 0.5 s", max: 500, of: "max" },
      unit: "ms",
      values,
    }];
  });
