/**
 * A node whose disk is full, on a small file system of its own.
 *
 * time limit: 90 s
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { dataDir } from "../../armors/host/data_dir.ts";
import { limits } from "../../core/limits.ts";
import { Cluster, instances } from "./cluster.ts";
import type { Node } from "./node.ts";
import { isLiving, signal } from "./processes.ts";
import { waitFor } from "./wait.ts";

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("skipped: needs root to mount a small file system");

let cluster: Cluster;
let node: Node;

beforeAll(async () => {
  if (!isRoot) return;
  cluster = await Cluster.make({ nodes: 1 });
  [node] = cluster.nodes as [Node];
  mkdirSync(node.dataDir, { recursive: true });
  expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", node.dataDir]).status).toBe(0);
  await node.start();
  expect(await node.cli("run", "--name", "sleeper", "--", "sleep", "1000")).toMatchObject({ status: 0 });
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

const program = async (): Promise<number> => await waitFor("the program runs", async () => {
  const status = await cluster.settled();
  return instances(status, "sleeper")[0]?.pid;
});
const kinds = async (): Promise<string[]> => (await node.events()).map(({ kind }) => kind);
const ballast = (): number => statSync(dataDir(node.dataDir).ballast, { throwIfNoEntry: false })?.size ?? 0;

describe.skipIf(!isRoot)("a full disk", () => {
  test("stops no recovery, refuses what is new, and is over when there is room", async () => {
    let pid = await program();
    await waitFor("the ballast is there", () => ballast() === limits.ballastBytes);
    const filler = join(node.dataDir, "filler");
    spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=4096"], { stdio: "ignore" });

    const refused = await node.cli("run", "--name", "other", "--", "sleep", "1000");
    expect([refused.status, refused.stdout]).toEqual([1, ""]);
    expect(refused.stderr).toContain('the disk of node "n1" is full');
    expect(refused.stderr.trimEnd().split("\n").length).toBe(1);
    expect((await node.status()).applications.map(({ name }) => name)).toEqual(["sleeper"]);

    for (const role of ["execution", "ftm", "daemon", "guard"] as const) {
      const victim = await node.pid(role);
      signal(victim, "SIGKILL");
      await waitFor(`another ${role} runs`, () => node.pids(role).some((one) => one !== victim) && !isLiving(victim));
      expect(await program()).toBe(pid);
    }
    // The launch record of the next program finds room too.
    signal(pid, "SIGKILL");
    const before = pid;
    pid = await waitFor("the program runs again", async () => {
      const next = instances(await node.status(), "sleeper")[0]?.pid;
      return typeof next === "number" && next !== before && next;
    });
    expect(await node.cli("restart", "sleeper")).toMatchObject({ status: 0 });
    expect(await kinds()).toContain("disk.full");
    expect(await kinds()).not.toContain("armor.failed");

    rmSync(filler);
    await waitFor("it is noticed", async () => (await kinds()).includes("disk.freed"), 15_000);
    expect(ballast()).toBe(limits.ballastBytes);
    expect(await node.cli("run", "--name", "other", "--", "sleep", "1000")).toMatchObject({ status: 0 });
    await cluster.settled();
  }, 80_000);
});
