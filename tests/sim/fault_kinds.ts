/**
 * The kinds of faults that may happen in a simulated cluster, by name. Each
 * ends by itself or when {@link Faults.end} makes it good.
 *
 * @module
 */
import type { Data } from "../../core/data.ts";
import type { NodeRegistration } from "../../armors/shapes.ts";
import type { Faults } from "./faults.ts";
import { canonicalText } from "./plain_data.ts";
import type { SimCluster } from "./sim_cluster.ts";
import type { SimNode } from "./sim_node.ts";
import { kindDatagrams, kindStreams } from "./sim_network.ts";
import { comeAsStranger } from "./stranger.ts";

/** Does one now. */
export type Doer = (faults: Faults) => void;

const armors = ["daemon", "ftm", "heartbeat", "execution", "own"];

const processes: { readonly [name: string]: Doer } = {
  "crash-armor": (faults) => faults.pick(armors)?.signal("SIGKILL"),
  "crash-in-step": (faults) => {
    const process = faults.pick(armors);
    if (process) process.dieAfter = faults.random.below(12);
  },
  "crash-ftm": (faults) => faults.pick(["ftm"])?.signal("SIGKILL"),
  "crash-daemon": (faults) => faults.pick(["daemon"])?.signal("SIGKILL"),
  "hang-armor": (faults) => faults.pick(armors)?.stop(),
  "pause-armor": (faults) => faults.pause(faults.pick(armors), 100 + faults.random.below(1_500)),
  "crash-guard": (faults) => faults.pick(["guard"])?.signal("SIGKILL"),
  "hang-guard": (faults) => faults.pick(["guard"])?.stop(),
  "pause-guard": (faults) => faults.pause(faults.pick(["guard"]), 100 + faults.random.below(2_500)),
  "crash-all-of-node": (faults) => {
    const node = faults.anyNode();
    const others = ["program", "shim", "foreign"];
    for (const process of node.machine.all()) if (!others.includes(process.role)) process.signal("SIGKILL");
    if (node.managed) faults.later(500, () => node.machine.on && !node.guardLock?.alive && node.startGuard());
  },
  "slow-process": (faults) => {
    const process = faults.pick([...armors, "guard"]);
    if (!process) return;
    process.slowMs = 2 + faults.random.below(60);
    faults.later(500 + faults.random.below(8_000), () => process.slowMs = 0);
  },
  "pid-reuse": (faults) => {
    const process = faults.pick([...armors, "guard", "shim", "program"]);
    if (!process) return;
    process.signal("SIGKILL");
    // The next process gets its pid, Armor's own or somebody else's.
    faults.later(25 + faults.random.below(150), () => {
      process.machine.wantPid(process.pid);
      if (faults.random.below(2) === 0) faults.foreign(process.machine, 500 + faults.random.below(20_000));
    });
  },
};

const machines: { readonly [name: string]: Doer } = {
  "power-cut": (faults) => faults.powerCut(faults.anyNode(), 500 + faults.random.below(12_000)),
  "power-cut-all": (faults) => {
    for (const node of faults.cluster.nodes) faults.powerCut(node, 500 + faults.random.below(6_000));
  },
  "slow-node": (faults) => {
    const { machine } = faults.anyNode();
    machine.slowMs = 2 + faults.random.below(40);
    faults.later(500 + faults.random.below(8_000), () => machine.slowMs = 0);
  },
  "suspend": (faults) => {
    const { machine } = faults.anyNode();
    if (!machine.on || machine.suspended) return faults.miss();
    machine.suspended = true;
    faults.later(300 + faults.random.below(20_000), () => machine.wake());
  },
  "clock-jump": (faults) => {
    const { machine } = faults.anyNode();
    // The clock since boot only goes ahead; the wall clock goes anywhere.
    if (faults.random.below(2) === 0) machine.jump(50 + faults.random.below(60_000));
    machine.wallErrorMs = faults.random.below(200_000_000) - 100_000_000;
  },
  // Of an armor's files, and the armor finds it when it is started again: before the next of them, or a log and the mark that tells its length might be cut alike.
  "bit-rot": (faults) => {
    const { cluster } = faults;
    const node = faults.anyNode();
    const { armors } = node.disk;
    const armor = armors[faults.random.below(armors.length)];
    // What daemons keep is kept by the others too, as long as a majority has its disk.
    if (!node.machine.on || armor === undefined || node.disk.altered.has(armor) || (armor.startsWith("daemon@") && (cluster.nodes.length < 2 || !isWhole(cluster)))) return faults.miss();
    cluster.trace(`fault: ${node.disk.rot(armor)} on ${node.name}`);
    for (const process of node.machine.all()) if ((process.role === "own" ? process.name : process.role) === armor.split("@")[0]) process.signal("SIGKILL");
  },
  "disk-full": (faults) => {
    const { files } = faults.anyNode().disk;
    files.full = true;
    files.roomBytes = 0;
    faults.later(500 + faults.random.below(10_000), () => files.full = false);
  },
  "slow-disk": (faults) => {
    const { disk } = faults.anyNode();
    disk.syncMaxMs = 50 + faults.random.below(400);
    faults.later(500 + faults.random.below(5_000), () => disk.syncMaxMs = 4);
  },
};

