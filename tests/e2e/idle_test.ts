/**
 * An idle node writes nothing to disk, and its processes stay small; two nodes on
 * loopback, so that every role is there.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster, instances } from "./cluster.ts";
import { armorProcesses } from "./processes.ts";
import { waitFor } from "./wait.ts";

/** Long enough for many heartbeats, several looks at programs and a clock tick of 5 s. */
const idleMs = 8_000;

let cluster: Cluster;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 2 });
  await cluster.nodes[0]!.json("run", "--name", "idle", "--instances", "2", "--", "sleep", "1000");
  await waitFor("they run", async () => instances(await cluster.nodes[0]!.status(), "idle").every(({ pid }) => pid !== null));
  await cluster.settled();
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

/** Size and time of every file below a folder, and what is a file there. */
function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" }).sort().map((name) => {
    const { size, mtimeMs, ino } = lstatSync(join(folder, name));
    return `${name} ${ino} ${size} ${mtimeMs}`;
  });
}

/** Bytes each process has caused to be written to disks. */
function written(dataDir: string): string[] {
  return armorProcesses(dataDir).map(({ role, pid }) =>
    `${role} ${pid}: ${/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, "utf8"))?.[1]}`
  ).sort();
}

test("an idle node writes nothing to disk", async () => {
  const seen = (): unknown => cluster.nodes.map(({ dataDir }) => ({ written: written(dataDir), files: filesBelow(dataDir) }));
  // The last events and reports of the start are on their way; an armor's record of its early life goes when that is over.
  const isEarly = (): boolean => cluster.nodes.some(({ dataDir }) => filesBelow(dataDir).some((line) => /^armors\/[^/]+\/hand /.test(line)));
  let before = JSON.stringify(seen());
  let quietMs = performance.now();
  await waitFor("the start is over", () => {
    const now = JSON.stringify(seen());
    if (now !== before || isEarly()) quietMs = performance.now();
    before = now;
    return performance.now() - quietMs > 1_000;
  }, 20_000, 100);
  const start = seen();
  await new Promise((resolve) => setTimeout(resolve, idleMs));
  expect(seen()).toEqual(start);
  expect((await cluster.settled()).applications[0]!.state).toBe("running");
}, 60_000);

test("processes stay small", () => {
  for (const { name, dataDir } of cluster.nodes) {
    for (const { role, pid } of armorProcesses(dataDir)) {
      const bytes = 1_024 * Number(/^Pss:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1]);
      console.log(`measured PSS of ${role} on ${name}: ${(bytes / 2 ** 20).toFixed(1)} MiB`);
      expect(bytes).toBeLessThan(60 * 2 ** 20);
    }
  }
});
