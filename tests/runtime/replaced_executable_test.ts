/**
 * The executable is replaced while a node runs, as a package manager does: every
 * part of the node is still recovered, by the version that runs.
 *
 * time limit: 60 s
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { copyFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster } from "../e2e/cluster.ts";
import { Node } from "../e2e/node.ts";
import { isLiving, type ProcessRole, signal } from "../e2e/processes.ts";
import { waitFor } from "../e2e/wait.ts";

let cluster: Cluster;
let node: Node;
let binary: string;

beforeAll(async () => {
  cluster = await Cluster.make({ nodes: 1 });
  binary = join(cluster.folder("bin"), "armor");
  copyFileSync(cluster.place.binary, binary);
  const [{ number, address }] = cluster.nodes as [Node];
  node = new Node({ ...cluster.place, binary }, number, address);
  await node.start();
}, 40_000);

afterAll(async () => await cluster?.end(), 30_000);

test("every process is started again after the executable has been replaced", async () => {
  writeFileSync(`${binary}.new`, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
  renameSync(`${binary}.new`, binary);
  for (const role of ["execution", "ftm", "daemon", "guard"] satisfies ProcessRole[]) {
    const before = await node.pid(role);
    signal(before, "SIGKILL");
    await waitFor(`the ${role} is gone`, () => !isLiving(before));
    await waitFor(`the ${role} is back`, async () => node.pids(role).length === 1 && (await node.isReady()), 15_000);
  }
}, 50_000);
