/**
 * Microkernels over a seeded network in virtual time. Every frame, record and
 * snapshot goes through the codec; handlers get frozen data; an armor can crash
 * between any two of the effects of a step, and come back from its store.
 *
 * @module
 */
import { decode } from "../../core/codec.ts";
import type { DurableState } from "../../core/durable_state.ts";
import type { Diagnostic, Effects, HostCommand } from "../../core/effects.ts";
import type { Completion, Element, EventRecord } from "../../core/element.ts";
import type { Data } from "../../core/data.ts";
import type { Frame } from "../../core/frame.ts";
import type { Generation } from "../../core/generation.ts";
import type { Message } from "../../core/message.ts";
import type { Payload } from "../../core/payload.ts";
import type { KernelEvent } from "../../core/kernel_event.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { type RandomSource, seededRandom } from "../../core/random.ts";
import { comparable, KernelStore } from "./kernel_store.ts";
import { encodePlain, guarded } from "./plain_data.ts";

/** How unkind the network is; parts of a thousand. */
export interface NetworkFaults {
  readonly drop: number;
  readonly duplicate: number;
  /** Frames may overtake one another. */
  readonly reorder: boolean;
  readonly delayMaxMs: number;
}

/** Nothing lost, one millisecond, in order. */
export const kindNetwork: NetworkFaults = { drop: 0, duplicate: 0, reorder: false, delayMaxMs: 1 };

/** Host work in the simulation: what an armor's host would do outside the core. */
export type SimulatedWork = (key: string, args: Data) => { readonly delayMs: number; readonly completion: Completion };

/** How an armor is installed. */
export interface InstallOptions {
  readonly generation?: Generation;
  /** Its checkpoints from an earlier life. */
  readonly store?: KernelStore;
  /** Payload of `armor.started`. */
  readonly payload?: Payload;
}

/** One armor of the simulation. */
export interface SimulatedArmor {
  readonly id: string;
  /** What it is made of, given what its store holds. */
  readonly elements: (saved: DurableState | undefined) => readonly Element[];
  store: KernelStore;
  generation: Generation;
  /** `undefined` while crashed. */
  kernel: Microkernel | undefined;
  /** Counts lives, so that work and ticks of an earlier life are dropped. */
  life: number;
  /** Effects that are still carried out before the process dies. */
  dieAfter: number | undefined;
  wakeAtMs: number | undefined;
}

type Happening = { readonly atMs: number; readonly order: number; readonly run: () => void };

/** Armors, wires and a clock. */
export class KernelNetwork {
  nowMs = 1_000;
  /** Identity of the boot of this clock. */
  boot = "boot-1";
  faults: NetworkFaults = kindNetwork;
  readonly armors = new Map<string, SimulatedArmor>();
  /** Every event ever committed, by whom. */
  readonly events: { readonly armor: string; readonly event: EventRecord }[] = [];
  /** How often work was started, by key. */
  readonly worked = new Map<string, number>();
  readonly commands: { readonly armor: string; readonly command: HostCommand }[] = [];
  /** Segments that failed, by armor. */
  readonly diagnostics: { readonly armor: string; readonly diagnostic: Diagnostic }[] = [];
  /** Performs commands; without it they are only kept. */
  onCommand: ((armor: string, command: HostCommand) => void) | undefined;
  /** Takes a frame that has arrived; replaced where frames pass through gateways. */
  deliver: (frame: Frame) => void = (frame) => {
    if (!this.cut.has(`${frame.from} ${frame.to}`)) this.step(frame.to, { kind: "frame", frame });
  };
  /** Encoded effects in order, where asked for. */
  readonly trace: Uint8Array[] = [];
  traced = false;
  /** After each commit: what a restore would give equals what the microkernel holds. */
  compared = true;
  /** Pairs that cannot hear one another: `a b`. */
  readonly cut = new Set<string>();
  framesSent = 0;
  readonly random: RandomSource;
  readonly #happenings: Happening[] = [];
  readonly #lastArrivalMs = new Map<string, number>();
  readonly #work: Record<string, SimulatedWork>;
  readonly #eventSink: (armor: string) => string | undefined;
  #order = 0;
  #inSameMs = 0;

  constructor(seed: number, options: { readonly work?: Record<string, SimulatedWork>; readonly eventSink?: string | ((armor: string) => string) } = {}) {
    this.random = seededRandom(seed);
    this.#work = options.work ?? {};
    const { eventSink } = options;
    this.#eventSink = typeof eventSink === "function" ? eventSink : () => eventSink;
  }

