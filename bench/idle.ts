/**
 * An idle node: what it writes, what it computes, and how much memory each of its
 * four processes takes.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { armorProcesses } from "../tests/e2e/processes.ts";
import { type Measurement, note, pause, type Row, serve, withCluster } from "./harness.ts";

const idleMs = 15_000;
const ticksPerSecond = 100;

export const measure: Measurement = () =>
  withCluster({ nodes: 1 }, async (cluster): Promise<Row[]> => {
    const node = cluster.nodes[0]!;
    const processes = armorProcesses(node.dataDir).filter(({ role }) => role !== "shim");
    await pause(12_000); // past the first self-audit
    const rows: Row[] = [];
    for (const running of [0, 1]) {
      if (running === 1) {
        await serve(cluster, node, 1);
        await pause(12_000);
      }
      const label = running === 0 ? "no application" : "one application running";
      note(`idle for ${idleMs / 1_000} s, ${label}`);
      const [files, before] = [contents(node.dataDir), processes.map(({ pid }) => usage(pid))];
      await pause(idleMs);
      const after = processes.map(({ pid }) => usage(pid));
      const changed = difference(files, contents(node.dataDir));
      const written = processes.map((_, index) => after[index]!.writtenBytes - before[index]!.writtenBytes);
      rows.push({
        what: `idle node, ${label}: bytes written to disk in ${idleMs / 1_000} s`,
        method: "guard, daemon, execution armor, FTM; sum of write_bytes in /proc/PID/io; every file of the data dir compared by content and time",
        target: { text: "nothing", max: 0, of: "max" },
        unit: "bytes",
        values: [written.reduce((sum, one) => sum + one, 0)],
        holds: { text: changed.length === 0 ? "no file changed" : `changed: ${changed.join(", ")}`, ok: changed.length === 0 },
      });
      for (const [index, { role }] of processes.entries()) {
        if (running === 0) continue;
        rows.push({
          what: `${role}: processor time while idle`,
          method: "utime + stime of /proc/PID/stat",
          unit: "ms/s",
          values: [((after[index]!.ticks - before[index]!.ticks) * 1_000) / ticksPerSecond / (idleMs / 1_000)],
        });
      }
    }
    for (const { role, pid } of processes) {
      rows.push({
        what: `${role}: PSS with four processes on the node`,
        method: "Pss of /proc/PID/smaps_rollup after 40 s",
        target: { text: "≤ 25 MiB", max: 25, of: "max" },
        unit: "MiB",
        values: [pss(pid)],
        peers: "Bun with an HTTP/2 server 16.6 each when four share the executable; etcd 22.5, Erlang 27.6, PM2 61.4 MiB",
      });
    }
    return rows;
  });

function pss(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "latin1"))?.[1]) / 1_024;
}

function usage(pid: number): { readonly writtenBytes: number; readonly ticks: number } {
  const io = readFileSync(`/proc/${pid}/io`, "latin1");
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ");
  return { writtenBytes: Number(/^write_bytes: (\d+)/m.exec(io)?.[1]), ticks: Number(fields[11]) + Number(fields[12]) };
}

/** Content and time of every file. */
function contents(folder: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { mtimeMs, size } = statSync(path);
    found.set(path.slice(folder.length + 1), `${mtimeMs} ${size} ${createHash("sha256").update(readFileSync(path)).digest("hex")}`);
  }
  return found;
}

function difference(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [...new Set([...before.keys(), ...after.keys()])].filter((path) => before.get(path) !== after.get(path));
}
