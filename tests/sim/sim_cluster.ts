/**
 * A cluster in one process: nodes over one clock and one network, and the
 * checkers that watch every step of every armor.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { createHash, type Hash } from "node:crypto";
import type { DataRecord } from "../../core/data.ts";
import type { Effects } from "../../core/effects.ts";
import type { Element, Handler } from "../../core/element.ts";
import type { KernelEvent } from "../../core/kernel_event.ts";
import { type RandomSource, seededRandom } from "../../core/random.ts";
import { acknowledgedStored } from "./checkers/acknowledged_stored.ts";
import { boundedQueues } from "./checkers/bounded_queues.ts";
import { type Checker, type Handling, type Life, watchedOps } from "./checkers/checker.ts";
import { completedOnce } from "./checkers/completed_once.ts";
import { effectsOrder } from "./checkers/effects_order.ts";
import { eventsNumbered } from "./checkers/events_numbered.ts";
import { goneBeforeReplaced } from "./checkers/gone_before_replaced.ts";
import { idleWritesNothing } from "./checkers/idle_writes_nothing.ts";
import { instanceOnce } from "./checkers/instance_once.ts";
import { launchesOrdered } from "./checkers/launches_ordered.ts";
import { linesForward } from "./checkers/lines_forward.ts";
import { majorityDecides } from "./checkers/majority_decides.ts";
import { messagesConserved } from "./checkers/messages_conserved.ts";
import { messagesOnce } from "./checkers/messages_once.ts";
import { oneFtmPerEpoch } from "./checkers/one_ftm_per_epoch.ts";
import { ordersStored } from "./checkers/orders_stored.ts";
import { placementWaits } from "./checkers/placement_waits.ts";
import { promisesKept } from "./checkers/promises_kept.ts";
import { restoredEqualsCommitted } from "./checkers/restored_equals_committed.ts";
import { stateNeverBad } from "./checkers/state_never_bad.ts";
import { takeoverByMajority } from "./checkers/takeover_by_majority.ts";
import { guarded } from "./plain_data.ts";
import { SimClock } from "./sim_clock.ts";
import { BeatPorts } from "./sim_heartbeats.ts";
import { SimNetwork } from "./sim_network.ts";
import { SimNode, type SimWatch } from "./sim_node.ts";
import { SimMachine, type SimProcess } from "./sim_processes.ts";

/** Nodes that a node is told to ask when it joins. */
const joinMax = 8;

/** A broken rule. */
export class Violation extends Error {
  override readonly name = "Violation";
  constructor(readonly rule: string, text: string, readonly atMs: number) {
    super(`${rule}: ${text}`);
  }
}

/** What a cluster is made of. */
export interface ClusterOptions {
  readonly seed: number;
  readonly nodes: number;
  /** Handlers get frozen data: slower. */
  readonly frozen?: boolean;
  /** Takes the trace, line by line. */
  readonly trace?: (line: string) => void;
  /** Of very many nodes: without the checkers that remember every message or look at every node at each step, and without a digest. */
  readonly large?: boolean;
}

/** Nodes `n1`, `n2`, … of which the first starts the cluster. */
export class SimCluster {
  readonly clock = new SimClock();
  readonly network: SimNetwork;
  readonly nodes: SimNode[];
  readonly random: RandomSource;
  /** Randomness of faults and workload: the same whatever the armors draw. */
  readonly plan: RandomSource;
  violation: Violation | undefined;
  /** Set when the last fault has been made good. */
  faultsAreOver = false;
  /** Commits of all armors so far. */
  commits = 0;
  steps = 0;
  /** Who committed lately, for those who wonder why it is not quiet. */
  readonly lately: string[] = [];
  readonly #byName: ReadonlyMap<string, SimNode>;
  readonly #hash: Hash = createHash("sha256");
  readonly #events = new Map<string, DataRecord>();
  readonly #starts = new Map<string, number>();
  readonly #lives = new Map<SimProcess, Life>();
  readonly #checkers: readonly Checker[];

