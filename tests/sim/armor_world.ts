/**
 * The four armors with their real elements on nodes of a simulated world: the
 * hosts' part (processes, heartbeats, programs, gateways) in a few lines, in
 * virtual time.
 *
 * @module
 */
import { decode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import type { Element } from "../../core/element.ts";
import type { Frame } from "../../core/frame.ts";
import type { Generation } from "../../core/generation.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { daemonArmor } from "../../armors/daemon_armor.ts";
import type { View } from "../../armors/elements/view_shape.ts";
import { executionArmor } from "../../armors/execution_armor.ts";
import { faultToleranceManager } from "../../armors/fault_tolerance_manager.ts";
import { heartbeatArmor } from "../../armors/heartbeat_armor.ts";
import type { Peers } from "../../armors/host/peers.ts";
import { Router } from "../../armors/host/router.ts";
import type { Role } from "../../armors/shapes.ts";
import type { FrameLink } from "../../transports/frame_link.ts";
import { KernelNetwork } from "./kernel_network.ts";
import { KernelStore } from "./kernel_store.ts";

type Process = { readonly identity: ProcessIdentity; frozen: boolean };
type SpawnOrder = { readonly armor: string; readonly role: Role; readonly generation: Generation };
type Program = { readonly node: string; readonly pid: number; readonly launch: number };
type Node = {
  up: boolean;
  /** The gateway passes frames. */
  open: boolean;
  readonly routes: Record<string, string>;
  readonly router: Router;
  readonly processes: Map<string, Process>;
  readonly stores: Map<string, KernelStore>;
};

const bootId = "boot";

/** Nodes, their processes and programs. */
export class ArmorWorld {
  readonly network: KernelNetwork;
  readonly nodes = new Map<string, Node>();
  /** Running programs by instance. */
  readonly programs = new Map<string, Program>();
  readonly launches: { readonly armor: string; readonly id: string; readonly launch: number }[] = [];
  /** Every event a daemon has stored, once. */
  readonly events: DataRecord[] = [];
  readonly answers = new Map<string, DataRecord>();
  readonly #seen = new Set<string>();
  readonly #asks = new Map<string, number>();
  readonly #frames = new Map<string, number>();
  #pid = 100;
  #requests = 0;

  constructor(seed = 1) {
    this.network = new KernelNetwork(seed, {
      eventSink: (armor) => `daemon@${this.nodeOf(armor) ?? "n1"}`,
      work: {
        "program.look": () => ({ delayMs: 1, completion: { ok: true, value: "" } }),
        "node.probe": (_, args) => ({ delayMs: 5, completion: { ok: true, value: this.nodes.get((args as { node: string }).node)?.up ?? false } }),
      },
    });
    this.network.onCommand = (armor, command) => this.#perform(armor, command);
    this.network.deliver = (frame) => this.#carry(frame);
  }

  /** One node that has started its cluster. */
  static ofOneNode(seed = 1): ArmorWorld {
    const world = new ArmorWorld(seed);
    world.startNode("n1");
    world.advance(5_000);
    return world;
  }

  /** Two nodes, the second joined, everything installed. */
  static ofTwoNodes(seed = 1): ArmorWorld {
    const world = ArmorWorld.ofOneNode(seed);
    world.startNode("n2", "n1");
    world.advance(5_000);
    return world;
  }

  /** The user starts a daemon. */
  startNode(node: string, join?: string): void {
    const peers = { send: (to: string, bytes: Uint8Array) => this.network.after(1, () => this.#cross(node, to, bytes)) } as unknown as Peers;
    const router = new Router(node, peers, (frame) => this.#arrive(frame));
    this.nodes.set(node, { up: true, open: true, routes: {}, router, processes: new Map(), stores: new Map() });
    const armor = `daemon@${node}`;
    const address = `${node}:1`;
    const elements = daemonArmor({ id: node, name: node, address, boot: bootId, bootstrap: join === undefined });
    const self = { armor, role: "daemon", pid: this.#begin(node, armor).pid, state: "running", incarnation: { placement: 0, restart: 0 }, generation: null, elements: describe(elements) };
    this.network.add(armor, elements, { generation: { epoch: 0, node, counter: 0 }, store: this.#store(node, armor), payload: { self, bootId } });
    this.network.local(armor, "guard.watch");
    if (join === undefined) return;
    const { ftm } = this.network.state<{ ftm: { node: string } & DataRecord }>(`daemon@${join}`, "epoch_promise");
    this.network.local(armor, "membership.join", { ftm, address: `${ftm.node}:1` });
  }

  advance(milliseconds: number): void {
    this.network.advance(milliseconds);
  }

  /** Node of an armor's newest process. */
  nodeOf(armor: string): string | undefined {
    if (armor.includes("@")) return armor.slice(armor.indexOf("@") + 1);
    return [...this.nodes].findLast(([, { up, processes }]) => up && processes.has(armor))?.[0];
  }

  /** Whether the armor's process runs and is not frozen. */
  alive(armor: string): boolean {
    return this.network.armors.get(armor)?.kernel !== undefined;
  }

  /** What the daemon of a node knows from the FTM. */
  view(node: string): View | undefined {
    const gateway = this.network.armor(`daemon@${node}`).kernel?.volatile("gateway") as { view: View | null } | undefined;
    return gateway?.view ?? undefined;
  }

  /** Where the daemon of a node says that armors are. */
  routes(node: string): Readonly<Record<string, string>> {
    return this.nodes.get(node)!.routes;
  }

  /** Liveness asks so far. */
  asks(from: string, to: string): number {
    return this.#asks.get(`${from} ${to}`) ?? 0;
  }

  /** Frames delivered so far. */
  frames(from: string, to: string): number {
    return this.#frames.get(`${from} ${to}`) ?? 0;
  }

  blockGateway(node: string): void {
    this.nodes.get(node)!.open = false;
  }

  openGateway(node: string): void {
    this.nodes.get(node)!.open = true;
  }

  /** `kill -9` of an armor. */
  kill(armor: string): void {
    this.#end(this.nodeOf(armor)!, armor, "signal 9");
  }

  /** `kill -STOP` of an armor. */
  freeze(armor: string): void {
    this.nodes.get(this.nodeOf(armor)!)!.processes.get(armor)!.frozen = true;
    this.network.crashAfter(armor, 0);
  }

  /** Everything on a node ends at once, and nobody says so. */
  failNode(node: string): void {
    const { processes } = this.nodes.get(node)!;
    for (const armor of processes.keys()) if (this.nodeOf(armor) === node) this.network.crashAfter(armor, 0);
    this.nodes.get(node)!.up = false;
    processes.clear();
    for (const [id, program] of this.programs) if (program.node === node) this.programs.delete(id);
  }

  /** The operator of a node says something; the answer comes to `answers` under the returned name. */
  operate(node: string, operation: string, args: DataRecord): string {
    const request = `r${++this.#requests}`;
    this.network.local(`daemon@${node}`, "operator.request", { request, operation, args });
    return request;
  }

  /** A program ends. */
  exit(id: string, status: number): void {
    const program = this.programs.get(id);
    if (!program) return;
    this.programs.delete(id);
    const { node, launch } = program;
    this.network.after(1, () => this.network.local(`execution@${node}`, "program.exited", { id, launch, status }));
  }

  /** A program is found stopped. */
  hang(id: string): void {
    const { node, launch } = this.programs.get(id)!;
    this.network.local(`execution@${node}`, "program.hung", { id, launch, durationMs: 1_000 });
  }

  #begin(node: string, armor: string): ProcessIdentity {
    const identity = { pid: ++this.#pid, startTicks: this.network.nowMs, bootId };
    this.nodes.get(node)!.processes.set(armor, { identity, frozen: false });
    return identity;
  }

  /** End a process; with a cause the daemon is told. */
  #end(node: string, armor: string, cause?: string): void {
    const process = this.nodes.get(node)?.processes.get(armor);
    if (!process) return;
    if (this.nodeOf(armor) === node) this.network.crashAfter(armor, 0);
    this.nodes.get(node)!.processes.delete(armor);
    if (cause) this.network.after(1, () => this.network.local(`daemon@${node}`, "armor.gone", { armor, process: process.identity, cause, failed: false }));
  }

  #store(node: string, armor: string): KernelStore {
    const { stores } = this.nodes.get(node)!;
    return stores.get(armor) ?? stores.set(armor, new KernelStore()).get(armor)!;
  }

  #spawn(node: string, { armor, role, generation }: SpawnOrder): void {
    if (!this.nodes.get(node)!.up) return;
    this.#end(node, armor);
    const process = this.#begin(node, armor);
    const daemon = `daemon@${node}`;
    this.network.local(daemon, "armor.spawned", { armor, process });
    this.network.after(2, () => {
      if (this.nodes.get(node)?.processes.get(armor)?.identity !== process) return;
      const { begin } = this.network.state<Record<string, { begin: DataRecord | null }>>(daemon, "local_armors")[armor]!;
      const elements = elementsOf(role, node);
      const link = { send: (bytes: Uint8Array) => this.nodes.get(node)?.processes.get(armor)?.identity === process && this.#arrive(decode(bytes) as Frame) };
      this.nodes.get(node)!.router.attach(armor, link as unknown as FrameLink);
      this.network.local(daemon, "armor.registered", { armor, role, process, generation, elements: describe(elements) });
      const kept = this.#store(node, armor);
      const saved = kept.empty ? undefined : kept.restore().snapshot.generation;
      const follows = role !== "ftm" && saved?.epoch === generation.epoch && saved.node === generation.node;
      if (!follows) this.nodes.get(node)!.stores.set(armor, new KernelStore());
      this.network.add(armor, elements, { generation, store: this.#store(node, armor), payload: { bootId } });
      if (begin) this.network.local(armor, "ftm.begin", { begin });
      this.network.step(daemon, { kind: "link-up" });
    });
  }

  /** An armor has sent a frame: its daemon's gateway takes it. */
  #carry(frame: Frame): void {
    const node = this.nodes.get(this.nodeOf(frame.from) ?? "");
    if (node?.up && node.open) node.router.fromHere(frame);
  }

  /** A frame between two nodes. */
  #cross(from: string, to: string, bytes: Uint8Array): void {
    const target = this.nodes.get(to);
    if (this.nodes.get(from)!.up && target?.up && target.open && this.alive(`daemon@${to}`)) target.router.fromPeer(decode(bytes) as Frame, bytes, from);
  }

  #arrive(frame: Frame): void {
    const { from, to } = frame;
    if (!this.alive(to)) return;
    this.#frames.set(`${from} ${to}`, this.frames(from, to) + 1);
    this.network.step(to, { kind: "frame", frame });
  }

  #ask(from: string, { to, address, nonce }: { to: string; address: string; nonce: string }): void {
    this.#asks.set(`${from} ${to}`, this.asks(from, to) + 1);
    const node = address === "local" ? this.nodeOf(from)! : address.slice(0, -2);
    if (!this.nodes.get(node)?.up) return;
    if (to.startsWith("guard@")) this.network.after(1, () => this.#tell(from, "heartbeat.answered", { from: to, nonce, turnAgeMs: 0 }));
    else if (this.nodeOf(to) === node) this.network.after(1, () => this.#tell(to, "heartbeat.asked", { from, nonce, path: from }));
  }

  #tell(armor: string, op: string, payload: { [field: string]: Data }): void {
    if (this.network.armors.has(armor)) this.network.local(armor, op, payload);
  }

  #perform(armor: string, { kind, args }: HostCommand): void {
    const node = this.nodeOf(armor)!;
    const about = args as DataRecord & { armor: string; id: string; launch: number };
    switch (kind) {
      case "heartbeat.ask":
        return this.#ask(armor, args as { to: string; address: string; nonce: string });
      case "heartbeat.reply":
        return this.network.after(1, () => this.#tell(args["to"] as string, "heartbeat.answered", { from: armor, nonce: args["nonce"]!, turnAgeMs: 0 }));
      case "armor.spawn":
        return this.network.after(0, () => this.#spawn(node, args as unknown as SpawnOrder));
      case "armor.end":
        return this.#end(node, about.armor);
      case "process.kill":
        return this.#end(node, about.armor, "killed: hung");
      case "routes.armors":
        Object.assign(this.nodes.get(node)!.routes, args["armors"]);
        for (const [of, at] of Object.entries(args["armors"] as { [armor: string]: string })) this.nodes.get(node)!.router.setNode(of, at);
        return;
      case "events.store":
        return this.#keep(args["events"] as DataRecord[]);
      case "events.settle":
        return this.network.after(0, () => this.network.local(armor, "events.kept", args));
      case "operator.respond":
        return void this.answers.set(args["request"] as string, args["body"] as DataRecord);
      case "program.launch":
        this.launches.push({ armor, id: about.id, launch: about.launch });
        this.programs.set(about.id, { node, pid: ++this.#pid, launch: about.launch });
        return this.#started(about.id);
      case "program.adopt":
        if (this.programs.get(about.id)?.launch === about.launch) return this.#started(about.id);
        return this.network.after(1, () => this.network.local(armor, "program.exited", { id: about.id, launch: about.launch, status: null, unknown: true, adopted: true }));
      case "program.kill":
        return this.exit(about.id, 137);
      case "program.stop":
        return this.exit(about.id, 143);
    }
  }

  #started(id: string): void {
    const { node, pid, launch } = this.programs.get(id)!;
    const process = { pid, startTicks: 0, bootId };
    this.network.after(1, () => this.network.local(`execution@${node}`, "program.started", { id, launch, process }));
  }

  #keep(events: readonly DataRecord[]): void {
    for (const event of events) {
      if (this.#seen.has(event["origin"] as string)) continue;
      this.#seen.add(event["origin"] as string);
      this.events.push(event);
    }
  }
}

function elementsOf(role: Role, node: string): Element[] {
  if (role === "ftm") return faultToleranceManager({ node });
  return role === "heartbeat" ? heartbeatArmor({ node }) : executionArmor({ node });
}

function describe(elements: readonly Element[]): DataRecord[] {
  return elements.map(({ name, version, handlers }) => ({ name, version, ops: Object.keys(handlers) }));
}
