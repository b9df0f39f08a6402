/**
 * Segment: the part of a thread that runs to the next blocking op, hop or end.
 * It is a transaction: element changes, outgoing messages and "message handled"
 * commit together or not at all. This file runs one segment over staged copies;
 * nothing here changes the microkernel.
 *
 * @module
 */
import type { DataRecord } from "./data.ts";
import type { HostCommand } from "./effects.ts";
import type { Completion, Element, EventRecord, OutgoingMessage, Reconfiguration, Thread, WorkRequest } from "./element.ts";
import { OperationError } from "./errors.ts";
import type { Generation } from "./generation.ts";
import { invariant } from "./invariant.ts";
import { limits } from "./limits.ts";
import type { Failure, Message } from "./message.ts";
import type { ArmorId, MicroOperation } from "./micro_operation.ts";
import type { Payload } from "./payload.ts";
import type { RandomSource } from "./random.ts";
import { planReconfiguration, type ReconfigurationPlan } from "./reconfiguration.ts";
import { isBlocking, type SubscriptionList } from "./subscription_list.ts";
import type { Timer, Timers } from "./timers.ts";

/** What a segment needs of the armor around it. */
export interface SegmentContext {
  readonly self: ArmorId;
  readonly generation: Generation;
  readonly nowMs: number;
  readonly random: RandomSource;
  readonly subscriptions: SubscriptionList;
  readonly states: ReadonlyMap<string, DataRecord>;
  readonly volatiles: ReadonlyMap<string, unknown>;
  /** Messages the lane to a peer can still take. */
  room(peer: ArmorId, lane: Message["lane"]): number;
  readonly continuations: number;
  readonly timers: Pick<Timers, "get" | "size" | "max">;
  /** Messages that this armor holds: suspended, or not yet acknowledged by their receivers. */
  waiting(): Iterable<Message>;
  /** The first op goes to this element alone. */
  readonly only?: string;
}

/** How a segment ended. */
export type SegmentEnd =
  | { readonly kind: "done" }
  | { readonly kind: "hop"; readonly ops: readonly MicroOperation[] }
  /** The rest is for the elements as they are after the commit. */
  | { readonly kind: "reconfigured"; readonly ops: readonly MicroOperation[] }
  | { readonly kind: "blocked"; readonly ops: readonly MicroOperation[]; readonly work: WorkRequest }
  | { readonly kind: "failed"; readonly failure: Failure; readonly error?: unknown };

/** Everything a successful segment wants to change. */
export class Segment {
  readonly states = new Map<string, DataRecord>();
  readonly volatiles = new Map<string, unknown>();
  readonly sends: OutgoingMessage[] = [];
  readonly commands: HostCommand[] = [];
  readonly events: EventRecord[] = [];
  readonly timers: { key: string; timer: Timer | undefined }[] = [];
  readonly completions: { key: string; completion: Completion }[] = [];
  readonly forgotten: ArmorId[] = [];
  /** Ops run in this segment. */
  executed = 0;
  payload: Payload;
  /** The change to the armor's elements, if there is one. */
  plan: ReconfigurationPlan | undefined;
  #change: Reconfiguration | undefined;
  readonly #sendsTo = new Map<string, number>();
  #ops: MicroOperation[];
  #blocked: WorkRequest | undefined;

  constructor(readonly context: SegmentContext, readonly message: Message, readonly completion?: Completion) {
    this.#ops = [...message.ops];
    this.payload = { ...message.payload };
  }

  /** Run to the end of the segment. Never throws for faults of handlers, only for broken invariants. */
  run(): SegmentEnd {
    while (this.#ops.length > 0) {
      const next = this.#ops[0]!;
      if (next.at !== undefined && next.at !== this.context.self) return this.#hop();
      if (this.executed >= limits.opsPerThread || this.#ops.length > limits.itineraryOpsMax) {
        return this.#fail("limit", next.name, "", "too many ops");
      }
      const subscribers = this.#subscribers(next.name);
      if (subscribers.length === 0) {
        return this.#fail("unsubscribed", next.name, "", `no element of "${this.context.self}" handles "${next.name}"`);
      }
      this.#ops = this.#ops.slice(1);
      for (const element of subscribers) {
        const end = this.#runHandler(element, next.name, this.executed === 0 ? this.completion : undefined);
        if (end) return end;
      }
      if (this.#blocked) return { kind: "blocked", ops: [next, ...this.#ops], work: this.#blocked };
      this.executed += 1;
      if (this.#change) {
        const refused = this.#reconfigure(next.name);
        if (refused) return refused;
        const after = this.#ops[0];
        const stays = after && (after.at === undefined || after.at === this.context.self);
        if (stays) return { kind: "reconfigured", ops: this.#ops };
      }
    }
    return { kind: "done" };
  }

  #runHandler(element: Element, op: string, completion: Completion | undefined): SegmentEnd | undefined {
    const before = this.#state(element);
    try {
      const after = element.handlers[op]!(before, this.#thread(element, op, completion));
      if (after !== undefined && after !== before) this.states.set(element.name, after as DataRecord);
      const wrong = element.check?.(this.#state(element), this.#volatile(element));
      if (wrong !== undefined) return this.#fail("check", op, element.name, wrong);
    } catch (error) {
      if (error instanceof OperationError) return this.#fail(error.code, op, element.name, error.message);
      return this.#fail("handler-threw", op, element.name, `the handler of "${op}" failed`, error);
    }
    return undefined;
  }

  #subscribers(name: string): readonly Element[] {
    const { only, subscriptions } = this.context;
    const all = subscriptions.subscribers(name);
    return only !== undefined && this.executed === 0 ? all.filter((element) => element.name === only) : all;
  }

  /** Judge and stage the change of elements, on top of what the op's handlers have changed. */
  #reconfigure(op: string): SegmentEnd | undefined {
    const { subscriptions, states, volatiles } = this.context;
    const rest = { ...this.message, ops: this.#ops };
    const sends = this.sends.map(({ ops }) => ({ ...this.message, to: ops[0]!.at ?? this.context.self, ops }));
    try {
      this.plan = planReconfiguration(this.#change!, {
        self: this.context.self,
        subscriptions,
        state: (name) => this.states.get(name) ?? states.get(name),
        volatile: (name) => (this.volatiles.has(name) ? this.volatiles.get(name) : volatiles.get(name)),
        waiting: () => [rest, ...sends, ...this.context.waiting()],
      });
    } catch (error) {
      if (!(error instanceof OperationError)) throw error;
      return this.#fail(error.code, op, "", error.message, error);
    }
    const { name, state, volatile } = this.plan;
    this.states.delete(name);
    this.volatiles.delete(name);
    if (state) this.states.set(name, state);
    if (state) this.volatiles.set(name, volatile);
    return undefined;
  }

  #state(element: Element): DataRecord {
    return this.states.get(element.name) ?? this.context.states.get(element.name)!;
  }

