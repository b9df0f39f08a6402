/**
 * An armor in memory, in virtual time, for the tests of those who write elements:
 * the real microkernel, and around it peers that take every message, a clock that
 * moves when it is told to, and a checkpoint that goes through CBOR.
 *
 * @module
 */
import type { CommitRecord, Snapshot } from "./checkpoint.ts";
import { decode, encode } from "./codec.ts";
import type { Data, DataRecord } from "./data.ts";
import type { Effects, HostCommand } from "./effects.ts";
import { type Completion, type Element, element, type EventRecord, type Handler, type Reconfiguration } from "./element.ts";
import { ArmorError } from "./errors.ts";
import type { Frame } from "./frame.ts";
import type { Generation } from "./generation.ts";
import { limits } from "./limits.ts";
import { type Failure, type Lane, type Message, opFailed } from "./message.ts";
import { type ArmorId, type MicroOperation, op } from "./micro_operation.ts";
import { Microkernel } from "./microkernel.ts";
import type { Payload } from "./payload.ts";
import { seededRandom } from "./random.ts";

/** What became of a message that a test has sent; fields change when it is back. */
export interface Outcome {
  /** `waiting`: suspended in the armor, or on its way elsewhere. */
  readonly status: "waiting" | "done" | "failed";
  /** As it came back; empty before. */
  readonly payload: Payload;
  /** Why it failed. */
  readonly failure: Failure | undefined;
}

/** A message that left the armor. */
export interface SentMessage {
  /** The armor that runs the first op. */
  readonly to: ArmorId;
  /** `user` unless the element said otherwise. */
  readonly lane: Lane;
  /** The itinerary as it left. */
  readonly ops: readonly MicroOperation[];
  /** As it left. */
  readonly payload: Payload;
}

/** Blocking work that waits for {@link TestArmor.finish}. */
export interface PendingWork {
  /** Of the suspended thread. */
  readonly key: string;
  /** As the element asked for it. */
  readonly kind: string;
  /** As the element gave them; `null` if it gave none. */
  readonly args: Data;
}

/** How a {@link TestArmor} is made. */
export interface TestArmorOptions {
  /** Default: `armor`. */
  readonly armor?: ArmorId;
  /** Seed of the armor's randomness. Default: 1. */
  readonly seed?: number;
  /** Payload of `armor.started`. */
  readonly started?: Payload;
}

const generation: Generation = { epoch: 1, node: "test", counter: 0 };
const tester = "tester";
const done = "tester.done";
const sink = "events";

/**
 * Make an armor of these elements and start it.
 *
 * State, message and payload are frozen before a handler sees them, and every
 * state must survive CBOR unchanged: what works here works in a process.
 *
 * @example
 * ```ts
 * import { element } from "./element.ts";
 * import { makeArmor } from "./test_armor.ts";
 * const counter = element({
 *   name: "counter",
 *   version: 1,
 *   state: { count: 0 },
 *   handlers: { "counter.add": ({ count }, { payload }) => ({ count: count + Number(payload["by"] ?? 1) }) },
 * });
 * const armor = makeArmor([counter]);
 * armor.send("counter.add", { by: 2 });
 * armor.restart();
 * console.assert((armor.state("counter") as { count: number }).count === 2);
 * ```
 */
export function makeArmor(elements: readonly Element[], options: TestArmorOptions = {}): TestArmor {
  return new TestArmor(elements, options);
}

/**
 * An armor under test; made by {@link makeArmor}.
 *
 * @example
 * ```ts
 * import { element } from "./element.ts";
 * import { makeArmor, type TestArmor } from "./test_armor.ts";
 * const clock = element({
 *   name: "clock",
 *   version: 1,
 *   state: { rings: 0 },
 *   handlers: {
 *     "clock.set": (_state, thread) => thread.after("ring", 100, "clock.ring"),
 *     "clock.ring": ({ rings }) => ({ rings: rings + 1 }),
 *   },
 * });
 * const armor: TestArmor = makeArmor([clock]);
 * armor.send("clock.set");
 * armor.advance(100);
 * console.assert((armor.state("clock") as { rings: number }).rings === 1);
 * ```
 */
