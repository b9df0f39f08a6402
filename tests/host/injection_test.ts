import { afterEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { seededRandom } from "../../core/random.ts";
import { type FaultOrder, wrongOrder } from "../../armors/fault_order.ts";
import { corruptCheckpoint, corruptState } from "../../armors/host/corruption.ts";
import { dataDir } from "../../armors/host/data_dir.ts";
import { FaultFile } from "../../armors/host/fault_file.ts";
import { Injection } from "../../armors/host/injection.ts";
import { Seams } from "../../armors/host/seams.ts";
import { nowMs } from "../../armors/host/system_clock.ts";
import { findTargets } from "../../cli/inject.ts";
import { Temporary, until } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

const good: FaultOrder = { fault: "drop", node: "x7", target: { kind: "node" }, forMs: 60_000, seed: 1, percent: 100, traffic: "all", byMs: 1, element: null };
const order = (change: Partial<FaultOrder>): FaultOrder => ({ ...good, ...change });

/** Bits that differ. */
function distance(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((sum, byte, index) => sum + (byte ^ b[index]!).toString(2).replaceAll("0", "").length, 0);
}

describe("wrongOrder()", () => {
  test("takes an order with the bounds of its numbers", () => {
    for (const change of [{}, { forMs: 1 }, { forMs: 600_000 }, { percent: 1 }, { byMs: -600_000 }, { seed: 0xffff_ffff }]) expect(wrongOrder(order(change))).toBeUndefined();
  });

  test.each<[string, Partial<FaultOrder>]>([
    ["a fault that there is not", { fault: "constructor" as "kill" }],
    ["a target the fault cannot hit", { fault: "partition", target: { kind: "armor", id: "ftm" } }],
    ["no target", { target: undefined as never }],
    ["a target without an id", { fault: "kill", target: { kind: "armor" } as never }],
    ["a time of nothing", { forMs: 0 }],
    ["too long a time", { forMs: 600_001 }],
    ["a part that is none", { percent: 0 }],
    ["more than all", { percent: 101 }],
    ["half a seed", { seed: 0.5 }],
    ["too far a jump", { byMs: 600_001 }],
    ["another traffic", { traffic: "mail" as "all" }],
    ["corrupt-state without its element", { fault: "corrupt-state", target: { kind: "armor", id: "ftm" } }],
    ["a clock of the guard", { fault: "clock-jump", target: { kind: "armor", id: "guard@x7" } }],
  ])("refuses %s", (_what, change) => {
    expect(wrongOrder(order(change))).toBeString();
  });
});

describe("corruptState()", () => {
  const kernelOf = (state: object, volatile?: unknown) => ({ state: () => state as never, volatile: () => volatile });

  test("changes one value in place, the same one for the same seed", () => {
    const make = () => ({ list: [1, 2, { text: "abc", yes: true }], map: new Map([["key", 7.5]]), nothing: null });
    for (let seed = 0; seed < 50; seed++) {
      const [a, b] = [make(), make()];
      const said = corruptState(kernelOf(a), "e", seededRandom(seed));
      expect(corruptState(kernelOf(b), "e", seededRandom(seed))).toBe(said!);
      expect(a).toEqual(b);
      expect(a).not.toEqual(make());
    }
  });

  test("reaches the volatile part, and says so when there is nothing", () => {
    const volatile = { count: 4 };
    expect(corruptState(kernelOf({}, volatile), "e", seededRandom(3))).toStartWith("volatile.count: 4 became ");
    expect(volatile.count).not.toBe(4);
    expect(corruptState(kernelOf({}), "e", seededRandom(3))).toBeUndefined();
  });
});

describe("corruptCheckpoint()", () => {
  test("flips one bit of the newest files and leaves the others alone", () => {
    const folder = temporary.folder();
    const content = Uint8Array.from({ length: 100 }, (_, index) => index);
    const files = ["00000001.cbor", "00000001.cborseq", "00000002.cbor", "00000002.cborseq", "armor.log"];
    for (const file of files) writeFileSync(join(folder, file), content);
    expect(corruptCheckpoint(folder, seededRandom(5))).toBeString();
    const changed = files.map((file) => distance(readFileSync(join(folder, file)), content));
    expect(changed.reduce((sum, bits) => sum + bits)).toBe(1);
    expect([changed[0], changed[1], changed[4]]).toEqual([0, 0, 0]);
  });

  test("finds none in an empty folder", () => {
    expect(corruptCheckpoint(temporary.folder(), seededRandom(1))).toBeUndefined();
  });
});

describe("Seams", () => {
  const bytes = Uint8Array.from([1, 2, 3, 4]);
  /** What arrives of one item, for an armor `self` of a node with this fault. */
  const arrives = (change: Partial<FaultOrder>, way: "here" | "between nodes" = "between nodes", self = "ftm", pid: number | null = null): Uint8Array[] => {
    const folder = temporary.folder();
    new FaultFile(folder).add(order(change), pid);
    const seams = new Seams(folder, self, process.pid);
    const got: Uint8Array[] = [];
    seams.pass("heartbeats", way, bytes, (passed) => got.push(passed), (item) => item.map((byte) => byte ^ 1));
    seams.close();
    return got;
  };

  test.each<[string, Partial<FaultOrder>, number]>([
    ["drop loses", { fault: "drop" }, 0],
    ["duplicate doubles", { fault: "duplicate" }, 2],
    ["a partition cuts", { fault: "partition" }, 0],
    ["a fault of messages leaves heartbeats alone", { fault: "drop", traffic: "messages" }, 1],
    ["another armor's fault has no effect", { fault: "drop", target: { kind: "armor", id: "heartbeat" } }, 1],
    ["its own has", { fault: "drop", target: { kind: "armor", id: "ftm" } }, 0],
  ])("%s", (_what, change, count) => {
    expect(arrives(change)).toHaveLength(count);
  });

  test("a fault of the node leaves alone what stays on it", () => {
    expect(arrives({ fault: "drop" }, "here")).toHaveLength(1);
    expect(arrives({ fault: "partition" }, "here")).toHaveLength(1);
  });

  test("corrupt alters", () => {
    expect(arrives({ fault: "corrupt" })[0]).not.toEqual(bytes);
  });

  test("a fault of one process does not hit the one that replaces it", () => {
    expect(arrives({ fault: "drop", target: { kind: "armor", id: "ftm" } }, "here", "ftm", process.pid)).toHaveLength(0);
    expect(arrives({ fault: "drop", target: { kind: "armor", id: "ftm" } }, "here", "ftm", process.pid + 1)).toHaveLength(1);
  });

  test("half is about half, and the same half for the same seed", () => {
    const run = (): number[] => {
      const folder = temporary.folder();
      new FaultFile(folder).add(order({ percent: 50, seed: 9 }), null);
      const seams = new Seams(folder, "ftm", process.pid);
      const got: number[] = [];
      for (let item = 0; item < 400; item++) seams.pass("messages", "between nodes", item, (passed) => got.push(passed));
      seams.close();
      return got;
    };
    const first = run();
    expect(run()).toEqual(first);
    expect(first.length).toBeGreaterThan(140);
    expect(first.length).toBeLessThan(260);
  });

  test("the clock jumps once and for good, in that process", () => {
    const folder = temporary.folder();
    new FaultFile(folder).add(order({ fault: "clock-jump", target: { kind: "armor", id: "ftm" }, byMs: 5_000 }), process.pid);
    const seams = new Seams(folder, "ftm", process.pid);
    const [before, jumped, after] = [nowMs(), seams.clock().nowMs(), nowMs()];
    seams.close();
    expect(jumped - 5_000).toBeGreaterThanOrEqual(before);
    expect(jumped - 5_000).toBeLessThanOrEqual(after);
  });

  test("tells of what happens once, whether it comes before the listener or after", () => {
    const folder = temporary.folder();
    new FaultFile(folder).add(order({ fault: "corrupt-state", target: { kind: "armor", id: "ftm" }, element: "view" }), process.pid);
    const seams = new Seams(folder, "ftm", process.pid);
    const elements: (string | null)[] = [];
    seams.onFault((fault) => elements.push(fault.order.element));
    seams.close();
    expect(elements).toEqual(["view"]);
  });
});

describe("FaultFile", () => {
  test("forgets what has ended, and all of it when told", () => {
    const folder = temporary.folder();
    const file = new FaultFile(folder);
    file.add(order({ forMs: 1 }), null);
    for (const begunMs = nowMs(); nowMs() <= begunMs + 1;);
    expect(file.read()).toEqual([]);
    file.add(order({}), null);
    file.add(order({ fault: "delay" }), null);
    expect(new Set(file.read().map(({ number }) => number)).size).toBe(2);
    file.clear();
    expect(file.read()).toEqual([]);
  });
});

describe("Injection", () => {
  const make = (): { injection: Injection; folder: string } => {
    const folder = temporary.folder();
    return { folder, injection: new Injection({ data: dataDir(folder), node: "x7", living: () => undefined, log: () => {} }) };
  };
  const codeOf = async (change: Partial<FaultOrder>): Promise<unknown> => {
    const { injection } = make();
    return await injection.perform(order(change)).then(() => "done", (error) => error.code);
  };

  test("refuses what is no order, and what is not on this node", async () => {
    expect(await codeOf({ percent: 0 })).toBe("usage");
    expect(await codeOf({ fault: "kill", target: { kind: "armor", id: "ftm" } })).toBe("absent");
    expect(await codeOf({ fault: "kill", target: { kind: "instance", id: "web.0" } })).toBe("absent");
    expect(await codeOf({ fault: "corrupt-checkpoint", target: { kind: "armor", id: "ftm" } })).toBe("refused");
    expect(await codeOf({ fault: "drop", target: { kind: "armor", id: "ftm" } })).toBe("absent");
  });

  test("fills a small file system for as long as it was told", async () => {
    const { injection, folder } = make();
    const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]).status === 0;
    if (!mounted) return console.log("skipped: a full disk: needs the right to mount a tmpfs");
    temporary.defer(() => spawnSync("umount", ["-l", folder]));
    expect(await injection.perform(order({ fault: "disk-full", forMs: 300 }))).toMatch(/^\d{7} bytes fill the file system$/);
    expect(() => writeFileSync(join(folder, "more"), "x".repeat(10_000))).toThrow();
    await until(() => !existsSync(join(folder, "injected-fill")), "there is room again");
    writeFileSync(join(folder, "more"), "x".repeat(10_000));
  });

  test("fills no large file system", async () => {
    const { injection, folder } = make();
    mkdirSync(join(folder, "armors"));
    expect(await injection.perform(order({ fault: "disk-full" })).then(() => "done", (error) => error.code)).toBe("refused");
    expect(existsSync(join(folder, "injected-fill"))).toBe(false);
  });
});

