/**
 * State that is damaged or deleted on disk, with real processes: what the next
 * start makes of it, and that nothing acknowledged is lost, forgotten or doubled.
 *
 * time limit: 120 s
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { copyFileSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { readCheckpoints } from "../../armors/host/checkpoint_restore.ts";
import { dataDir } from "../../armors/host/data_dir.ts";
import { readIdentity } from "../../armors/host/identity.ts";
import { Cluster, instances } from "./cluster.ts";
import type { ArmorEvent, Node } from "./node.ts";
import { livingPrograms } from "./processes.ts";
import { waitFor } from "./wait.ts";

let cluster: Cluster;
let n1: Node;
let n2: Node;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 2 });
  [n1, n2] = cluster.nodes as [Node, Node];
  for (const node of ["n1", "n2"]) {
    expect(await n1.cli("run", "--name", `on-${node}`, "--node", node, "--pin", "--", "sleep", "1000")).toMatchObject({ status: 0 });
  }
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

/** Pids of both programs, once each runs and everything else does. */
async function programs(): Promise<unknown> {
  const status = await cluster.settled();
  return await waitFor("both programs run once", () => {
    const pids = ["on-n1", "on-n2"].map((name) => instances(status, name)[0]?.pid);
    const living = [n1, n2].flatMap((node) => livingPrograms(node.dataDir).map(({ pid }) => pid));
    const good = pids.every((pid) => typeof pid === "number") && living.length === 2 && pids.every((pid) => living.includes(pid!));
    if (!good) throw new Error(`status says ${pids.join(", ")}, the launch records ${living.join(", ")}`);
    return pids;
  });
}

const folderOf = (node: Node, role: "daemon" | "execution"): string => {
  const data = dataDir(node.dataDir);
  return data.armor(`${role}@${readIdentity(data.identity)!.id}`);
};

const checkpoints = (folder: string): string[] => readdirSync(folder).filter((name) => /^\d{8}\.cbor(seq)?$/.test(name)).map((name) => join(folder, name));

async function eventsSince(seq: number): Promise<ArmorEvent[]> {
  return (await n1.events()).filter((event) => event.seq > seq);
}

/** End every process of Armor on a node, let something happen to its files, and start it again. */
async function whileDown(node: Node, happens: () => void): Promise<number> {
  const seq = (await n1.events()).at(-1)?.seq ?? 0;
  await node.endDaemon();
  node.killArmor();
  await waitFor("all of it has ended", () => node.killArmor().length === 0);
  happens();
  node.spawn();
  return seq;
}

/** Whether a daemon waits for an FTM to give it the table again. */
function lacksTable(node: Node): boolean {
  const folder = folderOf(node, "daemon");
  const { snapshot, records } = readCheckpoints(folder, basename(folder).replace("_", "@"));
  let lost = snapshot?.elements["table_replica"]?.state["lost"] === true;
  for (const { set, unset } of records) {
    if (set?.["table_replica"]?.["lost"] === true) lost = true;
    if (unset?.["table_replica"]?.includes("lost")) lost = false;
  }
  return lost;
}

/** The pid under which the restored execution armor of a node has its one program, once it has adopted it. */
function adoptedPid(node: Node): number | undefined {
  const folder = folderOf(node, "execution");
  const { snapshot, records } = readCheckpoints(folder, basename(folder).replace("_", "@"));
  const id = `on-${node.name}.0`;
  type Kept = { readonly state: string; readonly process: { readonly pid: number } | null } | undefined;
  const kept = [snapshot?.elements["instances"]?.state[id], ...records.map(({ set }) => set?.["instances"]?.[id])] as readonly unknown[];
  const last = kept.findLast((one) => one !== undefined) as Kept;
  return last?.state === "running" ? last.process?.pid : undefined;
}

async function promised(node: Node): Promise<number> {
  return readIdentity(dataDir(node.dataDir).identity)!.memory!.promised.number;
}

describe("a daemon's checkpoint that is deleted", () => {
  test.each(["n2", "n1"])("on %s: its promise, the nodes and the applications are known again, and the programs run on", async (name) => {
    const node = cluster.node(name);
    const before = await programs();
    const promise = await promised(node);
    expect(promise).toBeGreaterThan(0);
    const { cluster: id } = await n1.status();
    const seq = await whileDown(node, () => checkpoints(folderOf(node, "daemon")).forEach((path) => rmSync(path)));
    expect(await programs()).toEqual(before);
    expect(await promised(node)).toBeGreaterThanOrEqual(promise);
    expect((await node.status()).cluster).toBe(id);
    const told = await waitFor("it is told", async () => (await eventsSince(seq)).find(({ kind, subject }) => kind === "checkpoint.damaged" && subject.startsWith("daemon@")));
    expect(told).toMatchObject({ cause: "its files are missing", rewind: true });
    await waitFor("it has the table again", () => !lacksTable(node));
  }, 60_000);
});

describe("an execution armor's checkpoint", () => {
  const executionPid = async (): Promise<number | null | undefined> =>
    (await n1.status()).armors.find(({ role, node }) => role === "execution" && node === "n2")?.pid;

  const ways: [string, (files: string[], other: string[]) => void][] = [
    ["deleted", (files) => files.forEach((path) => rmSync(path))],
    ["of random bytes", (files) => files.forEach((path) => writeFileSync(path, Buffer.from(Array.from({ length: 500 }, (_, i) => (i * 197) % 251))))],
    ["with a flipped bit in its last log", (files) => {
      const path = files.filter((one) => one.endsWith("cborseq")).at(-1)!;
      const bytes = readFileSync(path);
      bytes[Math.floor(bytes.length / 2)]! ^= 4;
      writeFileSync(path, bytes);
    }],
    ["that is the daemon's", (files, other) => files.forEach((path, index) => copyFileSync(other[index % other.length]!, path))],
  ];
  test.each(ways)("%s: it comes back, adopts its program and starts no second one", async (_name, happens) => {
    const before = await programs();
    const pid = instances(await n1.status(), "on-n2")[0]!.pid;
    const executor = await executionPid();
    await whileDown(n2, () => happens(checkpoints(folderOf(n2, "execution")), checkpoints(folderOf(n2, "daemon"))));
    await waitFor("another execution armor is there", async () => ![executor, null, undefined].includes(await executionPid()));
    await waitFor("it has adopted its program", () => adoptedPid(n2) === pid);
    expect(await programs()).toEqual(before);
    expect((await cluster.settled()).applications.map(({ state }) => state)).toEqual(["running", "running"]);
  }, 60_000);
});
