/**
 * One cluster on two runtimes: a node of the executable, which contains Bun, and a
 * node that Deno runs from the sources. Each recovers what the other loses.
 *
 * time limit: 150 s
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readArguments } from "../../armors/host/process_table.ts";
import { quote } from "../../armors/host/launch_shim.ts";
import { starters } from "../runtime/binary.ts";
import { Cluster, instances } from "./cluster.ts";
import type { ArmorEvent, Node, Status } from "./node.ts";
import { armorProcesses, isLiving, livingPrograms, type ProcessRole, signal } from "./processes.ts";
import { skipping } from "./programs.ts";
import { measured, waitFor } from "./wait.ts";

const onDeno = (await starters())["deno run mod.ts"];
if (onDeno === undefined) skipping("both runtimes in one cluster", "Deno, which this platform lacks");
/** Generous: the machine may be busy. */
const boundMs = 20_000;
const folder = mkdtempSync(join(tmpdir(), "armor-deno-"));

let cluster: Cluster;
let bun: Node;
let deno: Node;

beforeAll(async () => {
  if (onDeno === undefined) return;
  const started = join(folder, "armor");
  writeFileSync(started, `#!/bin/sh\nexec ${onDeno.map(quote).join(" ")} "$@"\n`);
  chmodSync(started, 0o755);
  cluster = await Cluster.start({ nodes: 2, binaries: [undefined, started] });
  [bun, deno] = cluster.nodes as [Node, Node];
}, 60_000);

afterAll(async () => {
  await cluster?.end();
  rmSync(folder, { recursive: true });
}, 30_000);

/** Everything runs, on both nodes, and the program once. */
async function whole(): Promise<Status> {
  return await waitFor("the program runs once", async () => {
    const status = await cluster.settled(cluster.nodes, boundMs);
    const found = cluster.nodes.flatMap((node) => livingPrograms(node.dataDir).map(({ pid }) => pid));
    return `${found}` === `${instances(status, "sleeper").map(({ pid }) => pid)}` && status;
  }, boundMs);
}

/**
 * Signal one process of each role; @returns once there are others, and all is whole. A daemon that is stopped before
 * its guard has heard it once goes on instead: the execution armor wakes it before its time to start is over.
 */
async function replaced(node: Node, roles: readonly ProcessRole[], name: NodeJS.Signals, on: readonly Node[] = [node]): Promise<void> {
  const victims = await Promise.all(roles.map((role) => node.pid(role)));
  const before = await lastEvent(bun);
  const isWoken = async (): Promise<boolean> => name === "SIGSTOP" && (await eventsSince(bun, before)).some(({ kind, subject }) => kind === "armor.woken" && subject.startsWith("daemon@"));
  const startMs = performance.now();
  for (const victim of victims) signal(victim, name);
  const isReplaced = (role: ProcessRole): boolean => on.flatMap((one) => one.pids(role)).length === 1;
  await waitFor(`a new ${roles} after ${name} on ${node.name}`, async () => (!victims.some(isLiving) && roles.every(isReplaced)) || await isWoken(), boundMs);
  await whole();
  measured(`${name} of ${roles} of ${node.name}, all is whole again`, startMs);
}

const eventsSince = async (node: Node, { seq }: ArmorEvent): Promise<ArmorEvent[]> => (await node.events()).filter((event) => event.seq > seq);
const lastEvent = async (node: Node): Promise<ArmorEvent> => (await node.events()).at(-1)!;

const takeoverSince = async (before: ArmorEvent): Promise<ArmorEvent | undefined> => (await eventsSince(bun, before)).find(({ kind }) => kind === "ftm.takeover");

/** The FTM ends, wherever it is; the heartbeat armor leads the takeover, unless this machine was so busy that a daemon was faster. */
async function ftmRecovered(name: NodeJS.Signals): Promise<void> {
  for (let tries = 1; ; tries++) {
    const { ftm } = await whole();
    const before = await lastEvent(bun);
    await replaced(cluster.node(ftm!.node), ["ftm"], name, cluster.nodes);
    const takeover = await takeoverSince(before);
    if (takeover?.detectedBy === "heartbeat") return;
    if (tries === 3) throw new Error(`the takeover was led by ${takeover?.detectedBy}`);
  }
}

/** Everything on `lost` ends, its program too, which is wanted on `other`; then it is started again. */
async function loses(lost: Node, other: Node): Promise<void> {
  const before = await lastEvent(other);
  const startMs = performance.now();
  await lost.crash();
  await waitFor(`the program runs on ${other.name}`, () => livingPrograms(other.dataDir).length === 1, boundMs);
  measured(`${lost.name} lost, its program runs on ${other.name}`, startMs);
  await waitFor(`${other.name} says so`, async () => {
    const kinds = (await eventsSince(other, before)).map(({ kind }) => kind);
    return ["node.failed", "application.moved"].every((kind) => kinds.includes(kind));
  }, boundMs);
  lost.spawn({ join: [other.address] });
  const status = await whole();
  expect(status.ftm!.node).toBe(other.name);
  expect(status.heartbeat!.node).toBe(lost.name);
  expect(instances(status, "sleeper")[0]!.node).toBe(other.name);
}

describe.skipIf(onDeno === undefined)("a node on Bun and a node on Deno", () => {
  test("form one cluster, with the FTM on Bun and the heartbeat armor on Deno", async () => {
    expect(await deno.cli("run", "--name", "sleeper", "--node", "n1", "--", "sleep", "3600")).toMatchObject({ status: 0 });
    const status = await whole();
    expect([status.ftm!.node, status.heartbeat!.node]).toEqual(["n1", "n2"]);
    const runtimes = cluster.nodes.map((node) => armorProcesses(node.dataDir).filter(({ role }) => role !== "shim").map(({ pid }) => /deno$/.test(readArguments(pid)[0]!)));
    expect(runtimes.map((list) => [...new Set(list)])).toEqual([[false], [true]]);
  });

  test("the FTM killed: the heartbeat armor on the other runtime recovers it", async () => {
    await ftmRecovered("SIGKILL");
  }, 60_000);

  test.each(["guard", "daemon", "execution and heartbeat"])("%s on Deno killed, then hung: replaced", async (text) => {
    const roles = text.split(" and ") as ProcessRole[];
    await replaced(deno, roles, "SIGKILL");
    await replaced(deno, roles, "SIGSTOP");
  }, 60_000);

  test("the node on Bun lost with FTM and program: both go on on Deno", async () => {
    await loses(bun, deno);
  }, 60_000);

  test("the FTM killed there: the heartbeat armor on Bun recovers it", async () => {
    await ftmRecovered("SIGKILL");
  }, 60_000);

  test("the node on Deno lost with FTM and program: both go on on Bun", async () => {
    await loses(deno, bun);
  }, 60_000);

  test("an FTM that hangs, and its successor on the other runtime if it has moved: both are recovered", async () => {
    await ftmRecovered("SIGSTOP");
    await ftmRecovered("SIGSTOP");
  }, 60_000);
});
