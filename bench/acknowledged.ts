/**
 * A submission is acknowledged, and the FTM's node is cut off at that moment.
 *
 * @module
 */
import { acknowledgeAndCut, expectKnown } from "../tests/e2e/hard_cases.ts";
import { missingForNamespaces } from "../tests/e2e/network.ts";
import { type Measurement, Missing, note, roundsOf, type Row, withCluster } from "./harness.ts";

const rounds = roundsOf(100);
/** What has been seen to be kept is removed, or the nodes would be full of it. */
const keptMax = 10;

async function measureOn(nodes: number): Promise<Row> {
  return await withCluster({ nodes, namespaces: true }, async (cluster) => {
    const values: number[] = [];
    const kept: string[] = [];
    const lost: string[] = [];
    for (let round = 0; round < rounds; round++) {
      const { name, cutAfterMs } = await acknowledgeAndCut(cluster, `app${round}`, round % 2 === 0 ? "ftm" : "other");
      values.push(cutAfterMs);
      kept.push(name);
      for (const node of cluster.nodes) await expectKnown(node, kept).catch((error) => lost.push((error as Error).message));
      if (lost.length > 0) throw new Error(`round ${round + 1}: ${lost.join("; ")}\n${cluster.diagnosis()}`);
      if (kept.length > keptMax) await cluster.nodes[0]!.cli("remove", kept.shift()!);
      if (round % 10 === 9) note(`${nodes} nodes: ${round + 1} rounds, nothing lost`);
    }
    return {
      what: `submission acknowledged, the FTM's node cut at once, ${nodes} nodes`,
      method: "the answer of the daemon (in turn the FTM's own and another) to `POST /v1/operations`, then the bridge's port of the FTM's host is set down; the figure is the time between",
      target: { text: "cut ≤ 10 ms, none lost", max: 10, of: "max" },
      unit: "ms",
      values,
      holds: { text: `${values.length} of ${rounds} kept, on the other side and after healing`, ok: lost.length === 0 },
    };
  });
}

export const measure: Measurement = async () => {
  const missing = missingForNamespaces();
  if (missing !== undefined) throw new Missing(missing);
  return [await measureOn(2), await measureOn(3)];
};
