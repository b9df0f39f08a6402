/**
 * Faults of one run: each seed takes some kinds of `fault_kinds.ts` and does them
 * at random times; all of them end.
 *
 * @module
 */
import type { SimCluster } from "./sim_cluster.ts";
import { faultKinds } from "./fault_kinds.ts";
import { kindDatagrams, kindStreams } from "./sim_network.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimMachine, SimProcess } from "./sim_processes.ts";
import type { Workload } from "./workload.ts";

/** Faults of one run. */
export class Faults {
  /** What hit, for reports. */
  readonly done: string[] = [];
  #missed = false;
  readonly random;
  /** A node was told to leave and has not ended yet. */
  leaving = false;
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
    this.cluster.network.streams = kindStreams;
    for (const process of this.#paused) process.goOn();
    for (const { process } of this.cluster.processes()) {
      process.dieAfter = undefined;
      process.slowMs = 0;
      if (process.role === "foreign") process.end({ code: 0, signal: null });
    }
    for (const node of this.cluster.nodes) {
      node.programsMissing = false;
      node.machine.slowMs = 0;
      node.machine.wake();
      endForgotten(node);
      node.disk.syncMaxMs = 4;
      node.disk.files.full = false;
      node.powerOn();
      // Those that were stopped as planned are started again.
      node.managed = true;
      node.startGuard();
    }
    this.cluster.faultsAreOver = true;
    // A daemon may have been about to end, before it had noticed that its guard hangs.
    this.cluster.clock.at(this.cluster.clock.nowMs + noticedWithinMs, () => this.cluster.nodes.forEach(endForgotten));
  }

  #next(): void {
    if (this.#over) return;
    this.do(this.kinds[this.random.below(this.kinds.length)]!);
    // Often alone, sometimes in the middle of another recovery.
    const soon = this.random.below(3) === 0;
    this.later(this.random.below(soon ? Math.min(800, 2 * this.pauseMs) : 2 * this.pauseMs), () => this.#next());
  }

  /** Do one now; it counts if it hits. */
  do(kind: string): void {
    const { nowMs } = this.cluster.clock;
    this.cluster.trace(`fault ${kind}`);
    this.#missed = false;
    faultKinds[kind]!(this);
    if (!this.#missed) this.done.push(`${nowMs} ${kind}`);
  }

  /** There is nothing to hit. */
  miss(): void {
    this.#missed = true;
  }

  later(delayMs: number, run: () => void): void {
    this.cluster.clock.at(this.cluster.clock.nowMs + delayMs, run);
  }

  anyNode(): SimNode {
    return this.cluster.nodes[this.random.below(this.cluster.nodes.length)]!;
  }

  /** A living process of one of these roles. */
  pick(roles: readonly string[]): SimProcess | undefined {
    const role = roles[this.random.below(roles.length)]!;
    const all = this.cluster.processes(role);
    const chosen = all[this.random.below(Math.max(1, all.length))];
    if (!chosen) return void this.miss();
    this.cluster.trace(`fault at ${chosen.process.name} of ${chosen.node.name}, pid ${chosen.process.pid}`);
    return chosen.process;
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

  /** A process that is not Armor's. */
  foreign(machine: SimMachine, livesMs: number): SimProcess | undefined {
    if (!machine.on || this.#over) return undefined;
    const process = machine.spawn("foreign", "foreign", 0, () => {});
    this.cluster.trace(`fault: pid ${process.pid} of ${machine.name} is somebody else's`);
    this.later(livesMs, () => process.end({ code: 0, signal: null }));
    return process;
  }

  powerCut(node: SimNode, milliseconds: number): void {
    if (!node.machine.on) return this.miss();
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
    let hits = false;
    for (const a of nodes) {
      for (const b of nodes) {
        if (a !== b && cut(a, b)) {
          hits = true;
          network.cut(a.name, b.name);
          this.cluster.trace(`fault: nothing gets from ${a.name} to ${b.name}`);
        }
      }
    }
    if (!hits) return this.miss();
    this.later(milliseconds, () => this.heal());
  }

  heal(): void {
    this.cluster.trace("fault: the network is whole");
    this.cluster.network.heal();
  }
}

/** A daemon that lives has noticed by then that its guard hangs. */
const noticedWithinMs = 3_000;

/**
 * A guard that hung before it had the node's lock or a daemon, or whose daemon died before it had noticed, or hangs as
 * well while there is no execution armor that would wake both: only a watchdog of the system helps, or a person.
 */
function endForgotten(node: SimNode): void {
  const awake = ["daemon", "execution"].some((role) => node.machine.all(role).some(({ stopped }) => !stopped));
  const watched = node.daemonLock?.alive && awake ? node.guardLock : undefined;
  for (const guard of node.machine.all("guard")) if (guard.stopped && guard !== watched) guard.signal("SIGKILL");
}
