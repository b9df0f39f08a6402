/**
 * Machines that sleep: every process of a node, or of all nodes, stands still for
 * a while, programs too, and goes on as if nothing had been.
 *
 * time limit: 90 s
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { Cluster, instances } from "./cluster.ts";
import type { ArmorEvent, Node } from "./node.ts";
import { armorProcesses, livingPrograms, runningPids, signal } from "./processes.ts";
import { waitFor } from "./wait.ts";

/** Longer than a node, an armor or a takeover gets before it is given up. */
const quietMs = 500;
const sleepMs = 5_500;
const boundMs = 20_000;

let cluster: Cluster;
let ftm: Node;
let other: Node;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 2 });
  const status = await cluster.settled();
  ftm = cluster.node(status.ftm!.node);
  other = cluster.nodes.find((node) => node !== ftm)!;
  for (const node of cluster.nodes) expect(await node.cli("run", "--name", `on-${node.name}`, "--node", node.name, "--", "sleep", "3600")).toMatchObject({ status: 0 });
  await runs([ftm, other]);
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

/** Each program runs once, on these nodes, in their order by name. @returns Their pids. */
async function runs(on: readonly Node[]): Promise<number[]> {
  return await waitFor(`the programs run once, on ${on.map(({ name }) => name)}`, async () => {
    const status = await cluster.settled(cluster.nodes, boundMs);
    const shown = [ftm, other].map((node) => instances(status, `on-${node.name}`)[0]!);
    const living = cluster.nodes.flatMap((node) => runningPids(node.dataDir));
    const good = shown.every(({ node, state }, index) => state === "running" && node === on[index]!.name) && `${shown.map(({ pid }) => pid).sort()}` === `${living.sort()}`;
    return good && shown.map(({ pid }) => pid!);
  }, boundMs, 50);
}

/** @returns The number of the last event, when what was before is all told: a copy that was ended says so a moment after it is gone. */
async function lastOf(teller: Node): Promise<number> {
  for (let before = -1;;) {
    const { seq } = (await teller.events()).at(-1)!;
    if (seq === before) return seq;
    before = seq;
    await new Promise((resolve) => setTimeout(resolve, quietMs));
  }
}

/** Lets nodes sleep. @returns What happened after that, as `teller` knows. */
async function sleep(nodes: readonly Node[], teller: Node): Promise<ArmorEvent[]> {
  const seq = await lastOf(teller);
  const pids = nodes.flatMap((node) => [...armorProcesses(node.dataDir), ...livingPrograms(node.dataDir)].map(({ pid }) => pid));
  for (const pid of pids) signal(pid, "SIGSTOP");
  await new Promise((resolve) => setTimeout(resolve, sleepMs));
  for (const pid of pids) signal(pid, "SIGCONT");
  await cluster.settled(cluster.nodes, boundMs);
  return (await teller.events()).filter((event) => event.seq > seq);
}

describe("a node without the FTM sleeps", () => {
  test("its program goes on elsewhere; when it wakes, it accuses nobody and each program runs once", async () => {
    const [stays] = await runs([ftm, other]);
    const events = await sleep([other], ftm);
    expect((await runs([ftm, ftm]))[0]).toBe(stays!);
    expect(events.filter(({ kind }) => kind === "node.failed").map(({ subject }) => subject)).toEqual([other.name]);
    const mine = events.filter(({ subject }) => subject === `on-${ftm.name}.0`);
    expect(mine).toEqual([]);
    for (const odd of ["ftm.takeover", "application.hung", "armor.hung"]) expect(events.map(({ kind }) => kind)).not.toContain(odd);
  }, 60_000);
});

describe("all nodes sleep", () => {
  test("the same processes go on, and nobody has failed", async () => {
    const programs = await runs([ftm, ftm]);
    const armors = (): string[] => cluster.nodes.flatMap((node) => armorProcesses(node.dataDir).map(({ role, pid }) => `${role} ${pid}`)).sort();
    const before = armors();
    const events = await sleep(cluster.nodes, ftm);
    expect(await runs([ftm, ftm])).toEqual(programs);
    expect(armors()).toEqual(before);
    expect(events.filter(({ kind }) => !/^node\.(suspected|returned)$/.test(kind))).toEqual([]);
  }, 60_000);
});

describe("the node with the FTM and all programs sleeps", () => {
  test("the other takes over; when it wakes, its FTM and its copies of the programs end", async () => {
    const events = await sleep([ftm], other);
    await runs([other, other]);
    expect(cluster.nodes.map((node) => node.pids("ftm").length)).toEqual(cluster.nodes.map((node) => node === other ? 1 : 0));
    expect(events.filter(({ kind }) => kind === "node.failed").map(({ subject }) => subject)).toEqual([ftm.name]);
    expect(events.filter(({ kind }) => kind === "ftm.takeover")).toHaveLength(1);
  }, 60_000);
});