const network: { readonly [name: string]: Doer } = {
  "partition": (faults) => {
    const side = new Set(faults.cluster.nodes.filter(() => faults.random.below(2) === 0));
    faults.between((a, b) => side.has(a) !== side.has(b), 500 + faults.random.below(10_000));
  },
  "isolate": (faults) => {
    const node = faults.anyNode();
    faults.between((a, b) => a === node || b === node, 500 + faults.random.below(10_000));
  },
  "one-way": (faults) => {
    const node = faults.anyNode();
    const out = faults.random.below(2) === 0;
    faults.between((a, b) => (out ? a : b) === node, 500 + faults.random.below(8_000));
  },
  "slow-way": (faults) => {
    const node = faults.anyNode();
    const delayMs = 20 + faults.random.below(600);
    for (const other of faults.cluster.nodes) faults.cluster.network.slow(node.name, other.name, delayMs);
    faults.later(500 + faults.random.below(6_000), () => faults.heal());
  },
  "datagrams": (faults) => {
    const { random, cluster } = faults;
    cluster.network.datagrams = { drop: random.below(350), duplicate: random.below(200), corrupt: random.below(200), delayMaxMs: 2 + random.below(200) };
    faults.later(500 + random.below(8_000), () => cluster.network.datagrams = kindDatagrams);
  },
  "frames": (faults) => {
    const { random, cluster } = faults;
    cluster.network.streams = { corrupt: 0, drop: random.below(150), duplicate: random.below(150), late: random.below(200) };
    faults.later(500 + random.below(8_000), () => cluster.network.streams = kindStreams);
  },
  "corrupt-streams": (faults) => {
    const { random, cluster } = faults;
    cluster.network.streams = { ...kindStreams, corrupt: 1 + random.below(60) };
    faults.later(500 + random.below(8_000), () => cluster.network.streams = kindStreams);
  },
  "break-links": (faults) => faults.cluster.network.breakSome(500),
};

const strangers: { readonly [name: string]: Doer } = {
  "stranger": (faults) => {
    const { cluster, random } = faults;
    const [node, from] = [faults.anyNode(), faults.anyNode()];
    const process = node.machine.on && from.machine.on ? faults.foreign(from.machine, 3_000 + random.below(3_000)) : undefined;
    if (!process) return faults.miss();
    comeAsStranger(cluster, process, node);
  },
};

const programs: { readonly [name: string]: Doer } = {
  "crash-shim": (faults) => faults.pick(["shim"])?.signal("SIGKILL"),
  "hang-shim": (faults) => faults.pick(["shim"])?.stop(),
  "crash-program": (faults) => faults.pick(["program"])?.signal("SIGKILL"),
  "hang-program": (faults) => faults.pick(["program"])?.stop(),
  "programs-missing": (faults) => {
    const node = faults.anyNode();
    node.programsMissing = true;
    for (const process of node.machine.all("program")) process.signal("SIGKILL");
    faults.later(300 + faults.random.below(6_000), () => node.programsMissing = false);
  },
};

const operators: { readonly [name: string]: Doer } = {
  "planned-restart": (faults) => {
    const node = faults.anyNode();
    const guard = node.guardLock;
    if (!guard?.alive || !node.managed) return faults.miss();
    node.managed = false;
    guard.signal("SIGTERM");
    faults.later(4_000 + faults.random.below(8_000), () => {
      node.managed = true;
      if (node.machine.on) node.startGuard();
    });
  },
  "poison": (faults) => faults.workload.poison(faults.anyNode()),
  // Told to leave, gone, and perhaps started again.
  "node-down": (faults) => {
    const { cluster, random } = faults;
    if (cluster.nodes.length < 2 || faults.leaving) return faults.miss();
    const node = faults.anyNode();
    const runs = ({ daemon, id }: SimNode): boolean => daemon?.process.alive === true && isMember((daemon.kernel.state("table_replica") as { [key: string]: Data })[`node:${id}`]);
    // Somebody has to stay.
    if (!node.managed || !runs(node) || !cluster.nodes.some((other) => other !== node && runs(other))) return faults.miss();
    faults.leaving = true;
    node.daemon!.operate("node.down", {}, () => {});
    cluster.trace(`operator: ${node.name} down`);
    const look = (): void => {
      if (node.machine.on && node.machine.all().length === 0) {
        faults.leaving = false;
        if (random.below(3) > 0) faults.later(random.below(10_000), () => node.machine.on && !node.guardLock?.alive && node.startGuard());
      } else faults.later(500, look);
    };
    faults.later(500, look);
  },
  // One after the other: a majority, of two nodes one, keeps its disk.
  "lost-data": (faults) => {
    const { cluster } = faults;
    const node = faults.anyNode();
    if (cluster.nodes.length < 2 || !isWhole(cluster)) return faults.miss();
    cluster.trace(`fault: ${node.name} loses its data dir`);
    node.loseData(cluster.nodes.filter((other) => other !== node).map(({ address }) => address));
    faults.later(500 + faults.random.below(8_000), () => node.powerOn());
  },
};

/** Every node is a member, and has what all others have. */
function isWhole({ nodes }: SimCluster): boolean {
  const tables = nodes.map(({ daemon }) => daemon?.process.alive ? daemon.kernel.state("table_replica") as { readonly [key: string]: Data } : undefined);
  const first = canonicalText(tables[0] ?? null);
  return tables.every((table) => table && canonicalText(table) === first && nodes.every(({ id }) => isMember(table[`node:${id}`])));
}

function isMember(registration: Data | undefined): boolean {
  return registration !== undefined && !(registration as NodeRegistration).left;
}

/** All kinds by name. */
export const faultKinds: { readonly [name: string]: Doer } = { ...processes, ...machines, ...network, ...programs, ...operators, ...strangers };
