/**
 * Faults: what may go wrong in a simulated cluster. Each seed takes some kinds
 * and does them at random times; all of them end.
 *
 * @module
 */
import type { SimCluster } from "./sim_cluster.ts";
import { kindDatagrams } from "./sim_network.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";
import type { Workload } from "./workload.ts";

type Doer = (faults: Faults) => void;

const armors = ["daemon", "ftm", "heartbeat", "execution"];

/** All kinds by name. */
export const faultKinds: { readonly [name: string]: Doer } = {
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
  "crash-shim": (faults) => faults.pick(["shim"])?.signal("SIGKILL"),
  "hang-shim": (faults) => faults.pick(["shim"])?.stop(),
  "crash-program": (faults) => faults.pick(["program"])?.signal("SIGKILL"),
  "hang-program": (faults) => faults.pick(["program"])?.stop(),
  "crash-all-of-node": (faults) => {
    const node = faults.anyNode();
    for (const process of node.machine.all()) if (process.role !== "program" && process.role !== "shim") process.signal("SIGKILL");
    if (node.managed) faults.later(500, () => node.machine.on && !node.guardLock?.alive && node.startGuard());
  },
  "power-cut": (faults) => faults.powerCut(faults.fragileNode(), 500 + faults.random.below(12_000)),
  "power-cut-all": (faults) => {
    for (const node of faults.cluster.nodes) faults.powerCut(node, 500 + faults.random.below(6_000));
  },
  "partition": (faults) => {
    if (faults.memberCount < 3) return;
    const side = new Set(faults.cluster.nodes.filter(() => faults.random.below(2) === 0));
    faults.between((a, b) => side.has(a) !== side.has(b), 500 + faults.random.below(10_000));
  },
  "isolate": (faults) => {
    if (faults.memberCount < 3) return;
    const node = faults.anyNode();
    faults.between((a, b) => a === node || b === node, 500 + faults.random.below(10_000));
  },
  "one-way": (faults) => {
    if (faults.memberCount < 3) return;
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
    faults.cluster.network.datagrams = { drop: faults.random.below(350), duplicate: faults.random.below(200), delayMaxMs: 2 + faults.random.below(200) };
    faults.later(500 + faults.random.below(8_000), () => faults.cluster.network.datagrams = kindDatagrams);
  },
  "break-links": (faults) => faults.cluster.network.breakSome(500),
  "slow-disk": (faults) => {
    const { disk } = faults.anyNode();
    disk.syncMaxMs = 50 + faults.random.below(400);
    faults.later(500 + faults.random.below(5_000), () => disk.syncMaxMs = 4);
  },
  "planned-restart": (faults) => {
    const node = faults.fragileNode();
    const guard = node.guardLock;
    if (!guard?.alive || !node.managed) return;
    node.managed = false;
    guard.signal("SIGTERM");
    faults.later(4_000 + faults.random.below(8_000), () => {
      node.managed = true;
      if (node.machine.on && !node.guardLock?.alive) node.startGuard();
    });
  },
  "node-down": (faults) => {
    const { nodes } = faults.cluster;
    if (nodes.length >= 3 && !faults.workload.leaving) faults.workload.down(faults.anyNode());
  },
};

/** Faults of one run. */
export class Faults {
  /** What was done, for reports. */
  readonly done: string[] = [];
  readonly random;
  /** Stopped until a time, to go on by themselves. */
  readonly #paused = new Set<SimProcess>();
  #over = false;

  /** @param kinds Names of those that may happen. */
  constructor(readonly cluster: SimCluster, readonly workload: Workload, readonly kinds: readonly string[], readonly pauseMs: number) {
    this.random = cluster.plan;
  }

  /** Begin. */
  start(): void {
    if (this.kinds.length > 0) this.later(3_000 + this.random.below(6_000), () => this.#next());
  }

  /** Everything that can be made good is. */
  end(): void {
    this.#over = true;
    this.heal();
    this.cluster.network.datagrams = kindDatagrams;
    for (const process of this.#paused) process.goOn();
    for (const { process } of this.cluster.processes()) process.dieAfter = undefined;
    for (const node of this.cluster.nodes) {
      // A guard that hung and a daemon that died before it had noticed: only a watchdog of the system helps, or a person.
      if (node.guardLock?.stopped && !node.daemonLock?.alive) node.guardLock.signal("SIGKILL");
      node.disk.syncMaxMs = 4;
      node.powerOn();
    }
  }

  #next(): void {
    if (this.#over) return;
    this.do(this.kinds[this.random.below(this.kinds.length)]!);
    // Often alone, sometimes in the middle of another recovery.
    const soon = this.random.below(3) === 0;
    this.later(soon ? this.random.below(800) : this.random.below(2 * this.pauseMs), () => this.#next());
  }

  /** Do one now. */
  do(kind: string): void {
    this.done.push(`${this.cluster.clock.nowMs} ${kind}`);
    this.cluster.trace(`fault ${kind}`);
    faultKinds[kind]!(this);
  }

  later(delayMs: number, run: () => void): void {
    this.cluster.clock.at(this.cluster.clock.nowMs + delayMs, run);
  }

  anyNode(): SimNode {
    return this.cluster.nodes[this.random.below(this.cluster.nodes.length)]!;
  }

  /** With two nodes always the same one, or they would take turns without ever meeting. */
  fragileNode(): SimNode {
    return this.cluster.nodes.length === 2 ? this.cluster.nodes[1]! : this.anyNode();
  }

  /** Without the one that was told to leave: two that cannot reach each other act alone, each with its own truth. */
  get memberCount(): number {
    return this.cluster.nodes.length - (this.workload.leaving ? 1 : 0);
  }

  /** A living process of one of these roles. */
  pick(roles: readonly string[]): SimProcess | undefined {
    const role = roles[this.random.below(roles.length)]!;
    const all = this.cluster.processes(role);
    const chosen = all[this.random.below(Math.max(1, all.length))];
    if (chosen) this.cluster.trace(`fault at ${chosen.process.name} of ${chosen.node.name}, pid ${chosen.process.pid}`);
    return chosen?.process;
  }

  pause(process: SimProcess | undefined, milliseconds: number): void {
    if (!process) return;
    process.stop();
    this.#paused.add(process);
    this.later(milliseconds, () => {
      this.#paused.delete(process);
      process.goOn();
    });
  }

  powerCut(node: SimNode, milliseconds: number): void {
    this.cluster.trace(`fault: ${node.name} loses power for ${milliseconds}`);
    node.powerOff();
    this.later(milliseconds, () => {
      if (!this.#over) this.cluster.trace(`fault: ${node.name} has power again`);
      node.powerOn();
    });
  }

  /** Cut the ways between all pairs for which it holds. */
  between(cut: (a: SimNode, b: SimNode) => boolean, milliseconds: number): void {
    const { nodes, network } = this.cluster;
    for (const a of nodes) {
      for (const b of nodes) {
        if (a !== b && cut(a, b)) {
          network.cut(a.name, b.name);
          this.cluster.trace(`fault: nothing gets from ${a.name} to ${b.name}`);
        }
      }
    }
    this.later(milliseconds, () => this.heal());
  }

  heal(): void {
    this.cluster.trace("fault: the network is whole");
    this.cluster.network.heal();
  }
}
