/**
 * Who a node is: the same list for everybody, a lost data dir, a second cluster
 * by mistake, a copied data dir, another address, another cluster at a known one.
 *
 * time limit: 150 s
 */
import { afterEach, describe, expect, test } from "bun:test";
import { cpSync, readFileSync, rmSync } from "node:fs";
import { greetingHeaders } from "../../armors/host/peer_admission.ts";
import { parseAddress } from "../../transports/address.ts";
import { mintCertificate } from "../../transports/certificates.ts";
import { connectLink } from "../../transports/http2_client.ts";
import { readSecretFile } from "../../transports/secret.ts";
import { Cluster, freePort, instances } from "./cluster.ts";
import { Node } from "./node.ts";
import { livingPrograms } from "./processes.ts";
import { measured, waitFor } from "./wait.ts";

const boundMs = 20_000;
const clusters: Cluster[] = [];

afterEach(async () => {
  for (const cluster of clusters.splice(0)) await cluster.end();
}, 30_000);

function kept(cluster: Cluster): Cluster {
  clusters.push(cluster);
  return cluster;
}

/** Start it and wait for its end: what it says. */
async function refused(node: Node, options: Parameters<Node["spawn"]>[0] = {}): Promise<string> {
  const child = node.spawn(options);
  await waitFor(`${node.name} ends`, () => child.exitCode !== null, boundMs);
  expect(child.exitCode).toBe(1);
  expect(node.pids("daemon")).toEqual([]);
  return readFileSync(node.output, "utf8").trimEnd().split("\n").at(-1)!;
}

async function sleeper(node: Node, name: string, ...more: string[]): Promise<void> {
  expect(await node.cli("run", "--name", name, ...more, "--", "sleep", "3600")).toMatchObject({ status: 0 });
}

/** A daemon of another version says hello to `node`: what it is told. */
async function strangeVersion(node: Node, cluster: string, target: string): Promise<string> {
  const tls = await mintCertificate(readSecretFile(node.place.secretFile), "stranger");
  const headers = { ...greetingHeaders({ cluster, node: "stranger", address: "127.0.0.1:1", nodes: 2, target }), "armor-version": "9.9.9" };
  return await new Promise((resolve) => {
    const link = connectLink({
      address: parseAddress(node.address),
      tls,
      headers,
      onOpen: () => {
        resolve("");
        link.close();
      },
      onFrames: () => {},
      onClose: (end, error) => resolve(`${end}: ${error?.message}`),
    });
  });
}

/** Every instance of `name` runs, on these nodes, once. */
async function runs(cluster: Cluster, name: string, on: readonly string[]): Promise<void> {
  await waitFor(`${name} runs on ${on}`, async () => {
    const status = await cluster.nodes.at(-1)!.status();
    const found = instances(status, name);
    const copies = cluster.nodes.flatMap((node) => livingPrograms(node.dataDir).filter(({ instance }) => instance.startsWith(`${name}.`)).map(() => node.name));
    return found.every(({ state }) => state === "running") && `${found.map(({ node }) => node).sort()}` === `${on}` && `${copies.sort()}` === `${on}`;
  }, boundMs, 50);
}

describe("one list for every node", () => {
  test("the first starts the cluster, the others wait for it", async () => {
    const cluster = kept(await Cluster.make({ nodes: 3 }));
    const join = cluster.nodes.map(({ address }) => address);
    for (const node of cluster.nodes.slice(1)) node.spawn({ join });
    await waitFor("they wait", async () => (await cluster.nodes[2]!.status()).stale, boundMs);
    const startMs = performance.now();
    cluster.nodes[0]!.spawn({ join });
    const status = await cluster.settled();
    measured("the first of the list started, three nodes are one cluster", startMs);
    expect(status.nodes.map(({ name }) => name).sort()).toEqual(["n1", "n2", "n3"]);
    expect(status.epoch.node).toBe(status.nodes.find(({ name }) => name === "n1")!.id);
    // It has lost its data dir, and is still the first in the list: it comes back to the cluster that is there.
    await sleeper(cluster.nodes[1]!, "web", "--node", "n1");
    await runs(cluster, "web", ["n1"]);
    const [lost] = cluster.nodes as [Node, ...Node[]];
    await lost.crash();
    rmSync(lost.dataDir, { recursive: true });
    lost.spawn({ join });
    const after = await cluster.settled();
    expect(after.cluster).toBe(status.cluster);
    expect(after.nodes.map(({ name, state }) => [name, state]).sort()).toEqual([["n1", "alive"], ["n2", "alive"], ["n3", "alive"]]);
    expect(after.nodes.find(({ name }) => name === "n1")!.id).not.toBe(status.nodes.find(({ name }) => name === "n1")!.id);
    const web = await waitFor("its program runs again", async () => {
      const found = instances(await cluster.nodes[1]!.status(), "web")[0]!;
      return found.state === "running" && found;
    }, boundMs);
    await runs(cluster, "web", [web.node!]);
    const events = await cluster.nodes[1]!.events();
    expect(events.filter(({ kind }) => kind === "node.replaced").map(({ subject }) => subject)).toEqual(["n1"]);
  }, 70_000);
});

