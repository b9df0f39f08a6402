/**
 * Faults by `armor inject` in real processes: at the node that is asked and at
 * another one, from outside and at the seams; and none without leave.
 *
 * time limit: 90 s
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster } from "./cluster.ts";
import type { Node } from "./node.ts";
import { isLiving, signal } from "./processes.ts";
import { waitFor } from "./wait.ts";

let cluster: Cluster;
let taking: Node;
let refusing: Node;

beforeAll(async () => {
  cluster = await Cluster.make({ nodes: 2 });
  [taking, refusing] = cluster.nodes as [Node, Node];
  await taking.start({ flags: ["--allow-injection"] });
  await refusing.start({ join: [taking.address] });
  await cluster.settled();
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

describe("armor inject", () => {
  test("kills an armor of another node than the one that is asked", async () => {
    const before = await taking.pid("execution");
    expect(await refusing.cli("inject", "kill", "execution@n1")).toMatchObject({ status: 0, stdout: `SIGKILL to ${before}\n` });
    await waitFor("it is gone", () => !isLiving(before));
    await cluster.settled();
  }, 30_000);

  test("is refused by a node that was not started for it", async () => {
    for (const by of [taking, refusing]) {
      const { status, stderr } = await by.cli("inject", "kill", "execution@n2");
      expect([status, stderr]).toEqual([1, expect.stringContaining("--allow-injection")]);
    }
    expect(isLiving(await refusing.pid("execution"))).toBe(true);
  }, 30_000);

  test("cuts a node off for a while: both sides notice, and find each other again", async () => {
    const since = (await refusing.events()).at(-1)!.seq;
    expect(await taking.cli("inject", "partition", "n1", "--for", "60000")).toMatchObject({ status: 0 });
    await waitFor("the other side has given it up", async () => (await refusing.events()).some(({ seq, kind, subject }) => seq > since && kind === "node.failed" && subject === "n1"), 30_000);
    // Orders of faults do not go the way that is cut.
    expect(await refusing.cli("inject", "resume", "n1")).toMatchObject({ status: 0 });
    await cluster.settled(cluster.nodes, 20_000);
  }, 60_000);

  test("a daemon whose clock has stood still is not stale for ever: it compares times of one clock", async () => {
    const standsMs = 2_000;
    expect(await refusing.cli("inject", "clock-jump", "daemon@n1", "--by", `-${standsMs}`)).toMatchObject({ status: 0 });
    const goesOnAtMs = performance.now() + standsMs + 500;
    await waitFor("its clock goes on", () => performance.now() > goesOnAtMs);
    expect(await taking.status()).toMatchObject({ stale: false });
  }, 30_000);

  test("corrupts live state in the process that runs, and a checkpoint on disk", async () => {
    expect(await refusing.cli("inject", "corrupt-state", "execution@n1", "--element", "epoch_guard", "--seed", "3")).toMatchObject({ status: 0 });
    const { id } = (await taking.status()).nodes.find(({ name }) => name === "n1")!;
    const log = join(taking.dataDir, "armors", `execution_${id}`, "armor.log");
    await waitFor("it is in the armor's log", () => /injected: .* became /.test(readFileSync(log, "utf8")));
    expect(await taking.cli("inject", "corrupt-checkpoint", "execution@n1", "--seed", "1")).toMatchObject({ status: 0 });
    expect(await taking.cli("inject", "kill", "execution@n1")).toMatchObject({ status: 0 });
    await cluster.settled();
  }, 40_000);

  // Of the first generation: there is no earlier one but the copy of its beginning.
  test("a daemon's newest snapshot may be altered: nothing is lost", async () => {
    expect(await taking.cli("run", "--name", "kept", "--", "/bin/sleep", "1000000")).toMatchObject({ status: 0 });
    await cluster.settled();
    const { id } = (await taking.status()).nodes.find(({ name }) => name === "n1")!;
    const folder = join(taking.dataDir, "armors", `daemon_${id}`);
    const newest = join(folder, readdirSync(folder).filter((name) => name.endsWith(".cbor")).sort().at(-1)!);
    const bytes = readFileSync(newest);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(newest, bytes);
    const before = await taking.pid("daemon");
    signal(before, "SIGKILL");
    await waitFor("it is gone", () => !isLiving(before));
    const { applications } = await cluster.settled();
    expect(applications.map(({ name, state }) => [name, state])).toEqual([["kept", "running"]]);
    const damaged = await waitFor("the damage is told", async () => (await taking.events()).find(({ kind, subject }) => kind === "checkpoint.damaged" && subject === `daemon@${id}`));
    expect(damaged).toMatchObject({ rewind: false });
  }, 40_000);

  // What it promised stands in a second place too: no FTM of a lower epoch can come to be.
  test("a daemon's log may be altered in its middle: the cluster goes on", async () => {
    const { id } = (await taking.status()).nodes.find(({ name }) => name === "n1")!;
    const folder = join(taking.dataDir, "armors", `daemon_${id}`);
    const promised = (await taking.status()).epoch.number;
    const before = await taking.pid("daemon");
    signal(before, "SIGSTOP");
    const log = join(folder, readdirSync(folder).filter((name) => name.endsWith(".cborseq")).sort().at(-1)!);
    const bytes = readFileSync(log);
    bytes[bytes.length >> 1]! ^= 1;
    writeFileSync(log, bytes);
    signal(before, "SIGKILL");
    await waitFor("it is gone", () => !isLiving(before));
    const damaged = async () => (await taking.events()).find(({ kind, subject, ["rewind"]: rewind }) => kind === "checkpoint.damaged" && subject === `daemon@${id}` && rewind === true);
    await waitFor("the damage is told", damaged, 15_000);
    const { applications, epoch } = await cluster.settled();
    expect(epoch.number).toBeGreaterThanOrEqual(promised);
    expect(applications.map(({ name, state }) => [name, state])).toEqual([["kept", "running"]]);
  }, 50_000);
});
