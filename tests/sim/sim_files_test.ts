/** What a simulated power loss takes, and what it must leave; a full disk; the real checkpoint files over both. */
import { expect, test } from "bun:test";
import type { CommitRecord, Snapshot } from "../../core/checkpoint.ts";
import type { DurabilityClass } from "../../core/checkpoint_store.ts";
import { seededRandom } from "../../core/random.ts";
import { diskStatus } from "../../armors/host/hand_record.ts";
import { SimClock } from "./sim_clock.ts";
import { SimCluster } from "./sim_cluster.ts";
import { SimDisk } from "./sim_disk.ts";
import { SimMachine } from "./sim_processes.ts";

const generation = { epoch: 1, node: "a", counter: 0 };
const snapshot = (commit: number): Snapshot => ({ format: 1, armor: "x", generation, commit, messages: 0, elements: {}, continuations: {}, channels: [] });
const record = (commit: number): CommitRecord => ({ commit, generation, set: { e: { n: commit } } });

/** Twenty commits, of which ten are synced where the class says so, then the power goes. @returns The commit that is restored. */
async function cut(seed: number, durability: DurabilityClass, waitMs = 0): Promise<number> {
  const clock = new SimClock();
  const random = seededRandom(seed);
  const machine = new SimMachine("m", clock, random);
  machine.boot();
  const disk = new SimDisk(random);
  const start = (): ReturnType<SimDisk["store"]> => disk.store("x", durability, machine.spawn("daemon", "daemon", 0, () => {}));
  const store = start();
  expect(store.restore().snapshot).toBeUndefined();
  store.writeSnapshot(snapshot(0));
  for (let commit = 1; commit <= 10; commit++) store.append([record(commit)]);
  if (durability === "disk") void store.sync();
  await clock.runUntil(clock.nowMs + 20);
  for (let commit = 11; commit <= 20; commit++) store.append([record(commit)]);
  await clock.runUntil(clock.nowMs + waitMs);
  machine.cut();
  disk.losePower(clock.nowMs);
  machine.boot();
  const { records, snapshot: found } = start().restore();
  expect(records.map(({ commit }) => commit)).toEqual(records.map((_, index) => index + 1));
  return records.at(-1)?.commit ?? found?.commit ?? -1;
}

const seeds = Array.from({ length: 60 }, (_, index) => index);

test("a power loss leaves what was synced and cuts the rest at any place", async () => {
  const reached = await Promise.all(seeds.map((seed) => cut(seed, "disk")));
  expect(Math.min(...reached)).toBeGreaterThanOrEqual(10);
  expect(new Set(reached).size).toBeGreaterThan(5);
});

test("what was restored after a crash is not taken back by a power loss", () => {
  for (const seed of seeds) {
    const machine = new SimMachine("m", new SimClock(), seededRandom(seed));
    machine.boot();
    const disk = new SimDisk(seededRandom(seed));
    const start = (): ReturnType<SimDisk["store"]> => disk.store("x", "disk", machine.spawn("daemon", "daemon", 0, () => {}));
    const store = start();
    store.restore();
    store.writeSnapshot(snapshot(0));
    store.append([record(1), record(2)]);
    // Killed before its sync; another process goes on from there.
    expect(start().restore().records.length).toBe(2);
    machine.cut();
    disk.losePower(0);
    machine.boot();
    expect(start().restore().records.length).toBe(2);
  }
});

test("what a failed sync has dropped is in a snapshot before anything is built on it: the next sync succeeds and writes nothing", async () => {
  for (const seed of seeds) {
    const clock = new SimClock();
    const machine = new SimMachine("m", clock, seededRandom(seed));
    machine.boot();
    const disk = new SimDisk(seededRandom(seed));
    const start = (): ReturnType<SimDisk["store"]> => disk.store("x", "disk", machine.spawn("daemon", "daemon", 0, () => {}));
    const store = start();
    store.restore();
    store.writeSnapshot(snapshot(0));
    store.append([record(1), record(2)]);
    disk.files.failsSync = true;
    const synced = store.sync().then(() => "done", ({ code }) => code);
    await clock.runUntil(clock.nowMs + 20);
    expect(await synced).toBe("write_failed");
    // A life that ends before its snapshot, and one that goes on; nothing is told of either before that.
    for (let life = 0; life < 2; life++) expect(start().restore()).toMatchObject({ unsynced: true, complete: true });
    const next = start();
    expect(next.restore().records.length).toBe(2);
    expect(() => next.append([record(3)])).toThrow("a snapshot is needed");
    next.writeSnapshot(snapshot(2));
    next.append([record(3)]);
    const again = next.sync();
    await clock.runUntil(clock.nowMs + 20);
    await again;
    machine.cut();
    disk.losePower(clock.nowMs);
    machine.boot();
    const last = start().restore();
    expect([last.complete, last.records.at(-1)?.commit]).toEqual([true, 3]);
  }
});

