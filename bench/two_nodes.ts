/**
 * Two nodes: the one that has FTM and application is cut off and healed, again
 * and again, from one side to the other.
 *
 * @module
 */
import { cutWithFtm, runWeb } from "../tests/e2e/hard_cases.ts";
import { missingForNamespaces } from "../tests/e2e/network.ts";
import { type Measurement, Missing, note, roundsOf, withCluster } from "./harness.ts";

const rounds = roundsOf(20);

export const measure: Measurement = async () => {
  const missing = missingForNamespaces();
  if (missing !== undefined) throw new Missing(missing);
  return await withCluster({ nodes: 2, namespaces: true }, async (cluster) => {
    const web = { name: "web", port: 8_080 };
    const { ftm } = await cluster.settled();
    await runWeb(cluster, web, "--node", ftm!.node);
    const values: number[] = [];
    const cuts: string[] = [];
    for (let round = 0; round < rounds; round++) {
      const { tookMs, cut } = await cutWithFtm(cluster, web);
      values.push(tookMs);
      cuts.push(cut);
      note(`round ${round + 1}: ${cut} cut, ${Math.round(tookMs)} ms`);
    }
    const alternating = cuts.every((cut, index) => cut !== cuts[index - 1]);
    return [{
      what: "two nodes, the one with FTM and application cut → the application answers on the other",
      method: "two hosts in network namespaces; the bridge's port of the host is set down, later up again; a client on the bridge asks every 2 ms",
      target: { text: "≤ 5 s", max: 5_000, of: "max" },
      unit: "ms",
      values,
      holds: { text: `after each round one FTM and one copy, as stated${alternating ? "; the sides alternated" : ""}`, ok: true },
    }];
  });
};