  #volatile(element: Element): unknown {
    return this.volatiles.has(element.name) ? this.volatiles.get(element.name) : this.context.volatiles.get(element.name);
  }

  #hop(): SegmentEnd {
    const next = this.#ops[0]!;
    if (this.message.hops >= limits.hopsMax) return this.#fail("limit", next.name, "", "too many hops");
    if (!this.#reserve(next.at!, this.message.lane)) {
      return this.#fail("outbox-full", next.name, "", `too many messages wait for "${next.at}"`);
    }
    return { kind: "hop", ops: this.#ops };
  }

  #fail(code: string, op: string, element: string, text: string, error?: unknown): SegmentEnd {
    const failure = { code, op, element, text, armor: this.context.self, committed: this.message.segments };
    return { kind: "failed", failure, error };
  }

  #reserve(peer: ArmorId, lane: Message["lane"]): boolean {
    const key = `${lane} ${peer}`;
    const reserved = this.#sendsTo.get(key) ?? 0;
    if (this.#room(peer, lane) <= reserved) return false;
    this.#sendsTo.set(key, reserved + 1);
    return true;
  }

  /** A message to oneself waits as a continuation; beyond their bound there is room for one segment. */
  #room(peer: ArmorId, lane: Message["lane"]): number {
    const { self, continuations, room } = this.context;
    return peer === self ? limits.continuationsMax + limits.sendsPerSegmentMax - continuations : room(peer, lane);
  }

  #thread(element: Element, op: string, completion: Completion | undefined): Thread {
    const { context } = this;
    const volatile = (): unknown => this.#volatile(element);
    return {
      self: context.self,
      nowMs: context.nowMs,
      op,
      message: this.message,
      payload: this.payload,
      get volatile() {
        return volatile();
      },
      generation: context.generation,
      random: context.random,
      completion,
      setVolatile: (next) => void this.volatiles.set(element.name, next),
      insert: (...ops) => void this.#ops.unshift(...ops),
      append: (...ops) => void this.#ops.push(...ops),
      finish: () => void (this.#ops = []),
      send: (message) => {
        invariant(message.ops.length > 0, "a message has at least one op");
        if (this.sends.length >= limits.sendsPerSegmentMax) return false;
        if (!this.#reserve(message.ops[0]!.at ?? context.self, message.lane ?? "user")) return false;
        this.sends.push({ ...message, ops: [...message.ops], payload: { ...message.payload } });
        return true;
      },
      after: (name, delayMs, timerOp, payload = {}) => {
        if (!Number.isFinite(delayMs)) throw new OperationError("limit", `a timer of "${element.name}" has no delay`);
        const key = `${element.name} ${name}`;
        if (!context.timers.get(key) && context.timers.size + this.timers.length >= context.timers.max) {
          throw new OperationError("limit", `"${context.self}" has too many timers`);
        }
        this.timers.push({
          key,
          timer: { atMs: context.nowMs + delayMs, op: timerOp, payload: { ...payload } },
        });
      },
      cancel: (name) => void this.timers.push({ key: `${element.name} ${name}`, timer: undefined }),
      block: (work) => {
        invariant(isBlocking(element, op), `op "${op}" of "${element.name}" is not declared blocking`);
        invariant(this.#change === undefined, "a segment that changes elements does not block");
        if (context.continuations >= limits.continuationsMax) {
          throw new OperationError("limit", `"${context.self}" has too many suspended threads`);
        }
        // An op that blocks again after its completion counts as run: its work has a key of its own.
        if (completion && !this.#blocked) this.executed += 1;
        this.#blocked = work;
        return this.key;
      },
      complete: (key, result) => void this.completions.push({ key, completion: result }),
      command: (command) => void this.commands.push(command),
      event: (event) => void this.events.push(event),
      forgetPeer: (armor) => void this.forgotten.push(armor),
      describe: () => context.subscriptions.describe(),
      reconfigure: (change) => {
        invariant(this.#change === undefined && this.#blocked === undefined, "a segment changes one element, and does not block then");
        this.#change = change;
      },
    };
  }

  /** Key of the continuation, and of its work: the message and the ops done so far. */
  get key(): string {
    return `${this.message.id}#${this.message.executed + this.executed}`;
  }
}

