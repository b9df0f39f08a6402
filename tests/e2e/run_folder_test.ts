/**
 * The run-time folder vanishes under a running node, as with the last session of
 * its user, or for its age: nothing ends of that, and what dies then and later is
 * recovered as ever.
 *
 * time limit: 60 s
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { Cluster, instances } from "./cluster.ts";
import type { Node } from "./node.ts";
import { armorProcesses, runningPids, signal } from "./processes.ts";
import { waitFor } from "./wait.ts";

const boundMs = 10_000;
/** Several times what a process may be silent before it is taken for hung. */
const quietMs = 6_000;

let cluster: Cluster;
let node: Node;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 1 });
  node = cluster.nodes[0]!;
  expect(await node.cli("run", "--name", "sleeper", "--", "sleep", "3600")).toMatchObject({ status: 0 });
  await program();
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

/** The node is whole and `status` says so. @returns The program's pid. */
async function program(but?: number): Promise<number> {
  return await waitFor("the node is whole", async () => {
    const status = await node.status();
    const [shown] = instances(status, "sleeper");
    const [pid] = runningPids(node.dataDir);
    const good = await node.isReady() && shown?.state === "running" && shown.pid === pid && pid !== but;
    return good && pid;
  }, boundMs, 20);
}

/** @returns The links of a node to its folders outside. */
function removeFolders(): readonly string[] {
  const folders = ["run", "api"].map((name) => readlinkSync(join(node.dataDir, name)));
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  return folders;
}

const armors = (): string[] => armorProcesses(node.dataDir).map(({ role, pid }) => `${role} ${pid}`).sort();

test("it comes back, where it was, with all that was in it; every process lives", async () => {
  const before = [armors(), await program()];
  const [run, api] = removeFolders();
  await waitFor("the folders are back", () => existsSync(join(run!, "ports/guard")) && existsSync(join(run!, "daemon.sock")) && existsSync(api!), boundMs, 20);
  await new Promise((resolve) => setTimeout(resolve, quietMs));
  expect([armors(), await program()]).toEqual(before);
  expect(await node.cli("status")).toMatchObject({ status: 0 });
  expect(readlinkSync(join(node.dataDir, "run"))).toBe(run!);
}, 40_000);

test("an execution armor that dies meanwhile is recovered, and the program after it", async () => {
  const victim = await program();
  const armor = await node.pid("execution");
  removeFolders();
  signal(armor, "SIGKILL");
  await waitFor("a new execution armor", () => node.pids("execution").find((pid) => pid !== armor), boundMs);
  expect(await program()).toBe(victim);
  signal(victim, "SIGKILL");
  expect(await program(victim)).not.toBe(victim);
  expect(await node.cli("status")).toMatchObject({ status: 0 });
}, 40_000);

test("guard and daemon that die meanwhile are recovered too", async () => {
  for (const role of ["daemon", "guard"] as const) {
    const victim = await node.pid(role);
    const running = await program();
    removeFolders();
    signal(victim, "SIGKILL");
    await waitFor(`a new ${role}`, () => node.pids(role).find((pid) => pid !== victim), boundMs);
    expect(await program()).toBe(running);
  }
}, 40_000);