test("a daemon whose sync fails loses nothing of what its next life tells, though the power goes then", async () => {
  const cluster = new SimCluster({ seed: 3, nodes: 1 });
  const [node] = cluster.nodes;
  node!.powerOn();
  await cluster.run(3_000);
  const submit = async (name: string): Promise<void> => {
    const application = { name, command: "steady", args: [], env: {}, directory: null, user: null, instances: 1, node: null, pin: false, kind: "service", singleton: false };
    node!.daemon!.operate("application.submit", { application }, () => {});
    await cluster.run(1_500);
  };
  const first = node!.daemon!.process;
  node!.disk.files.failsSync = true;
  await submit("one");
  expect([first.alive, first.exit?.code]).toEqual([false, diskStatus]);
  await submit("two");
  const armor = node!.daemon!.kernel.armor;
  const before = node!.daemon!.kernel.snapshot();
  node!.powerOff();
  node!.powerOn();
  await cluster.run(3_000);
  expect(node!.disk.restored.get(armor)).toMatchObject({ complete: true, damage: [] });
  expect(node!.daemon!.kernel.snapshot().commit).toBeGreaterThanOrEqual(before.commit);
  expect(cluster.violation).toBeUndefined();
}, 30_000);

test("what was not synced may be gone altogether, and is kept once it is old", async () => {
  const reached = await Promise.all(seeds.map((seed) => cut(seed, "process")));
  expect(Math.min(...reached)).toBe(-1);
  expect(new Set(reached).size).toBeGreaterThan(5);
  expect(await Promise.all(seeds.slice(0, 10).map((seed) => cut(seed, "process", 6_000)))).toEqual(Array(10).fill(20));
});

test("a full disk takes what the ballast gives up, then refuses, and nothing half written stays", () => {
  const machine = new SimMachine("m", new SimClock(), seededRandom(1));
  machine.boot();
  const disk = new SimDisk(seededRandom(1));
  const store = disk.store("x", "process", machine.spawn("daemon", "daemon", 0, () => {}));
  store.restore();
  store.writeSnapshot(snapshot(0));
  disk.files.full = true;
  let commits = 0;
  const fill = (): void => {
    for (; commits < 100_000; commits++) store.append([record(commits + 1)]);
  };
  expect(fill).toThrow(expect.objectContaining({ code: "disk_full" }));
  expect(commits).toBeGreaterThan(1_000);
  expect(disk.files.hasRoom()).toBe(false);
  disk.files.full = false;
  expect(disk.files.hasRoom()).toBe(true);
  store.append([record(++commits)]);
  const { records, complete } = disk.store("x", "process", machine.spawn("daemon", "daemon", 0, () => {})).restore();
  expect([records.length, complete]).toEqual([commits, true]);
});

test("a write that a full disk takes in part goes on where it stopped", () => {
  const machine = new SimMachine("m", new SimClock(), seededRandom(1));
  machine.boot();
  const { files } = new SimDisk(seededRandom(1));
  const view = files.of(machine.spawn("daemon", "daemon", 0, () => {}));
  const descriptor = view.openSync("x/file", "w", 0o600);
  Object.assign(files, { full: true, roomBytes: 3 });
  expect(view.writeSync(descriptor, new Uint8Array([1, 2, 3, 4, 5]), 0, 5)).toBe(3);
  files.full = false;
  expect(view.writeSync(descriptor, new Uint8Array([1, 2, 3, 4, 5]), 3, 2)).toBe(2);
  expect([...view.readFileSync("x/file")]).toEqual([1, 2, 3, 4, 5]);
});
