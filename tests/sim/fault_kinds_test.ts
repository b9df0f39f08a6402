/** Each kind of fault alone is survived; and what is said to happen to machines and ways does happen. */
import { describe, expect, test } from "bun:test";
import type { Data, DataRecord } from "../../core/data.ts";
import { seededRandom } from "../../core/random.ts";
import { Acknowledged } from "./checkers/acknowledged_kept.ts";
import { faultKinds } from "./fault_kinds.ts";
import { Faults } from "./faults.ts";
import { SimClock } from "./sim_clock.ts";
import { SimCluster } from "./sim_cluster.ts";
import { kindDatagrams, kindStreams, SimNetwork } from "./sim_network.ts";
import type { SimNode } from "./sim_node.ts";
import { SimMachine } from "./sim_processes.ts";
import { simulate } from "./simulate.ts";
import { Workload } from "./workload.ts";

const machine = (name = "m1", clock = new SimClock()): SimMachine => {
  const made = new SimMachine(name, clock, seededRandom(1));
  made.boot();
  return made;
};

describe("each kind of fault alone", () => {
  for (const kind of Object.keys(faultKinds)) {
    test(`${kind} is survived`, async () => {
      const { failure, faults } = await simulate(2, { kinds: [kind], nodes: 3, durationMs: 10_000 });
      expect(failure).toBe("");
      expect(faults.length).toBeGreaterThan(0);
    }, 60_000);
  }
});

test("two nodes that cannot reach each other act alone, and merge; the change that gives way is named", async () => {
  const cluster = new SimCluster({ seed: 5, nodes: 2 });
  const [n1, n2] = cluster.nodes as [SimNode, SimNode];
  for (const node of cluster.nodes) node.powerOn();
  await cluster.run(6_000);
  const told: unknown[] = [];
  const ask = (node: SimNode, operation: string, args: DataRecord): void => node.daemon!.operate(`application.${operation}`, args, ({ ok }) => told.push([node.name, operation, ok]));
  ask(n1, "submit", { application: { name: "web", command: "/bin/program", args: ["run"] } });
  await cluster.run(1_000);
  for (const [from, to] of [["n1", "n2"], ["n2", "n1"]] as const) cluster.network.cut(from, to);
  await cluster.run(5_000);
  ask(n1, "stop", { name: "web" });
  ask(n2, "restart", { name: "web" });
  await cluster.run(1_000);
  expect(cluster.processes("ftm").length).toBe(2);
  cluster.network.heal();
  await cluster.run(10_000);
  expect(told.map(String).sort()).toEqual(["n1,stop,true", "n1,submit,true", "n2,restart,true"]);
  expect(cluster.processes("ftm").length).toBe(1);
  const [one, other] = cluster.nodes.map(({ daemon }) => (daemon!.kernel.state("table_replica") as { [key: string]: Data })["app:web"]);
  expect(one).toEqual(other!);
  const events = [...n1.disk.events.values()] as DataRecord[];
  expect(events.filter(({ kind }) => kind === "application.superseded").map(({ subject }) => subject)).toEqual(["web"]);
  expect(cluster.violation).toBeUndefined();
}, 60_000);

test("what lost power lives no more: checkers are not asked about it in the end", async () => {
  const cluster = new SimCluster({ seed: 5, nodes: 1 });
  const [node] = cluster.nodes as [SimNode];
  node.powerOn();
  await cluster.run(5_000);
  node.powerOff();
  await cluster.run(1_000);
  expect(cluster.lives).toEqual([]);
  node.powerOn();
  await cluster.run(5_000);
  expect(cluster.lives.map(({ kernel }) => kernel.armor.split("@")[0]!).sort()).toEqual(["daemon", "execution", "ftm"]);
}, 60_000);

test("when faults end a guard that hung before it had the node's lock is ended: nobody else watches it", async () => {
  const cluster = new SimCluster({ seed: 5, nodes: 1 });
  const [node] = cluster.nodes as [SimNode];
  node.powerOn();
  await cluster.run(5_000);
  node.managed = false;
  node.guardLock!.signal("SIGKILL");
  await cluster.run(3_000);
  expect(node.guardLock!.name).toBe("replacement");
  node.managed = true;
  node.startGuard();
  const hung = node.machine.all("guard").find(({ name }) => name === "guard")!;
  hung.stop();
  await cluster.run(1_000);
  new Faults(cluster, new Workload(cluster), [], 1_000).end();
  await cluster.run(3_000);
  expect(hung.alive).toBe(false);
  expect(node.machine.all("guard").map(({ name, stopped }) => [name, stopped])).toEqual([["guard", false]]);
}, 60_000);