  /** Install an armor and start it, in place of one of that name. */
  add(id: string, elements: readonly Element[] | SimulatedArmor["elements"], { generation = { epoch: 1, node: "n1", counter: 0 }, store = new KernelStore(), payload }: InstallOptions = {}): SimulatedArmor {
    const armor: SimulatedArmor = {
      id,
      elements: (saved) => (typeof elements === "function" ? elements(saved) : elements).map(guarded),
      store,
      generation,
      kernel: undefined,
      life: (this.armors.get(id)?.life ?? 0) + 1,
      dieAfter: undefined,
      wakeAtMs: undefined,
    };
    this.armors.set(id, armor);
    armor.kernel = this.#make(armor);
    if (armor.kernel.needsSnapshot || store.empty) store.writeSnapshot(armor.kernel.snapshot());
    this.#step(armor, { kind: "start", ...(payload && { payload }) });
    return armor;
  }

  armor(id: string): SimulatedArmor {
    return this.armors.get(id)!;
  }

  /** Durable state of an element, also of a crashed armor. */
  state<S>(id: string, element: string): S {
    const armor = this.armor(id);
    return (armor.kernel ?? this.#make(armor)).state(element) as S;
  }

  /** The host of an armor says something; lost if the armor is down. */
  local(id: string, op: string, payload: Payload = {}): void {
    this.step(id, { kind: "local", op, payload });
  }

  /** Hand an event to an armor; lost if it is down. */
  step(id: string, event: KernelEvent): void {
    const armor = this.armors.get(id);
    if (armor?.kernel) this.#step(armor, event);
  }

  /** The process dies after so many more effects: records, frames, work and commands, one by one. */
  crashAfter(id: string, effects: number): void {
    const armor = this.armor(id);
    if (!armor.kernel) return;
    if (effects === 0) this.#die(armor);
    else armor.dieAfter = effects;
  }

  /** Start a crashed armor again from its store. */
  restart(id: string, payload: Payload = {}): void {
    const armor = this.armor(id);
    if (armor.kernel) return;
    armor.kernel = this.#make(armor);
    if (armor.kernel.needsSnapshot) armor.store.writeSnapshot(armor.kernel.snapshot());
    this.#step(armor, { kind: "start", payload });
  }

  /** Crash, lose the last `commits` records and come back under a new generation. */
  rewind(id: string, commits: number): void {
    const armor = this.armor(id);
    this.#die(armor);
    armor.store.loseAfter(Math.max(armor.store.oldest, armor.store.commit - commits));
    armor.generation = { ...armor.generation, counter: armor.generation.counter + 1 };
    this.restart(id);
  }

  /** Crash and begin anew under a new generation, without a checkpoint. */
  renew(id: string): void {
    const armor = this.armor(id);
    this.#die(armor);
    armor.store = new KernelStore();
    armor.generation = { ...armor.generation, epoch: armor.generation.epoch + 1 };
    armor.kernel = this.#make(armor);
    armor.store.writeSnapshot(armor.kernel.snapshot());
    this.#step(armor, { kind: "start" });
  }

  /** Write a snapshot, as the host may at any time. */
  snapshot(id: string): void {
    const armor = this.armor(id);
    if (armor.kernel) armor.store.writeSnapshot(armor.kernel.snapshot());
  }

  /** Let time pass. */
  advance(milliseconds: number): void {
    const untilMs = this.nowMs + milliseconds;
    while (this.#nextMs() <= untilMs) this.#happen();
    this.nowMs = untilMs;
  }

  /**
   * Faults end, everybody is up: run until nothing is on its way and nobody wants to be woken, or `milliseconds` have passed.
   *
   * @returns Whether it became quiet.
   */
  settle(milliseconds = 60_000): boolean {
    this.faults = kindNetwork;
    this.cut.clear();
    for (const armor of this.armors.values()) {
      armor.dieAfter = undefined;
      this.restart(armor.id);
    }
    const untilMs = this.nowMs + milliseconds;
    while (this.#nextMs() <= untilMs) this.#happen();
    return this.#nextMs() === Infinity;
  }

  #make(armor: SimulatedArmor): Microkernel {
    const sink = this.#eventSink(armor.id);
    return new Microkernel({
      armor: armor.id,
      generation: armor.generation,
      elements: armor.elements(armor.store.folded),
      random: seededRandom(this.random.below(2 ** 31)),
      boot: this.boot,
      ...(sink !== undefined && { eventSink: sink }),
      diagnose: (diagnostic) => void this.diagnostics.push({ armor: armor.id, diagnostic }),
      ...(armor.store.empty ? {} : { restored: armor.store.restore() }),
    });
  }

  #die(armor: SimulatedArmor): void {
    armor.kernel = undefined;
    armor.life += 1;
    armor.dieAfter = undefined;
    armor.wakeAtMs = undefined;
  }

  #step(armor: SimulatedArmor, event: KernelEvent): void {
    const effects = armor.kernel!.step(event, this.nowMs);
    if (this.traced) this.trace.push(encodePlain({ ...effects, wakeAtMs: effects.wakeAtMs ?? null }));
    armor.wakeAtMs = effects.wakeAtMs;
    const kernel = armor.kernel!;
    const alive = this.#perform(armor, effects);
    if (alive && this.compared && effects.commits.length > 0) {
      const held = comparable(kernel.snapshot());
      const restorable = armor.store.restorable();
      if (held !== restorable) {
        const text = (snapshot: unknown): string => JSON.stringify(snapshot, (_, value) => value instanceof Uint8Array ? `${value.length} bytes` : value);
        throw new Error(`restored state of "${armor.id}" differs: ${text(kernel.snapshot())} records ${text(effects.commits)}`);
      }
    }
  }