  constructor(readonly options: ClusterOptions) {
    this.random = seededRandom(options.seed);
    this.plan = seededRandom(options.seed ^ 0x5bd1e995);
    const names = Array.from({ length: options.nodes }, (_, index) => `n${index + 1}`);
    this.network = new SimNetwork(this.clock, this.random, (name) => this.node(name).machine.on && !this.node(name).machine.suspended);
    const ports = new BeatPorts();
    const fail = (rule: string, text: string): void => {
      if (!this.violation) this.trace(`BROKEN ${rule}: ${text}`);
      this.violation ??= new Violation(rule, text, this.clock.nowMs);
    };
    const heavy = options.large ? [] : [messagesOnce(fail), messagesConserved(fail), majorityDecides(fail), boundedQueues(fail)];
    this.#checkers = [
      ...heavy,
      acknowledgedStored(fail),
      ordersStored(fail),
      effectsOrder(fail),
      oneFtmPerEpoch(fail),
      takeoverByMajority(fail),
      promisesKept(fail),
      linesForward(fail),
      placementWaits(fail),
      instanceOnce(fail),
      launchesOrdered(fail),
      completedOnce(fail),
      goneBeforeReplaced(fail),
      eventsNumbered(fail),
      restoredEqualsCommitted(fail),
      idleWritesNothing(fail),
      stateNeverBad(fail),
    ];
    const watch = this.#watch(fail);
    this.nodes = names.map((name, index) => {
      const machine = new SimMachine(name, this.clock, this.random);
      machine.misled = ({ pid }, signal) => fail("identities", `${signal} hits pid ${pid} of ${name}, which is no process of Armor`);
      // One list for all, or the first is to start the cluster.
      const join = index === 0 && options.seed % 3 !== 0 ? [] : names.slice(0, joinMax).map((other) => `${other}:7000`);
      return new SimNode(name, machine, this.network, ports, this.random, join, watch);
    });
    this.#byName = new Map(this.nodes.map((node) => [node.name, node]));
  }

  node(name: string): SimNode {
    return this.#byName.get(name)!;
  }

  /** Living processes of a role. */
  processes(role?: string): { readonly node: SimNode; readonly process: SimProcess }[] {
    return this.nodes.flatMap((node) => node.machine.all(role).map((process) => ({ node, process })));
  }

  /** All living armors: a loss of power is no death that anybody hears of. */
  get lives(): Life[] {
    return [...this.#lives.values()].filter(({ process }) => process.alive);
  }

  /** A living armor's life. */
  life(process: SimProcess): Life | undefined {
    return this.#lives.get(process);
  }

  /** Let time pass, until a rule is broken. */
  async run(milliseconds: number): Promise<void> {
    const untilMs = this.clock.nowMs + milliseconds;
    while (this.clock.nowMs < untilMs && !this.violation) await this.clock.runUntil(Math.min(untilMs, this.clock.nowMs + 50));
  }

  /** The run is over: the checkers have their last word. */
  end(): void {
    for (const checker of this.#checkers) checker.over?.(this.lives);
  }

  /** Equal for equal runs. */
  digest(): string {
    return this.#hash.copy().digest("hex");
  }

  /** A line of the trace. */
  trace(line: string): void {
    if (this.options.large && !this.options.trace) return;
    const text = `${this.clock.nowMs} ${line}\n`;
    this.#hash.update(text);
    this.options.trace?.(text.trimEnd());
  }

  #watch(fail: (rule: string, text: string) => void): SimWatch {
    return {
      elements: (process, elements) => elements.map((element) => this.#watched(process, this.options.frozen ? guarded(element) : element)),
      made: (node, process, kernel, store, follows) => {
        const life: Life = { node, process, kernel, store, follows };
        this.#lives.set(process, life);
        const step = kernel.step.bind(kernel);
        kernel.step = (event, nowMs) => {
          const effects = step(event, nowMs);
          this.#stepped(life, event, effects);
          return effects;
        };
        this.trace(`${node.name} ${kernel.armor} made ${kernel.generation.epoch}.${kernel.generation.node}.${kernel.generation.counter} ${follows}`);
        for (const checker of this.#checkers) checker.made?.(life);
        process.onDeath.push(() => {
          this.trace(`${node.name} ${kernel.armor} died`);
          this.#lives.delete(process);
          for (const checker of this.#checkers) checker.died?.(life);
        });
      },
      sent: (process, frame) => {
        const life = this.#lives.get(process);
        if (life) for (const checker of this.#checkers) checker.sent?.(life, frame);
      },
      ended: (node, process, status) => {
        this.trace(`${node.name} ${process.name} exits ${status}`);
        if (status === 70) fail("fail-silent", `${process.name} of ${node.name} ended itself: a broken invariant`);
      },
      programStarted: (node, program, number) => {
        this.#starts.set(program.name, (this.#starts.get(program.name) ?? 0) + 1);
        this.trace(`${node.name} program ${program.name} starts as ${program.pid}`);
        program.onDeath.push(() => this.trace(`${node.name} program ${program.name} ${program.pid} ended`));
        for (const checker of this.#checkers) checker.programStarted?.(node, program, number);
      },
      events: (node, events) => {
        for (const checker of this.#checkers) checker.eventsStored?.(node, events);
        for (const event of events) {
          const origin = String(event["origin"]);
          if (!node.disk.events.has(origin)) {
            node.disk.events.set(origin, this.#kept(origin, event));
            if (this.options.trace && [...this.nodes].every((one) => one === node || !one.disk.events.has(origin))) {
              const { kind, subject, cause, node: at, from } = event;
              const more = `${from ? `from ${String(from)} ` : ""}${cause === undefined ? "" : String(cause)}`;
              this.options.trace(`${this.clock.nowMs} EVENT ${String(kind)} ${String(subject)} at ${String(at)} ${more}`);
            }
          }
        }
      },
      faultsAreOver: () => this.faultsAreOver,
      starts: (instance) => this.#starts.get(instance) ?? 0,
      log: (text) => this.options.trace?.(`${this.clock.nowMs} LOG ${text}`),
      broken: fail,
    };
  }

  /** What all nodes keep alike is in this process once. */
  #kept(origin: string, event: DataRecord): DataRecord {
    const known = this.#events.get(origin);
    if (known && known["seq"] === event["seq"]) return known;
    this.#events.set(origin, event);
    return event;
  }

  #watched(process: SimProcess, element: Element): Element {
    if (!Object.keys(element.handlers).some((op) => watchedOps.has(op))) return element;
    const handlers: Record<string, Handler<never, never>> = { ...element.handlers } as never;
    for (const [op, handler] of Object.entries(element.handlers)) {
      if (!watchedOps.has(op)) continue;
      handlers[op] = ((state: never, thread: never) => {
        const life = this.#lives.get(process);
        const { message, payload } = thread as Omit<Handling, "state">;
        if (life) for (const checker of this.#checkers) checker.handling?.(life, op, { message, payload, state });
        return (handler as unknown as Handler<never, never>)(state, thread);
      }) as never;
    }
    return { ...element, handlers } as unknown as Element;
  }

  #stepped(life: Life, event: KernelEvent, effects: Effects): void {
    // A real process has ended where its exit was called.
    if (!life.process.alive) return;
    this.steps += 1;
    this.commits += effects.commits.length;
    const { node, kernel } = life;
    if (effects.commits.length > 0 && !this.options.large) {
      this.lately.push(`${this.clock.nowMs} ${kernel.armor}: ${describe(event)} ${effects.commits.map((commit) => Object.keys(commit).join("+")).join(" ")}`);
      if (this.lately.length > 20) this.lately.shift();
    }
    const quiet = event.kind === "local" && event.op.startsWith("heartbeat.");
    if ((!quiet || effects.commits.length > 0) && !(this.options.large && !this.options.trace)) {
      const { commits, sends, acks, work, commands } = effects;
      this.trace(`${node.name} ${kernel.armor} ${describe(event)} c${commits.length} s${sends.length} a${acks.length} w${work.length} ${commands.map(({ kind }) => kind).join(",")}`);
    }
    for (const checker of this.#checkers) checker.stepped?.(life, event, effects);
  }
}

function describe(event: KernelEvent): string {
  if (event.kind === "local") return `local ${event.op}`;
  if (event.kind === "work-done") return `work-done ${event.key}`;
  if (event.kind !== "frame") return event.kind;
  const { frame } = event;
  if (frame.type !== "data") return `${frame.type} from ${frame.from}`;
  return `data ${frame.lane} ${frame.sequence} from ${frame.from} ${opsIn(frame.body)}`;
}

/** Names of the ops in an encoded message, found without decoding it: the values of its keys `name`. */
function opsIn(body: Uint8Array): string {
  const bytes = Buffer.from(body.buffer, body.byteOffset, Math.min(body.length, 400));
  const names: string[] = [];
  for (let at = bytes.indexOf("dname"); at >= 0 && names.length < 4; at = bytes.indexOf("dname", at + 5)) {
    const head = bytes[at + 5] ?? 0;
    const [start, length] = head === 0x78 ? [at + 7, bytes[at + 6] ?? 0] : [at + 6, head - 0x60];
    const name = bytes.toString("latin1", start, start + length);
    if (name.includes(".")) names.push(name);
  }
  return names.join(",");
}