describe("two nodes", () => {
  test("another version is refused; a second cluster, started by mistake and empty, is given up; one with an application is not", async () => {
    const cluster = kept(await Cluster.start({ nodes: 2 }));
    const status = await cluster.settled();
    const [first, second] = cluster.nodes as [Node, Node];
    const target = status.nodes.find(({ name }) => name === "n2")!.id;
    expect(await strangeVersion(second, status.cluster, target)).toMatch(/^refused: .* version .* 9\.9\.9/);
    const told = await waitFor("it is an event", async () => (await second.events()).find(({ kind }) => kind === "peer.refused"), boundMs);
    expect(told).toMatchObject({ subject: "stranger", cause: expect.stringContaining("9.9.9") });

    await sleeper(first, "web", "--node", "n1");
    await runs(cluster, "web", ["n1"]);
    await first.crash();
    rmSync(first.dataDir, { recursive: true });
    // As on its very first day: without a list.
    const startMs = performance.now();
    first.spawn();
    const after = await cluster.settled(cluster.nodes, boundMs);
    measured("a second, empty cluster given up and the first one joined", startMs);
    expect(after.cluster).toBe(status.cluster);
    expect(instances(after, "web")).toHaveLength(1);

    // Once more, but now the operator is faster than the others.
    await first.crash();
    await second.endDaemon();
    rmSync(first.dataDir, { recursive: true });
    await first.start();
    const other = await first.status();
    expect(other.cluster).not.toBe(status.cluster);
    await sleeper(first, "precious");
    await second.start();
    const event = await waitFor("the others are refused", async () => (await first.events()).find(({ kind }) => kind === "peer.refused"), boundMs, 100);
    expect(event).toMatchObject({ subject: after.nodes.find(({ name }) => name === "n2")!.id, cause: "another cluster" });
    expect((await first.status()).cluster).toBe(other.cluster);
    expect((await second.status()).cluster).toBe(status.cluster);
  }, 80_000);

  test("a copied data dir, a taken name and a new address", async () => {
    const cluster = kept(await Cluster.start({ nodes: 2 }));
    const status = await cluster.settled();
    const [first, second] = cluster.nodes as [Node, Node];
    await sleeper(first, "web", "--node", "n2");
    await runs(cluster, "web", ["n2"]);

    const copy = new Node(cluster.place, 2, `127.0.0.1:${await freePort()}`, "copy");
    cpSync(second.dataDir, copy.dataDir, { recursive: true, verbatimSymlinks: true });
    expect(await refused(copy)).toMatch(new RegExp(`^armor: cannot start: .*${second.address}.*data dir`));

    const taken = new Node(cluster.place, 2, `127.0.0.1:${await freePort()}`, "taken");
    const join = cluster.nodes.map(({ address }) => address);
    expect(await refused(taken, { join })).toBe(`armor: node name "n2" is taken by a running node at ${second.address}`);
    const pids = livingPrograms(second.dataDir).map(({ pid }) => pid);
    expect((await cluster.settled()).nodes.map(({ id }) => id).sort()).toEqual(status.nodes.map(({ id }) => id).sort());

    // The node itself, elsewhere; it listens on all addresses.
    await second.endDaemon();
    const port = await freePort();
    const moved = new Node(cluster.place, 2, `127.0.0.1:${port}`);
    moved.spawn({ listen: `0.0.0.0:${port}` });
    const { id } = status.nodes.find(({ name }) => name === "n2")!;
    await waitFor("everybody knows where it is", async () => {
      const all = await Promise.all([first, moved].map((node) => node.status()));
      if (all.every(({ nodes }) => nodes.some((node) => node.id === id && node.address === moved.address && node.state === "alive"))) return true;
      throw new Error(JSON.stringify(all.map(({ nodes, epoch, stale }) => ({ nodes, epoch, stale }))));
    }, boundMs).catch(async (error) => {
      const events = await first.events();
      throw new Error(`${error.message}\n${events.slice(-30).map((event) => JSON.stringify(event)).join("\n")}\n${cluster.diagnosis()}`);
    });
    await cluster.settled([first, moved], boundMs);
    await runs(cluster, "web", ["n2"]);
    expect(livingPrograms(second.dataDir).map(({ pid }) => pid)).toEqual(pids);
  }, 70_000);
});
