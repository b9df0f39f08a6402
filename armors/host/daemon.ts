/**
 * The daemon proper, on whatever machine: its microkernel, and around it what
 * moves frames, starts armors and answers operators. `run_daemon.ts` gives it
 * the real machine.
 *
 * @module
 */
import { encode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import { ArmorError } from "../../core/errors.ts";
import { timing } from "../../core/limits.ts";
import type { Microkernel } from "../../core/microkernel.ts";
import type { OperationAnswer } from "../elements/operator.ts";
import { type ArmorReport, daemonOf } from "../shapes.ts";
import { ArmorHost, type ArmorSurroundings } from "./armor_host.ts";
import { ArmorProcesses } from "./armor_processes.ts";
import { performDaemonCommand } from "./daemon_commands.ts";
import type { DaemonDoors, DaemonMachine, DaemonOptions } from "./daemon_machine.ts";
import { type DaemonState, openDaemonState } from "./daemon_state.ts";
import { Departure } from "./departure.ts";
import { GuardWatch } from "./guard_watch.ts";
import { type Heartbeats, openHeartbeats } from "./heartbeats.ts";
import { unjoined } from "./identity.ts";
import { LocalArmorAnswers, takeLocalLink } from "./local_armor_links.ts";
import type { LinkUp } from "./local_link.ts";
import { NodeLinks } from "./node_links.ts";
import { nodesOf } from "./node_memory.ts";
import { OperatorRequests } from "./operator_requests.ts";
import { inUse } from "./peer_admission.ts";
import { guardAnswers, type ProbeMeans } from "./probe_node.ts";
import { Router } from "./router.ts";
import { statusDocument } from "./status.ts";

const wallEveryMs = 60_000;

/**
 * Make a daemon of what its node has kept.
 *
 * @throws {ArmorError} `"refused"`: the node of this data dir answers elsewhere.
 */
export async function makeDaemon(machine: DaemonMachine, options: DaemonOptions): Promise<Daemon> {
  const { identity } = machine;
  const { id, name } = identity.now;
  const state = await openDaemonState(machine, options);
  const armor = daemonOf(id);
  const { address, listenHost } = options;
  const probe = { machine, armor, key: machine.keyOf(armor), listenHost, cluster: () => identity.now.cluster || unjoined };
  // A data dir at a new address: it was moved, unless the node still answers at the old one.
  const registered = nodesOf(state.kernel).find((node) => node.id === id)?.address ?? address;
  if (registered !== address && await guardAnswers({ node: id, address: registered, withinMs: timing.nodeConfirmMs, except: address }, probe)) {
    throw new ArmorError("refused", inUse(name, registered));
  }
  return new Daemon(machine, options, state, probe);
}

/** One daemon. */
export class Daemon {
  readonly node: { readonly id: string; readonly name: string; readonly address: string };
  readonly kernel: Microkernel;
  readonly links: NodeLinks;
  readonly processes: ArmorProcesses;
  readonly #host: ArmorHost;
  readonly #router: Router;
  readonly #answers = new LocalArmorAnswers();
  readonly #requests: OperatorRequests;
  readonly #departure: Departure;
  readonly #self: ArmorReport;
  /** Start a local thread. */
  readonly #local = (op: string, payload: DataRecord = {}): void => this.#host.local(op, payload);
  #doors: DaemonDoors | undefined;
  #heartbeats: Heartbeats | undefined;
  #guard: GuardWatch | undefined;
  #full = false;
  #left = false;

  /** Called by {@link makeDaemon}. */
  constructor(
    readonly machine: DaemonMachine,
    readonly options: DaemonOptions,
    readonly state: DaemonState,
    probe: ProbeMeans,
  ) {
    const { id, name } = machine.identity.now;
    const { address } = options;
    const { kernel } = state;
    const local = this.#local;
    const leave = (status: number): void => void this.#leave(status);
    this.node = { id, name, address };
    this.kernel = kernel;
    const processes = this.processes = new ArmorProcesses(machine.armors, local, machine.log);
    const departure = this.#departure = new Departure({ machine, kernel, processes, local, leave });
    this.#requests = new OperatorRequests({ random: machine.random, local, isFull: () => this.#fullText() });
    const links = this.links = new NodeLinks({
      machine,
      kernel,
      address,
      joins: options.joins,
      probe,
      onFrame: (frame, bytes, node) => this.#router.fromPeer(frame, bytes, node),
      onOpen: (node) => {
        this.#host.dispatch({ kind: "link-up", at: node });
        this.#router.toAll(encode({ type: "link-up", node } satisfies LinkUp));
      },
      local,
      endAll: () => {
        this.#host.end();
        return processes.endAll();
      },
      leave,
      hopeless: (text) => departure.hopeless(text),
    });
    this.#router = new Router(id, links.peers, (frame) => this.#host.frame(frame));
    this.#host = new ArmorHost(kernel, machine.around(this.#surroundings(), kernel));
    this.#self = {
      armor: daemonOf(id),
      role: "daemon",
      pid: machine.self.pid,
      state: "running",
      incarnation: { placement: 0, restart: options.restart },
      generation: kernel.generation,
      get elements() {
        return kernel.describe();
      },
    };
  }

  /** Begin; resolves when it serves its node. Other nodes are let in later, when there is a certificate. */
  async start(doors: DaemonDoors): Promise<void> {
    const { machine, kernel, processes, links } = this;
    const { identity } = machine;
    const { listenHost, allowElements } = this.options;
    this.#doors = doors;
    this.#host.keep(this.state.first);
    const node = { id: this.node.id, listenHost, cluster: () => identity.now.cluster, allowElements };
    const armors = { kernel, host: this.#host, router: this.#router, processes, keyOf: (id: string) => machine.keyOf(id), node, answers: this.#answers };
    await doors.openInner((link) => takeLocalLink(armors, link));
    this.#heartbeats = await openHeartbeats({
      machine,
      armor: this.#self.armor,
      outerHost: listenHost,
      keyOf: (id) => machine.keyOf(id),
      cluster: () => identity.now.cluster || unjoined,
      progress: () => kernel.steps,
      epoch: () => (kernel.state("epoch_promise") as { promised: { number: number } }).promised.number,
      local: this.#local,
    });
    this.#begin();
    this.#openOuter(doors).catch((error) => {
      if (error instanceof ArmorError) this.#departure.hopeless(error.message);
      else this.#host.fail(error);
    });
    machine.onTerminate(() => this.#departure.asked());
  }

  /** `POST /v1/operations`. */
  operate(operation: string, args: DataRecord): Promise<OperationAnswer> {
    return this.#requests.operate(operation, args);
  }

  /** `GET /v1/status`. */
  status(): Record<string, unknown> {
    const { kernel, node, machine } = this;
    return statusDocument({ kernel, node, cluster: machine.identity.now.cluster, nowMs: this.#host.nowMs, self: this.#self });
  }

  /** What the elements are told at the start, and what is looked at from then on. */
  #begin(): void {
    const { machine, state } = this;
    const { clock } = machine;
    const tellWall = (): void => this.#local("clock.wall", { offsetMs: machine.wallMs() - clock.nowMs() });
    tellWall();
    clock.every(wallEveryMs, tellWall);
    this.#host.start({ self: { ...this.#self } as unknown as Data, bootId: machine.bootId }, state.first);
    const configured = machine.identity.now.bootstrap ? machine.configuration.applications() : undefined;
    if (configured) this.#local("configuration.begin", { applications: configured as unknown as Data });
    const { damage, complete, memory = null } = state;
    if (damage.length > 0) {
      this.#local("checkpoint.restored", { damage: [...damage], complete, epochSeen: machine.events.lastEpoch, memory: memory as unknown as Data });
    }
    this.#guard = new GuardWatch(machine.guards, (kind, cause) => this.#local("guard.noticed", { kind, cause }), machine.log);
    this.#local("guard.watch");
    this.#isFull();
    clock.every(timing.ballastLookMs, () => this.#isFull());
  }

  async #openOuter(doors: DaemonDoors): Promise<void> {
    await doors.openOuter((link, peer) => this.links.take(link, peer));
    await this.links.begin();
  }

  #surroundings(): ArmorSurroundings {
    const { machine, kernel, links, processes, state, options } = this;
    const parts = {
      machine,
      links,
      processes,
      router: this.#router,
      answers: this.#answers,
      requests: this.#requests,
      departure: this.#departure,
      heartbeats: () => this.#heartbeats,
      guard: () => this.#guard,
      local: this.#local,
    };
    return {
      store: state.store,
      durability: "disk",
      hand: state.hand,
      careful: state.life === "careful",
      clock: machine.clock,
      deadLetter: (args) => machine.deadLetter(args),
      send: (frame) => this.#router.fromHere(frame),
      command: (command) => performDaemonCommand(parts, command),
      work: async (kind, args) => {
        if (kind === "element.load") return await machine.loader.work(args, options.allowElements, machine.log);
        if (kind !== "node.probe") throw new Error(`no work of kind "${kind}"`);
        return await links.looks.ask(args as DataRecord);
      },
      reconfigured: () => void machine.clock.after(0, () => this.#local("armor.described", { armor: this.#self.armor, elements: kernel.describe() as Data })),
      log: machine.log,
      exit: (status) => machine.exit(status),
    };
  }

  /** Also makes the ballast whole, and tells of changes. */
  #isFull(): boolean {
    const full = !this.machine.hasRoom();
    if (full !== this.#full) this.#local("disk.changed", { full: this.#full = full, node: this.node.id });
    return full;
  }

  #fullText(): string | undefined {
    const { node, machine } = this;
    return this.#isFull() ? `the disk of node "${node.name}" is full (${machine.folder}): nothing new is taken before there is room` : undefined;
  }

  async #leave(status: number): Promise<void> {
    if (this.#left) return;
    this.#left = true;
    this.machine.leaveWord(status);
    this.#guard?.close();
    this.#host.end();
    await this.state.store.sync();
    this.state.store.close();
    await this.#doors?.close();
    this.links.peers.close();
    this.#heartbeats?.close();
    this.machine.exit(status);
  }
}