  /** Carry out effects one by one; false if the process died meanwhile. */
  #perform(armor: SimulatedArmor, { commits, sends, acks, work, commands }: Effects): boolean {
    const actions = [
      ...commits.map((record) => () => {
        armor.store.append(record);
        for (const { body } of record.sent ?? []) this.#collect(armor.id, decode(body) as Message);
        for (const continuation of Object.values(record.continuations ?? {})) if (continuation) this.#collect(armor.id, continuation.message);
      }),
      ...[...acks, ...sends].map((frame) => () => this.#transmit(frame)),
      ...work.map((request) => () => this.#startWork(armor, request)),
      ...commands.map((command) => () => this.#command(armor.id, decode(encodePlain(command)) as HostCommand)),
    ];
    for (const action of actions) {
      action();
      if (armor.dieAfter !== undefined && --armor.dieAfter === 0) {
        this.#die(armor);
        return false;
      }
    }
    return true;
  }

  #command(armor: string, command: HostCommand): void {
    if (this.onCommand) this.onCommand(armor, command);
    else this.commands.push({ armor, command });
  }

  #collect(armor: string, { ops, payload, from }: Message): void {
    if (ops[0]?.name !== "events.note" || from !== armor) return;
    for (const event of payload["events"] as EventRecord[]) this.events.push({ armor, event });
  }

  #transmit(frame: Frame): void {
    this.framesSent += 1;
    const bytes = encodePlain(frame);
    const { drop, duplicate, reorder, delayMaxMs } = this.faults;
    if (this.random.below(1_000) < drop) return;
    const copies = this.random.below(1_000) < duplicate ? 2 : 1;
    const wire = `${frame.from} ${frame.to}`;
    for (let copy = 0; copy < copies; copy++) {
      const earliestMs = this.nowMs + this.random.below(delayMaxMs + 1);
      const atMs = reorder ? earliestMs : Math.max(earliestMs, this.#lastArrivalMs.get(wire) ?? 0);
      this.#lastArrivalMs.set(wire, atMs);
      this.#at(atMs, () => this.deliver(decode(bytes) as Frame));
    }
  }

  #startWork(armor: SimulatedArmor, { key, kind, args }: Effects["work"][number]): void {
    this.worked.set(key, (this.worked.get(key) ?? 0) + 1);
    const { life } = armor;
    const { delayMs, completion } = this.#work[kind]!(key, args);
    this.#at(this.nowMs + delayMs, () => {
      if (armor.life === life) this.#step(armor, { kind: "work-done", key, completion });
    });
  }

  /** Something happens after so many milliseconds. */
  after(delayMs: number, run: () => void): void {
    this.#at(this.nowMs + delayMs, run);
  }

  #at(atMs: number, run: () => void): void {
    const order = this.#order++;
    let low = 0;
    let high = this.#happenings.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#happenings[middle]!.atMs <= atMs) low = middle + 1;
      else high = middle;
    }
    this.#happenings.splice(low, 0, { atMs, order, run });
  }

  #nextMs(): number {
    let nextMs = this.#happenings[0]?.atMs ?? Infinity;
    for (const { kernel, wakeAtMs } of this.armors.values()) {
      if (kernel && wakeAtMs !== undefined) nextMs = Math.min(nextMs, wakeAtMs);
    }
    return nextMs;
  }

  #happen(): void {
    const atMs = this.#nextMs();
    this.#inSameMs = atMs > this.nowMs ? 0 : this.#inSameMs + 1;
    if (this.#inSameMs > 100_000) throw new Error(`time stands still at ${this.nowMs}`);
    this.nowMs = Math.max(this.nowMs, atMs);
    if (this.#happenings[0]?.atMs === atMs) return this.#happenings.shift()!.run();
    for (const armor of this.armors.values()) {
      if (armor.kernel && armor.wakeAtMs !== undefined && armor.wakeAtMs <= atMs) return this.#step(armor, { kind: "tick" });
    }
  }
}