test("when faults end a guard that hangs together with its daemon is ended, if no execution armor is there to wake them", async () => {
  for (const [armor, ended] of [[true, false], [false, true]] as const) {
    const cluster = new SimCluster({ seed: 5, nodes: 1 });
    const [node] = cluster.nodes as [SimNode];
    node.powerOn();
    await cluster.run(5_000);
    const guard = node.guardLock!;
    for (const process of [guard, node.daemon!.process]) process.stop();
    if (!armor) node.machine.all("execution")[0]!.signal("SIGKILL");
    new Faults(cluster, new Workload(cluster), [], 1_000).end();
    await cluster.run(10_000);
    expect(guard.alive).toBe(!ended);
    expect(["guard", "daemon", "execution"].map((role) => node.machine.all(role).map(({ stopped }) => stopped))).toEqual([[false], [false], [false]]);
  }
}, 60_000);

test("bits rot in the files of an armor only when what had rotted before was found", async () => {
  const cluster = new SimCluster({ seed: 5, nodes: 1 });
  const [node] = cluster.nodes as [SimNode];
  node.powerOn();
  await cluster.run(5_000);
  const faults = new Faults(cluster, new Workload(cluster), [], 1_000);
  for (let count = 0; count < 20; count++) faults.do("bit-rot");
  expect(faults.done).toHaveLength(1);
  expect([...node.disk.altered]).toEqual([`execution@${node.id}`]);
  expect(node.machine.all("execution")).toEqual([]);
  await cluster.run(3_000);
  expect(node.disk.altered.size).toBe(0);
}, 60_000);

describe("a simulated machine", () => {
  test("gives a slow process its work late and in order", async () => {
    const clock = new SimClock();
    const process = machine("m1", clock).spawn("guard", "guard", 0, () => {});
    await clock.runUntil(1);
    process.slowMs = 50;
    const done: [number, number][] = [];
    for (let index = 0; index < 5; index++) process.run(() => done.push([index, clock.nowMs]));
    expect(done).toEqual([]);
    await clock.runUntil(1_000);
    expect(done.map(([index]) => index)).toEqual([0, 1, 2, 3, 4]);
    expect(done.at(-1)![1]).toBeGreaterThan(20);
  });

  test("does nothing while it is asleep, and its clock goes on", async () => {
    const clock = new SimClock();
    const one = machine("m1", clock);
    const process = one.spawn("guard", "guard", 0, () => {});
    const before = one.nowMs;
    one.suspended = true;
    let ran = 0;
    process.clock.after(10, () => ran++);
    await clock.runUntil(5_000);
    expect(ran).toBe(0);
    one.wake();
    expect([ran, one.nowMs - before]).toEqual([1, 5_000]);
  });

  test("gives the pid of a dead process to another, who is not taken for it", async () => {
    const clock = new SimClock();
    const one = machine("m1", clock);
    const hit: number[] = [];
    one.misled = ({ pid }) => hit.push(pid);
    const first = one.spawn("program", "web.0", 0, () => {});
    first.signal("SIGKILL");
    await clock.runUntil(30);
    one.wantPid(first.pid);
    const second = one.spawn("foreign", "foreign", 0, () => {});
    expect(second.pid).toBe(first.pid);
    expect(one.find(first.identity)).toBeUndefined();
    one.byPid(first.pid)!.signal("SIGTERM");
    expect(hit).toEqual([first.pid]);
  });
});