export class TestArmor {
  /** Virtual milliseconds. */
  nowMs = 1_000;
  /** Messages that left the armor, oldest first; answers to the test's own are not among them. */
  readonly sent: SentMessage[] = [];
  /** Events reported with `thread.event`. */
  readonly events: EventRecord[] = [];
  /** What the elements asked of the host. */
  readonly commands: HostCommand[] = [];
  /** Blocking work that nobody has finished. */
  readonly work: PendingWork[] = [];
  readonly #options: Required<TestArmorOptions>;
  readonly #outcomes = new Map<string, { status: Outcome["status"]; payload: Payload; failure: Failure | undefined }>();
  #elements: readonly Element[];
  #kernel: Microkernel;
  #snapshot: Uint8Array;
  #records: Uint8Array[] = [];
  #wakeAtMs: number | undefined;
  #messages = 0;
  #sequences = { system: 0, user: 0 };
  #greeted = false;
  #change: Reconfiguration | undefined;

  /** @internal Use {@link makeArmor}. */
  constructor(elements: readonly Element[], { armor = "armor", seed = 1, started = {} }: TestArmorOptions) {
    this.#options = { armor, seed, started };
    this.#elements = elements;
    this.#kernel = this.#make(undefined);
    this.#snapshot = encode(this.#kernel.snapshot());
    this.#take(this.#kernel.step({ kind: "start", payload: started }, this.nowMs));
  }

  /**
   * Send a message: its itinerary is these ops and then the way back.
   *
   * @param ops An op's name, or ops in order; one without a place runs at the armor.
   */
  send(ops: string | readonly MicroOperation[], payload: Payload = {}, lane: Lane = "user"): Outcome {
    this.#messages += 1;
    const id = `${tester}/${this.#messages}`;
    const to = this.#options.armor;
    const itinerary = typeof ops === "string" ? [op(ops)] : ops;
    const message = { id, from: tester, to, lane, ops: [...itinerary, op(done, tester)], payload, executed: 0, segments: 0, hops: 1 } satisfies Message;
    const outcome = { status: "waiting" as Outcome["status"], payload: {}, failure: undefined };
    this.#outcomes.set(id, outcome);
    const frame = { from: tester, to, fromGeneration: generation, toGeneration: generation } as const;
    if (!this.#greeted) {
      this.#greeted = true;
      this.#step({ kind: "frame", frame: { type: "hello", from: tester, to, fromGeneration: generation, attempt: 1 } });
    }
    this.#sequences[lane] += 1;
    this.#step({ kind: "frame", frame: { ...frame, type: "data", lane, sequence: this.#sequences[lane], body: encode(message) } });
    return outcome;
  }

  /** Have the host say something, as a local message without an answer: `liveness.changed`, say. */
  local(name: string, payload: Payload = {}): void {
    this.#step({ kind: "local", op: name, payload: decode(encode(payload)) as Payload });
  }

