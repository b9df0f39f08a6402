/**
 * Every core kept busy: nobody may be accused of a failure that is none.
 * ARMOR_BENCH_MINUTES sets for how long; default 10.
 *
 * @module
 */
import process from "node:process";
import { keepBusy } from "../tests/e2e/hard_cases.ts";
import { type Measurement, note, serve, withCluster } from "./harness.ts";

const spinners = 8;
const minutes = Number(process.env["ARMOR_BENCH_MINUTES"] ?? 10);

export const measure: Measurement = () =>
  withCluster({ nodes: 3 }, async (cluster) => {
    const applications = await serve(cluster, cluster.nodes[0]!, 3);
    const alarms = await keepBusy(cluster, spinners, minutes * 60_000, note);
    for (const { kind, subject, at } of alarms) note(`false alarm: ${at} ${kind} ${subject}`);
    // A node may be suspected: nothing follows from it.
    const restarts = alarms.filter(({ kind }) => kind !== "node.suspected");
    return [{
      what: `every core busy with ${spinners} spinning processes for ${minutes} min: false failures`,
      method: `three nodes on loopback with ${applications.length} applications; events of failures and restarts are counted`,
      target: { text: "none", max: 0, of: "max" },
      unit: "",
      values: [restarts.length],
      holds: { text: `${alarms.length - restarts.length} short suspicions`, ok: restarts.length === 0 },
    }];
  });
