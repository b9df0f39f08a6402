/**
 * Pids that are reused: after the end of a node every pid that it has on record is
 * given to a program that is not Armor's. None of them is adopted or signalled.
 *
 * time limit: 60 s
 */
import { afterAll, expect, test } from "bun:test";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { readLaunchRecord } from "../../armors/host/launch_record.ts";
import { findByArguments } from "../../armors/host/process_table.ts";
import { Cluster, instances } from "./cluster.ts";
import type { Node } from "./node.ts";
import { isLiving, signal } from "./processes.ts";
import { skipping } from "./programs.ts";
import { waitFor } from "./wait.ts";

/** In a pid namespace: the next pid can be chosen there, and nobody else takes one. */
const unshared = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"];
const choose = 'echo $(($1 - 1)) >/proc/sys/kernel/ns_last_pid || exit 1; sleep "$2" </dev/null >/dev/null 2>&1 & [ $! = "$1" ] && echo it is';
const possible = process.geteuid?.() === 0 && spawnSync(unshared[0]!, [...unshared.slice(1), "/bin/sh", "-c", choose, "sh", "500", "0"], { encoding: "utf8" }).stdout === "it is\n";
if (!possible) skipping("reused pids", "root, and the right to make pid namespaces and to choose pids in them");

/** Collects what has ended, and forks nothing. */
const init = "sleep 3600 & while :; do wait; done";
/** Argument by which foreign programs are told from others. */
const foreignSeconds = String(100_000_000 + process.pid);

let cluster: Cluster | undefined;
let space: ChildProcess | undefined;
afterAll(async () => {
  space?.kill("SIGKILL");
  await cluster?.end();
}, 30_000);

/** Pid in this namespace of the process that is `/proc/1` in the other one. */
const initPid = (): number => findByArguments((argv) => argv[0] === "/bin/sh" && argv[2] === init)[0] ?? 0;
const foreign = (): number[] => findByArguments((argv) => argv[0] === "sleep" && argv[1] === foreignSeconds);

/** Every pid that the node has written down, as they are in its namespace. */
function recordedPids(node: Node): number[] {
  const locks = ["guard.lock", "daemon.lock"].map((name) => Number.parseInt(readFileSync(join(node.dataDir, name), "utf8"), 10));
  const { program, shim } = readLaunchRecord(join(node.dataDir, "launches", "sleeper.0", "1.launch"))!;
  return [...locks, program!.pid, shim!];
}

test.skipIf(!possible)("a node that starts again among strangers with its old pids lets them be", async () => {
  cluster = await Cluster.make({ nodes: 1 });
  const [node] = cluster.nodes as [Node];
  space = spawn(unshared[0]!, [...unshared.slice(1), "/bin/sh", "-c", init], { stdio: "ignore" });
  const inside = await waitFor("the namespace", () => initPid() > 0 && ["nsenter", "--target", String(initPid()), "--pid", "--mount", "--"]);
  await node.start({ prefix: inside });
  expect(await node.cli("run", "--name", "sleeper", "--", "sleep", "3600")).toMatchObject({ status: 0 });
  const before = await waitFor("it runs", async () => instances(await node.status(), "sleeper").find(({ state }) => state === "running"));

  const armors = (await node.status()).armors.map(({ pid }) => pid!);
  const reused = [...new Set([...recordedPids(node), ...armors])];
  expect(reused).toContain(before.pid!);
  node.killArmor(["guard", "daemon", "ftm", "execution", "shim"]);
  const ended = await node.run([...inside, "kill", "-9", String(before.pid)]);
  expect(ended).toMatchObject({ status: 0 });
  await waitFor("all pids are free", async () => (await node.run([...inside, "/bin/sh", "-c", 'for pid; do [ -e "/proc/$pid" ] && exit 1; done; exit 0', "sh", ...reused.map(String)])).status === 0);
  for (const pid of reused) {
    const taken = await node.run([...inside, "/bin/sh", "-c", choose, "sh", String(pid), foreignSeconds]);
    expect(taken).toMatchObject({ status: 0, stdout: "it is\n" });
  }
  const strangers = foreign();
  expect(strangers).toHaveLength(reused.length);

  await node.start({ prefix: inside });
  const after = await waitFor("it runs again", async () => instances(await node.status(), "sleeper").find(({ state, pid }) => state === "running" && !reused.includes(pid!)), 15_000);
  expect((await node.status()).armors.filter(({ pid }) => reused.includes(pid!))).toEqual([]);
  expect(await node.cli("restart", "sleeper")).toMatchObject({ status: 0 });
  await waitFor("it is restarted", async () => instances(await node.status(), "sleeper").find(({ state, pid }) => state === "running" && pid !== after.pid), 15_000);
  expect(await node.cli("down")).toMatchObject({ status: 0 });
  expect(foreign().sort()).toEqual(strangers.sort());
  expect(strangers.every(isLiving)).toBe(true);
  for (const pid of strangers) signal(pid, "SIGKILL");
}, 50_000);
