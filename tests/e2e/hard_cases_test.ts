/**
 * One of the hard cases that bench/ plays in full.
 *
 * time limit: 170 s
 */
import { join } from "node:path";
import { expect, test } from "bun:test";
import { Cluster, freePort, textOf } from "./cluster.ts";
import { cutPower, killAll, mayReboot, runWeb } from "./hard_cases.ts";
import { skipping, which } from "./programs.ts";
import { waitFor } from "./wait.ts";

const noServer = which("cc") === undefined && which("python3") === undefined;
if (noServer) skipping("servers", "cc or python3");

async function withCluster(options: { nodes: number; namespaces?: boolean }, body: (cluster: Cluster) => Promise<void>): Promise<void> {
  const cluster = await Cluster.start(options);
  try {
    await body(cluster);
  } finally {
    killAll(cluster);
    await cluster.end();
  }
}

test.skipIf(noServer)("power cut of all nodes, what was not synced is lost: everything runs again, once, and what was completed does not", async () => {
  await withCluster({ nodes: 3 }, async (cluster) => {
    const webs = [];
    for (const name of ["a", "b", "c"]) webs.push({ name, port: await freePort() });
    for (const web of webs) await runWeb(cluster, web);
    const runs = join(cluster.folder("job"), "runs");
    expect(await cluster.nodes[0]!.cli("run", "--job", "--name", "job", "--", "/bin/sh", "-c", `echo >>${runs}`)).toMatchObject({ status: 0 });
    await waitFor("the job is completed", async () => (await cluster.nodes[0]!.status()).applications.some(({ name, state }) => name === "job" && state === "completed"));
    await cutPower(cluster, webs, { loseTails: true, reboot: mayReboot });
    expect(textOf(runs)).toBe("\n");
  });
}, 90_000);