  /** Let time pass; timers run when they are due. */
  advance(milliseconds: number): void {
    const untilMs = this.nowMs + milliseconds;
    while (this.#wakeAtMs !== undefined && this.#wakeAtMs <= untilMs) {
      this.nowMs = Math.max(this.nowMs, this.#wakeAtMs);
      this.#step({ kind: "tick" });
    }
    this.nowMs = untilMs;
  }

  /** Finish blocking work; the oldest unless told otherwise. */
  finish(completion: Completion, work: PendingWork | undefined = this.work[0]): void {
    if (!work) throw new ArmorError("no_work", "Cannot finish work: there is none");
    this.work.splice(this.work.indexOf(work), 1);
    this.#step({ kind: "work-done", key: work.key, completion });
  }

  /** An element's durable state. */
  state(name: string): DataRecord | undefined {
    return this.#kernel.state(name);
  }

  /** An element's volatile part. */
  volatile(name: string): unknown {
    return this.#kernel.volatile(name);
  }

  /** Names and versions of the elements, in order. */
  get elements(): readonly string[] {
    return this.#kernel.describe().filter(({ name }) => name !== helper).map(({ name, version }) => `${name} ${version}`);
  }

  /**
   * Change an element while the armor runs, as `armor element` does.
   *
   * @returns Why it was refused; `undefined`: it is changed.
   */
  reconfigure(change: Reconfiguration): string | undefined {
    const [verb, value] = Object.entries(change)[0] as ["add" | "replace" | "remove", Element | string];
    this.#change = typeof value === "string" ? { remove: value } : ({ [verb]: guarded(value) } as Reconfiguration);
    const { failure } = this.send(`${helper}.change`);
    if (failure) return failure.text;
    const name = typeof value === "string" ? value : value.name;
    const others = this.#elements.filter((one) => one.name !== name);
    const at = this.#elements.findIndex((one) => one.name === name);
    if (typeof value === "string") this.#elements = others;
    else this.#elements = at < 0 ? [...others, value] : this.#elements.map((one, index) => (index === at ? value : one));
    return undefined;
  }

  /** The process dies and comes back from its checkpoint: what is volatile is gone, unfinished work begins again. */
  restart(): void {
    const snapshot = decode(this.#snapshot) as Snapshot;
    const records = this.#records.map((record) => decode(record) as CommitRecord);
    this.work.length = 0;
    this.#kernel = this.#make({ snapshot, records });
    this.#take(this.#kernel.step({ kind: "start", payload: this.#options.started }, this.nowMs));
  }

  #make(restored: { readonly snapshot: Snapshot; readonly records: readonly CommitRecord[] } | undefined): Microkernel {
    const changer = element({ name: helper, version: 1, state: {}, handlers: { [`${helper}.change`]: (_state, thread) => thread.reconfigure(this.#change!) } });
    return new Microkernel({
      armor: this.#options.armor,
      generation,
      elements: [...this.#elements.map(guarded), changer],
      random: seededRandom(this.#options.seed),
      eventSink: sink,
      ...(restored && { restored }),
    });
  }

  #step(event: Parameters<Microkernel["step"]>[0]): void {
    this.#take(this.#kernel.step(event, this.nowMs));
  }

  /** Carry out the effects of a step; what peers answer to it follows at once. */
  #take({ commits, sends, work, commands, wakeAtMs }: Effects): void {
    this.#wakeAtMs = wakeAtMs;
    for (const record of commits) this.#records.push(encode(record));
    for (const { peer, lane, body } of commits.flatMap((record) => record.sent ?? [])) this.#collect(peer, lane, decode(body) as Message);
    this.work.push(...work);
    this.commands.push(...commands);
    for (const frame of sends) for (const answer of answers(frame)) this.#step({ kind: "frame", frame: answer });
  }

  #collect(to: ArmorId, lane: Lane, { id, ops, payload }: Message): void {
    if (to === sink) this.events.push(...(payload["events"] as EventRecord[]));
    else if (to !== tester) this.sent.push({ to, lane, ops, payload });
    else if (ops[0]!.name === done) this.#end(id, { status: "done", payload, failure: undefined });
    else if (ops[0]!.name === opFailed) {
      const message = payload["message"] as unknown as Message;
      this.#end(message.id, { status: "failed", payload: message.payload, failure: payload["failure"] as Failure });
    }
  }

  #end(id: string, outcome: { status: Outcome["status"]; payload: Payload; failure: Failure | undefined }): void {
    const known = this.#outcomes.get(id);
    if (known) Object.assign(known, outcome);
  }
}

const helper = "test-armor";

/** Peers that agree to everything and acknowledge every message. */
function answers(frame: Frame): Frame[] {
  const back = { from: frame.to, to: frame.from, fromGeneration: generation, toGeneration: frame.fromGeneration };
  const window = limits.windowMax;
  if (frame.type === "data") return [{ ...back, type: "ack", lane: frame.lane, mark: frame.sequence, window }];
  if (frame.type !== "hello") return [];
  return [{ ...back, type: "welcome", marks: { system: 0, user: 0 }, known: true, attempt: frame.attempt, window }];
}

/** The element with frozen arguments, whose results must be plain data. */
function guarded(one: Element): Element {
  const handlers: Record<string, Handler<DataRecord, unknown>> = {};
  for (const [name, handler] of Object.entries(one.handlers)) {
    handlers[name] = (state, thread) => {
      freeze(state);
      freeze(thread.message as unknown as Data);
      for (const field of Object.values(thread.payload)) freeze(field);
      const next = handler(state, thread);
      if (next) encode(next);
      return next;
    };
  }
  return { ...one, handlers };
}

function freeze(value: Data | undefined): void {
  if (typeof value !== "object" || value === null || value instanceof Uint8Array || Object.isFrozen(value)) return;
  Object.freeze(value);
  for (const item of Object.values(value)) freeze(item as Data);
}
