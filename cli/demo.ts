/**
 * `armor demo`
 *
 * @module
 */
import process from "node:process";
import { CommandError, type CommandDefinition, type CommandInput, jsonDocument, printable } from "./command.ts";
import type { Cluster, ClusterNode } from "./demo/cluster.ts";
import type { FaultResult } from "./demo/run.ts";
import type { Terminal } from "./terminal.ts";

/** Shows three nodes recovering from everything. */
export const demoCommand: CommandDefinition = {
  name: "demo",
  group: "Tools:",
  summary: "show three nodes recovering from crashes, hangs and a lost node",
  description:
    "Starts three nodes on this machine (loopback, free ports, a temporary folder), runs an HTTP server on them as an application, and breaks one thing after the other: the application, its execution armor, the fault-tolerance manager (FTM), at last a whole node. Shows who noticed, after how long, and when everything was back, as seen from outside. Takes less than 10 s, then ends and removes all it has started. Exit status 0 only if everything recovered.",
  operands: [],
  options: [
    { flags: "--keep", description: "leave it running afterwards, and say how to talk to it" },
    { flags: "--remove DIR", description: "end and remove a demonstration that was kept" },
  ],
  examples: ["armor demo", "armor demo --keep", "armor demo --json"],
  async run(input, terminal) {
    const remove = input.text("remove");
    const { removeCluster } = await import("./demo/cluster.ts");
    if (remove === undefined) return demonstrate(input, terminal);
    await removeCluster(remove);
    terminal.out(input.json ? jsonDocument({ ok: true }) : `Ended and removed the demonstration in "${printable(remove)}"\n`);
  },
};

async function demonstrate(input: CommandInput, terminal: Terminal): Promise<number> {
  const { createFolder, startCluster, removeCluster } = await import("./demo/cluster.ts");
  const { submitApplication, injectAll } = await import("./demo/run.ts");
  const { reportText } = await import("./demo/report.ts");
  const { renderTable } = await import("./table.ts");
  const startMs = performance.now();
  const progress = (text: string): void => terminal.error(`${text}\n`);
  const folder = await createFolder();
  let removal: Promise<void> | undefined;
  const remove = (): Promise<void> => (removal ??= removeCluster(folder));
  const release = onSignals((status) => {
    progress("Ending the demonstration");
    const end = (): never => process.exit(status);
    remove().then(end, end);
  });
  let kept = false;
  try {
    progress("Starting three nodes, n1, n2 and n3, on 127.0.0.1");
    const cluster = await startCluster(folder);
    progress(`  one cluster with all its armors after ${Math.round(performance.now() - startMs)} ms`);
    await submitApplication(cluster, progress);
    const { results, nodes } = await injectAll(cluster, progress);
    const ok = results.every(({ recovered }) => recovered);
    kept = input.flag("keep");
    if (!kept) await remove();
    const tookMs = Math.round(performance.now() - startMs);
    if (input.json) terminal.out(jsonDocument({ ok, tookMs, faults: results, ...(kept && { kept: keptDocument(cluster, nodes) }) }));
    else terminal.out(reportText({ ok, tookMs, results, ...(kept && { kept: { cluster, nodes } }) }, renderTable));
    return ok ? 0 : 1;
  } catch (error) {
    // After Ctrl-C everything fails, and the handler has the last word.
    if (removal !== undefined && !kept) await new Promise(() => {});
    throw error;
  } finally {
    if (!kept) await remove();
    release();
  }
}

function keptDocument({ folder, secretFile, applicationPort }: Cluster, nodes: readonly ClusterNode[]): unknown {
  return {
    folder,
    secretFile,
    application: `http://127.0.0.1:${applicationPort}/`,
    nodes: nodes.map(({ name, address, folder: dataDir }) => ({ name, address, dataDir })),
  };
}

/** @returns Stops listening. */
function onSignals(heard: (status: number) => void): () => void {
  const signals = [["SIGINT", 130], ["SIGTERM", 143], ["SIGHUP", 129]] as const;
  const listeners = signals.map(([signal, status]) => {
    const listener = (): void => heard(status);
    process.on(signal, listener);
    return () => process.off(signal, listener);
  });
  return () => {
    for (const remove of listeners) remove();
  };
}
