/**
 * False alarms on a starved machine: nothing is wrong but that there is too
 * little processor time for everybody.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { cpus } from "node:os";
import { type Measurement, note, pause, type Row, serve, withCluster } from "./harness.ts";

const seconds = 60;
/** Busy loops for each processor. */
const loopsEach = 4;
/** Events that accuse somebody. */
const alarms = /^(armor\.(hung|crashed)|guard\.(hung|crashed)|node\.(suspected|failed)|application\.(hung|exited|moved)|ftm\.takeover)$/;

export const measure: Measurement = async () =>
  await withCluster({ nodes: 3 }, async (cluster) => {
    await serve(cluster, cluster.nodes[0]!, 3);
    await cluster.settled();
    await pause(2_000);
    const before = (await cluster.nodes[0]!.events()).at(-1)?.seq ?? 0;
    const count = loopsEach * cpus().length;
    note(`${count} busy loops for ${seconds} s`);
    const loops: ChildProcess[] = Array.from({ length: count }, () => spawn("timeout", [String(seconds + 10), "sh", "-c", "while :; do :; done"], { stdio: "ignore" }));
    try {
      await pause(seconds * 1_000);
    } finally {
      for (const loop of loops) loop.kill("SIGTERM");
    }
    await cluster.settled(cluster.nodes, 60_000);
    const raised = (await cluster.nodes[0]!.events()).filter(({ seq, kind }) => seq > before && alarms.test(kind));
    const kinds = [...new Set(raised.map(({ kind }) => kind))].join(", ");
    const row: Row = {
      what: `${loopsEach} busy loops for each processor: false alarms`,
      method: `three nodes on one machine, three applications, ${seconds} s; events that accuse a node, an armor or a program${kinds === "" ? "" : `: ${kinds}`}`,
      target: { text: "none", max: 0, of: "max" },
      unit: "in a minute",
      values: [(raised.length * 60) / seconds],
    };
    return [row];
  });
