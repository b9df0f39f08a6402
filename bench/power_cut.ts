/**
 * Power cut of all nodes: everything ends at once, and starts again; with
 * everything on disk, and with the ends of unsynced files gone.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cutPower, killAll, mayReboot, runWeb } from "../tests/e2e/hard_cases.ts";
import { waitFor } from "../tests/e2e/wait.ts";
import { freePorts, type Measurement, note, roundsOf, type Row, withCluster } from "./harness.ts";

const rounds = roundsOf(20);
const servers = 6;

async function measureWith(loseTails: boolean): Promise<Row> {
  return await withCluster({ nodes: 3 }, async (cluster) => {
    try {
      const ports = await freePorts(servers);
      const webs = ports.map((port, index) => ({ name: `web${index}`, port }));
      for (const web of webs) await runWeb(cluster, web);
      const count = join(cluster.folder("job"), "runs");
      const file = join(cluster.folder("job"), "job.toml");
      writeFileSync(file, `name = "job"\nkind = "job"\ncommand = "/bin/sh"\nargs = ["-c", "echo >> ${count}"]\n`);
      await cluster.nodes[0]!.cli("submit", file);
      await waitFor("the job is completed", async () => (await cluster.nodes[0]!.status()).applications.some(({ name, state }) => name === "job" && state === "completed"));
      const values: number[] = [];
      for (let round = 0; round < rounds; round++) {
        values.push(await cutPower(cluster, webs, { loseTails, reboot: mayReboot }));
        note(`round ${round + 1}: ${Math.round(values.at(-1)!)} ms`);
      }
      const jobRuns = readFileSync(count, "utf8").length;
      return {
        what: `power cut of all three nodes${loseTails ? ", unsynced ends of files lost" : ""} → everything wanted runs again`,
        method: `three nodes on loopback with ${servers} servers and a completed job; SIGKILL of everything${mayReboot ? ", another boot id" : ""}${loseTails ? "; checkpoints of class `process`, launch records and events are cut at random" : ""}; until all answer and the cluster is whole`,
        target: { text: "≤ 10 s", max: 10_000, of: "max" },
        unit: "ms",
        values,
        holds: { text: `every server once; the completed job ran ${jobRuns} time`, ok: jobRuns === 1 },
      };
    } finally {
      killAll(cluster);
    }
  });
}

export const measure: Measurement = async () => [await measureWith(false), await measureWith(true)];
