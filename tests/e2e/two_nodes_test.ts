/**
 * Two nodes as the source pictures them, each on a host of its own: either may be
 * cut off or lose power, both go on, and what both acknowledged is there after
 * healing. And three of which two cannot reach each other.
 *
 * time limit: 120 s
 */
import { afterAll, describe, expect, test } from "bun:test";
import { Cluster, instances } from "./cluster.ts";
import { missingForNamespaces } from "./network.ts";
import type { Node } from "./node.ts";
import { livingPrograms } from "./processes.ts";
import { skipping } from "./programs.ts";
import { measured, waitFor } from "./wait.ts";

const missing = missingForNamespaces();
if (missing !== undefined) skipping("two nodes on two hosts", missing);
const boundMs = 15_000;
const clusters: Cluster[] = [];
afterAll(async () => {
  for (const cluster of clusters) await cluster.end();
}, 30_000);

async function start(nodes: number): Promise<Cluster> {
  const cluster = await Cluster.start({ nodes, namespaces: true });
  clusters.push(cluster);
  return cluster;
}

/** Copies of a program that live on each node. */
const copies = (cluster: Cluster, instance: string): number[] =>
  cluster.nodes.map((node) => livingPrograms(node.dataDir).filter((one) => one.instance === instance).length);

const running = (nodes: Cluster, name: string, counts: readonly number[]): Promise<unknown> =>
  waitFor(`copies of ${name} are ${counts}`, () => `${copies(nodes, `${name}.0`)}` === `${counts}`, boundMs, 20);

describe.skipIf(missing !== undefined)("two nodes", () => {
  test("the picture of the source: FTM and execution armor on one node, heartbeat armor and execution armor on the other", async () => {
    const cluster = await start(2);
    const status = await cluster.nodes[1]!.status();
    const roles = (node: string): string[] => status.armors.filter((armor) => armor.node === node).map(({ role }) => role).sort();
    expect(roles(status.ftm!.node)).toEqual(["daemon", "execution", "ftm"]);
    expect(roles(status.heartbeat!.node)).toEqual(["daemon", "execution", "heartbeat"]);
  }, 60_000);

  test("cut apart, both go on; healed, nothing acknowledged is lost and every program runs once", async () => {
    const [cluster] = clusters;
    const [a, b] = cluster!.nodes;
    for (const node of [a!, b!]) {
      const started = await node.cli("run", "--name", `on-${node.name}`, "--node", node.name, "--", "sleep", "3600");
      expect(started).toMatchObject({ status: 0 });
    }
    await running(cluster!, "on-n1", [1, 0]);
    await running(cluster!, "on-n2", [0, 1]);
    const cutMs = performance.now();
    cluster!.network!.setLink(1, "down");
    await running(cluster!, "on-n1", [1, 1]);
    measured("the node with the FTM cut off, its program runs on the other", cutMs);
    await running(cluster!, "on-n2", [1, 1]);
    // Each side acknowledges changes of its own.
    await waitFor("side n1 accepts", async () => (await a!.cli("run", "--name", "of-n1", "--", "sleep", "3600")).status === 0, boundMs, 100);
    await waitFor("side n2 accepts", async () => (await b!.cli("run", "--name", "of-n2", "--", "sleep", "3600")).status === 0, boundMs, 100);
    expect(await a!.cli("stop", "on-n2")).toMatchObject({ status: 0 });
    expect(await b!.cli("remove", "on-n1")).toMatchObject({ status: 0 });
    cluster!.network!.setLink(1, "up");
    const healed = await cluster!.settled(cluster!.nodes, boundMs);
    expect(healed.applications.map(({ name, desired }) => [name, desired]).sort()).toEqual([
      ["of-n1", "running"],
      ["of-n2", "running"],
      ["on-n2", "stopped"],
    ]);
    for (const name of ["of-n1", "of-n2"]) {
      await waitFor(`${name} runs once`, () => copies(cluster!, `${name}.0`).reduce((sum, count) => sum + count) === 1, boundMs, 20);
    }
    for (const name of ["on-n1", "on-n2"]) await running(cluster!, name, [0, 0]);
    const ftms = cluster!.nodes.flatMap((node) => node.pids("ftm"));
    expect(ftms).toEqual([healed.ftm!.pid!]);
  }, 60_000);

  test("the one with FTM and program loses power, either in turn: the other goes on, and stays in charge when it is back", async () => {
    const [cluster] = clusters;
    for (const name of ["first", "second"]) {
      const lost = cluster!.node((await cluster!.settled(cluster!.nodes, boundMs)).ftm!.node);
      const other = cluster!.nodes.find((node) => node !== lost)!;
      const at = (node: Node): number[] => cluster!.nodes.map((one) => Number(one === node));
      expect(await lost.cli("run", "--name", name, "--node", lost.name, "--", "sleep", "3600")).toMatchObject({ status: 0 });
      await running(cluster!, name, at(lost));
      await lost.crash();
      await running(cluster!, name, at(other));
      const { epoch } = await cluster!.settled([other], boundMs);
      await lost.start();
      const back = await cluster!.settled(cluster!.nodes, boundMs);
      expect([back.epoch, back.ftm!.node]).toEqual([epoch, other.name]);
      await running(cluster!, name, at(other));
      expect(cluster!.nodes.flatMap((node) => node.pids("ftm"))).toEqual([back.ftm!.pid!]);
    }
  }, 90_000);
});

describe.skipIf(missing !== undefined)("three nodes of which two cannot reach each other", () => {
  test("orders and operators' changes go over the third, and nothing moves", async () => {
    const cluster = await start(3);
    const status = await cluster.nodes[0]!.status();
    const ftm = cluster.node(status.ftm!.node);
    const far = cluster.nodes.find(({ name }) => name !== ftm.name && name !== status.heartbeat!.node)!;
    expect(await ftm.cli("run", "--name", "far", "--node", far.name, "--pin", "--", "sleep", "3600")).toMatchObject({ status: 0 });
    const before = await waitFor("it runs", async () => instances(await ftm.status(), "far").find(({ state }) => state === "running"), boundMs);
    const wall = async (verb: "add" | "del"): Promise<void> => {
      for (const [node, other] of [[ftm, far], [far, ftm]] as const) {
        const address = other.address.split(":")[0]!;
        expect(await node.run(["ip", "route", verb, "blackhole", `${address}/32`])).toMatchObject({ status: 0 });
      }
    };
    await wall("add");
    await waitFor("the FTM does not hear it", async () => (await ftm.status()).nodes.some(({ name, state }) => name === far.name && state === "suspect"), boundMs);
    await waitFor("a change of the far side is accepted", async () => (await far.cli("stop", "far")).status === 0, 30_000, 200);
    await waitFor("the order arrives", () => livingPrograms(far.dataDir).length === 0, boundMs, 50);
    const events = await ftm.events();
    expect(events.filter(({ kind }) => kind === "node.failed" || kind === "application.moved")).toEqual([]);
    expect(before.node).toBe(far.name);
    await wall("del");
    await cluster.settled();
  }, 90_000);
});