describe("findTargets()", () => {
  const status = {
    nodes: [{ name: "n1", id: "a1", address: "", state: "alive" }, { name: "n2", id: "b2", address: "", state: "alive" }],
    armors: [
      { id: "ftm", role: "ftm", node: "n2", pid: 1, state: "running", incarnation: "" },
      { id: "q9", name: "mine", role: "own", node: "n1", pid: 2, state: "running", incarnation: "" },
    ],
    applications: [{ name: "web", desired: "running", state: "running", revision: 1, instances: [
      { id: "web.0", node: "n1", pid: 3, state: "running", restarts: 0 },
      { id: "web.1", node: "n2", pid: 4, state: "running", restarts: 0 },
      { id: "web.2", node: null, pid: null, state: "pending", restarts: 0 },
    ] }],
  };

  test.each([
    ["ftm", [{ node: "b2", target: { kind: "armor", id: "ftm" } }]],
    ["mine", [{ node: "a1", target: { kind: "armor", id: "q9" } }]],
    ["guard@n2", [{ node: "b2", target: { kind: "armor", id: "guard@b2" } }]],
    ["n1", [{ node: "a1", target: { kind: "node" } }]],
    ["web.1", [{ node: "b2", target: { kind: "instance", id: "web.1" } }]],
    ["web", [{ node: "a1", target: { kind: "instance", id: "web.0" } }, { node: "b2", target: { kind: "instance", id: "web.1" } }]],
    ["web.2", []],
    ["ftm@n1", []],
    ["daemon@n3", []],
    ["nobody", []],
  ] as const)("finds %s", (name, found) => {
    expect(findTargets(name, status)).toEqual(found as never);
  });
});