describe("the simulated network", () => {
  /** What one datagram after the other meets. */
  const fates = async (datagrams: SimNetwork["datagrams"]): Promise<Record<string, number>> => {
    const clock = new SimClock();
    const network = new SimNetwork(clock, seededRandom(3), () => true);
    network.datagrams = datagrams;
    const counts = { came: 0, altered: 0, overtaken: 0 };
    let last = -1;
    for (let index = 0; index < 500; index++) {
      network.datagram("n1", "n2", 100, () => {
        counts.came += 1;
        if (index < last) counts.overtaken += 1;
        last = index;
      }, () => counts.altered += 1);
    }
    await clock.runUntil(1_000);
    return counts;
  };

  test("loses, doubles, alters and reorders datagrams", async () => {
    expect(await fates({ ...kindDatagrams, delayMaxMs: 0, drop: 300 })).toMatchObject({ altered: 0 });
    expect((await fates({ ...kindDatagrams, drop: 300 }))["came"]).toBeLessThan(400);
    expect((await fates({ ...kindDatagrams, duplicate: 300 }))["came"]).toBeGreaterThan(600);
    expect((await fates({ ...kindDatagrams, corrupt: 300 }))["altered"]).toBeGreaterThan(100);
    expect((await fates({ ...kindDatagrams, delayMaxMs: 50 }))["overtaken"]).toBeGreaterThan(20);
  });

  /** Frames that come over one connection, and whether it was lost. */
  const stream = async (streams: SimNetwork["streams"]): Promise<{ came: number[]; lost: boolean }> => {
    const clock = new SimClock();
    const network = new SimNetwork(clock, seededRandom(3), () => true);
    const [from, to] = [machine("n1", clock), machine("n2", clock)].map((one) => one.spawn("daemon", "daemon", 0, () => {}));
    const came: number[] = [];
    let lost = false;
    network.listen("n2:1", { process: to!, onLink: () => ({ onFrames: ([bytes]) => void came.push(bytes![0]!), onClose: () => {} }) });
    const link = network.connect(from!, "n2", "n2:1", {}, { onFrames: () => {}, onClose: (reason) => void (lost = reason === "lost"), onOpen: () => {} });
    await clock.runUntil(20);
    network.streams = streams;
    for (let index = 0; index < 100; index++) link.send(Uint8Array.of(index));
    await clock.runUntil(1_000);
    return { came, lost };
  };

  test("ends a connection on which a bit has flipped", async () => {
    const { came, lost } = await stream({ ...kindStreams, corrupt: 50 });
    expect(lost).toBe(true);
    expect(came.length).toBeLessThan(100);
  });

  test("loses, doubles and reorders frames", async () => {
    expect((await stream({ ...kindStreams, drop: 300 })).came.length).toBeLessThan(90);
    expect((await stream({ ...kindStreams, duplicate: 300 })).came.length).toBeGreaterThan(110);
    const { came } = await stream({ ...kindStreams, late: 300 });
    expect([came.length, came.every((one, index) => one === index)]).toEqual([100, false]);
  });
});

describe("what operators may expect of two nodes that were apart", () => {
  const told = (operation: string, revision: number, aloneIn = 0) => ({ operation: `application.${operation}`, done: true, revision, aloneIn }) as const;
  const both = (...after: ReturnType<typeof told>[]): Acknowledged => {
    const acknowledged = new Acknowledged();
    for (const one of [told("submit", 1), ...after]) acknowledged.note(one);
    return acknowledged;
  };

  test("a change that is named may be lost, and no other", () => {
    const acknowledged = both(told("stop", 2, 5));
    expect([...acknowledged.expected([]).possible]).toEqual(["stopped"]);
    expect([...acknowledged.expected([{ epoch: 5, revision: 2 }]).possible]).toEqual(["stopped", "running"]);
    expect([...acknowledged.expected([{ epoch: 4, revision: 2 }]).possible]).toEqual(["stopped"]);
    expect([...acknowledged.expected([{ epoch: 5, revision: 1 }]).possible]).toEqual(["stopped"]);
  });

  test("what was asked of one side alone and not answered may be what has won, if the other's change is named", () => {
    const acknowledged = both(told("remove", 2, 5));
    acknowledged.note({ operation: "application.stop", done: undefined, revision: undefined, aloneIn: 4 });
    expect([...acknowledged.expected([]).possible]).toEqual(["absent"]);
    expect([...acknowledged.expected([{ epoch: 5, revision: 2 }]).possible]).toContain("stopped");
  });

  test("what both had may not be lost, whatever is named", () => {
    expect([...both(told("stop", 2)).expected([{ epoch: 9, revision: 9 }]).possible]).toEqual(["stopped"]);
  });
});
