/**
 * The demonstration's last words: the table, and what to try next.
 *
 * @module
 */
import { selfArgv } from "../../armors/host/child_process.ts";
import type { renderTable } from "../table.ts";
import type { Cluster, ClusterNode } from "./cluster.ts";
import { applicationName } from "./faults.ts";
import type { FaultResult } from "./run.ts";

/** What is told. */
export interface Report {
  readonly ok: boolean;
  readonly tookMs: number;
  readonly results: readonly FaultResult[];
  /** It goes on running. */
  readonly kept?: { readonly cluster: Cluster; readonly nodes: readonly ClusterNode[] };
}

const headers = ["FAULT", "TARGET", "DETECTED BY", "DETECTED", "RECOVERED", "OUTCOME"];

/** Everything for people. */
export function reportText({ ok, tookMs, results, kept }: Report, table: typeof renderTable): string {
  const rows = results.map(({ fault, target, detector, detectedAfterMs, recoveredAfterMs, outcome }) =>
    [fault, target, detector, milliseconds(detectedAfterMs), milliseconds(recoveredAfterMs), outcome]);
  const asked = results.flatMap(({ requests }) => requests ?? []);
  const sum = (key: "sent" | "answered"): number => asked.reduce((total, one) => total + one[key], 0);
  const lines = [
    "",
    table(headers, rows).trimEnd(),
    "",
    "DETECTED: from the fault to the event of the one who noticed. RECOVERED: from the fault until",
    "seen from outside: the application answers a request again, or the armor is at work again.",
    ...(asked.length > 0 ? [`While armors were broken the application answered ${sum("answered")} of ${sum("sent")} requests.`] : []),
    "",
    ok ? `Everything recovered. (${seconds(tookMs)} in all)` : `Not everything recovered. (${seconds(tookMs)} in all)`,
    ...(kept ? keptLines(kept) : [ok ? "Try it by hand: armor demo --keep leaves the nodes running." : "armor demo --keep leaves everything as it is, to look at it: events, logs and checkpoints."]),
  ];
  return `${lines.join("\n")}\n`;
}

function keptLines({ cluster, nodes }: NonNullable<Report["kept"]>): string[] {
  const armor = selfArgv().map((word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`)).join(" ");
  const lost = cluster.nodes.filter((node) => !nodes.includes(node));
  return [
    "",
    `It goes on running: ${nodes.map(({ name }) => name).join(" and ")}, with the application at http://127.0.0.1:${cluster.applicationPort}/`,
    "Look at it, then break it yourself (kill -9, kill -STOP):",
    `  export ARMOR_DATA_DIR=${nodes[0]!.folder}`,
    `  ${armor} status`,
    `  ${armor} events --follow`,
    `  ${armor} logs ${applicationName}`,
    ...lost.flatMap(({ name, argv }) => [`Bring ${name} back:`, `  ${armor} ${argv.join(" ")}`]),
    "End and remove it:",
    `  ${armor} demo --remove ${cluster.folder}`,
  ];
}

function milliseconds(value: number | null): string | null {
  return value === null ? null : `${value} ms`;
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
