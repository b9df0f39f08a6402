/**
 * A submission is acknowledged, and the FTM's node is cut off at that moment.
 * ARMOR_BENCH_NODES=2 or 3 measures only such clusters.
 *
 * @module
 */
import process from "node:process";
import { acknowledgeAndCut, expectKnown } from "../tests/e2e/hard_cases.ts";
import { missingForNamespaces } from "../tests/e2e/network.ts";
import { type Measurement, Missing, note, roundsOf, type Row, withCluster } from "./harness.ts";

const rounds = roundsOf(100);
/** A later cut says nothing, and does not count. */
const cutWithinMs = 10;
/** What has been seen to be kept is removed, or the nodes would be full of it. */
const keptMax = 10;

async function measureOn(nodes: number): Promise<Row> {
  return await withCluster({ nodes, namespaces: true }, async (cluster) => {
    const values: number[] = [];
    const kept: string[] = [];
    const lost: string[] = [];
    let played = 0;
    for (; values.length < rounds && played < 2 * rounds; played++) {
      const { name, cutAfterMs } = await acknowledgeAndCut(cluster, `app${played}`, played % 2 === 0 ? "ftm" : "other");
      if (cutAfterMs <= cutWithinMs) values.push(cutAfterMs);
      kept.push(name);
      for (const node of cluster.nodes) await expectKnown(node, kept).catch((error) => lost.push((error as Error).message));
      if (lost.length > 0) throw new Error(`round ${played + 1}: ${lost.join("; ")}\n${cluster.diagnosis()}`);
      if (kept.length > keptMax) await cluster.nodes[0]!.cli("remove", kept.shift()!);
      note(`${nodes} nodes, round ${played + 1}: cut after ${cutAfterMs.toFixed(2)} ms, nothing lost`);
    }
    return {
      what: `submission acknowledged, the FTM's node cut within ${cutWithinMs} ms, ${nodes} nodes`,
      method: "the answer of the daemon (in turn the FTM's own and another) to `POST /v1/operations`, then the bridge's port of the FTM's host is set down; the figure is the time between; later cuts do not count",
      target: { text: `${rounds} rounds, none lost`, max: cutWithinMs, of: "max" },
      unit: "ms",
      values,
      holds: { text: `${values.length} of ${played} rounds count; all ${played} submissions kept, on the other side and after healing`, ok: values.length === rounds },
    };
  });
}

export const measure: Measurement = async () => {
  const missing = missingForNamespaces();
  if (missing !== undefined) throw new Missing(missing);
  const only = process.env["ARMOR_BENCH_NODES"];
  const rows: Row[] = [];
  for (const nodes of [2, 3]) if (only === undefined || only === String(nodes)) rows.push(await measureOn(nodes));
  return rows;
};
