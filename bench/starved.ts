/**
 * False alarms on a starved machine: nothing is wrong but that there is too
 * little processor time for everybody.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { cpus } from "node:os";
import { type Cluster, type Measurement, note, pause, type Row, serve, withCluster } from "./harness.ts";

const seconds = 60;
/** Busy loops for each processor. */
const loopsEach = 4;
/** Events that accuse somebody. */
const alarms = /^(armor\.(hung|crashed|woken|failed)|guard\.(hung|crashed)|node\.(suspected|failed)|application\.(hung|exited|moved)|ftm\.takeover)$/;
/** The machine has caught up by then. */
const settledWithinMs = 60_000;

export const measure: Measurement = async () =>
  await withCluster({ nodes: 3 }, async (cluster) => {
    await serve(cluster, cluster.nodes[0]!, 3);
    await cluster.settled();
    await pause(2_000);
    const before = await lastSeq(cluster);
    const count = loopsEach * cpus().length;
    note(`${count} busy loops for ${seconds} s`);
    const loops: ChildProcess[] = Array.from({ length: count }, () => spawn("timeout", [String(seconds), "sh", "-c", "while :; do :; done"], { stdio: "ignore", detached: true }));
    await Promise.all(loops.map((loop) => new Promise((ended) => loop.on("close", ended))));
    await cluster.settled(cluster.nodes, settledWithinMs);
    const raised = (await cluster.nodes[0]!.events()).filter(({ seq, kind }) => seq > before && alarms.test(kind));
    const kinds = new Map<string, number>();
    for (const { kind } of raised) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    const told = [...kinds].map(([kind, times]) => `${times} × ${kind}`).join(", ");
    const row: Row = {
      what: `${loopsEach} busy loops for each processor: false alarms`,
      method: `three nodes on one machine, three applications, ${seconds} s; events that accuse a node, an armor or a program${told === "" ? "" : `: ${told}`}`,
      target: { text: "none", max: 0, of: "max" },
      unit: "in a minute",
      values: [(raised.length * 60) / seconds],
    };
    return [row];
  });

async function lastSeq(cluster: Cluster): Promise<number> {
  return (await cluster.nodes[0]!.events()).at(-1)?.seq ?? 0;
}
