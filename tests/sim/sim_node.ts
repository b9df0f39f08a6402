/**
 * One simulated node: a machine, a disk, and what its processes share.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import type { Element } from "../../core/element.ts";
import type { Frame } from "../../core/frame.ts";
import type { Microkernel } from "../../core/microkernel.ts";
import type { RandomSource } from "../../core/random.ts";
import type { Application } from "../../armors/application.ts";
import type { IdentityStore, NodeIdentity } from "../../armors/host/identity.ts";
import type { SimDaemon } from "./sim_daemon.ts";
import { SimDisk, type SimStore } from "./sim_disk.ts";
import { startSimGuard } from "./sim_guard.ts";
import type { BeatPorts } from "./sim_heartbeats.ts";
import type { SimNetwork } from "./sim_network.ts";
import type { SimMachine, SimProcess } from "./sim_processes.ts";

/** What the checkers want to hear. */
export interface SimWatch {
  /** Elements as an armor gets them. */
  elements(process: SimProcess, elements: readonly Element[]): readonly Element[];
  /** A frame leaves an armor. */
  sent(process: SimProcess, frame: Frame): void;
  /** A process got a guard's or an armor's exit status of its own making. */
  ended(node: SimNode, process: SimProcess, status: number): void;
  /** A microkernel has been made, from its checkpoint (`follows`) or anew. */
  made(node: SimNode, process: SimProcess, kernel: Microkernel, store: SimStore | undefined, follows: boolean): void;
  /** A shim has started a program under this launch number. */
  programStarted(node: SimNode, program: SimProcess, number: number): void;
  /** How often an instance was started so far, anywhere. */
  starts(instance: string): number;
  /** Programs that fail as long as there are faults fail no more. */
  faultsAreOver(): boolean;
  events(node: SimNode, events: readonly DataRecord[]): void;
  log(text: string): void;
  /** A rule was seen to be broken. */
  broken(rule: string, text: string): void;
}

const wallStartMs = Date.UTC(2030, 0, 1);

/** A node. */
export class SimNode {
  disk: SimDisk;
  /** Loopback ports by armor id, in the run-time folder. */
  readonly portFiles = new Map<string, number>();
  guardLock: SimProcess | undefined;
  daemonLock: SimProcess | undefined;
  daemon: SimDaemon | undefined;
  /** In its file, written durably; absent until a guard has started. */
  identity: NodeIdentity | undefined;
  /** The word of its end that the last daemon has left. */
  daemonEnd: { readonly pid: number; readonly startTicks: number; readonly status: number } | undefined;
  /** What its daemon told last. */
  lastWords = "";
  readonly address: string;
  readonly socket: string;
  /** A service manager keeps the guard running. */
  managed = true;
  /** The guard that the service manager started. */
  #service: SimProcess | undefined;
  /** No program can be started here: its file is away for a while. */
  programsMissing = false;

  constructor(
    readonly name: string,
    readonly machine: SimMachine,
    readonly network: SimNetwork,
    readonly ports: BeatPorts,
    readonly random: RandomSource,
    /** Addresses to ask when it has no cluster. */
    public join: readonly string[],
    readonly watch: SimWatch,
  ) {
    this.address = `${name}:7000`;
    this.socket = `${name} socket`;
    this.disk = new SimDisk(random);
  }

  /** Empty until a guard has started. */
  get id(): string {
    return this.identity?.id ?? "";
  }

  /** Milliseconds since 1970, as this machine has them. */
  get wallMs(): number {
    return wallStartMs + this.machine.clock.nowMs + this.machine.wallErrorMs;
  }

  /** The identity file, for one process. */
  identityStore(process: SimProcess): IdentityStore {
    return {
      read: () => this.identity,
      write: (identity) => {
        if (process.effect()) this.identity = identity;
      },
    };
  }

  /** As `forgetCluster`. */
  forgetCluster(): void {
    for (const role of ["ftm", "heartbeat", "execution", "own"]) for (const process of this.machine.all(role)) process.signal("SIGKILL");
    this.disk.forgetArmors();
  }

  /** Name of the node at an address. */
  nameAt(address: string): string {
    return address.split(":")[0]!;
  }

  /** The machine comes up, and the service manager starts the guard. */
  powerOn(): void {
    if (this.machine.on) return;
    this.machine.boot();
    this.portFiles.clear();
    this.startGuard();
  }

  /** Everything unsynced is gone. */
  powerOff(): void {
    if (!this.machine.on) return;
    const { nowMs } = this.machine.clock;
    this.machine.cut();
    this.disk.losePower(nowMs);
    this.guardLock = undefined;
    this.daemonLock = undefined;
    this.daemon = undefined;
  }

  /** Its data dir is lost: it is installed anew under its name, and asks the others for their cluster. */
  loseData(others: readonly string[]): void {
    this.powerOff();
    this.disk = new SimDisk(this.random);
    this.identity = undefined;
    this.daemonEnd = undefined;
    this.join = others;
  }

  /** As an operator or a service manager does: one that is ending has ended before, one that was started by a daemon has to make room. */
  startGuard(): void {
    const again = (): void => void this.machine.clock.at(this.machine.clock.nowMs + 100, () => this.machine.on && this.managed && this.startGuard());
    if (this.#service?.alive) return void this.#service.onDeath.push(again);
    const guard = startSimGuard(this, true);
    this.#service = guard;
    // Restart=always, but only after a failure.
    guard.onDeath.push(() => {
      if (guard.exit?.code !== 0) again();
    });
  }

  /** Programs called `/bin/only-NODE` are on that node alone. */
  cannotLaunch({ command }: Application): boolean {
    return this.programsMissing || this.neverLaunches(command);
  }

  neverLaunches(command: string): boolean {
    return command.startsWith("/bin/only-") && command !== `/bin/only-${this.name}`;
  }

  log(text: string): void {
    this.watch.log(text);
  }
}
