/**
 * Element: private state and the handlers of the micro-operations it subscribes
 * to. Elements are values: the microkernel owns their state, hands it out
 * read-only and takes the next state back, so undoing is keeping the old reference.
 *
 * @module
 */
import type { Data, DataRecord } from "./data.ts";
import type { HostCommand } from "./effects.ts";
import type { Epoch, Generation } from "./generation.ts";
import type { Lane, Message } from "./message.ts";
import type { ArmorId, MicroOperation } from "./micro_operation.ts";
import type { Payload } from "./payload.ts";
import type { RandomSource } from "./random.ts";

/** What a handler may see and ask for while it runs one op. All calls take effect with the segment or not at all. */
export interface Thread<V = unknown> {
  /** This armor. */
  readonly self: ArmorId;
  /** Monotonic milliseconds of the machine. */
  readonly nowMs: number;
  /** Name of the op being run. */
  readonly op: string;
  /** The message as it arrived here. */
  readonly message: Message;
  /** Read and write; private to this thread. */
  readonly payload: Payload;
  /** The element's volatile part: lost on restart, never written to disk. */
  readonly volatile: V;
  /** This armor's generation. */
  readonly generation: Generation;
  /** Injected randomness. */
  readonly random: RandomSource;
  /** Set when a blocking op is entered again after its work is done. */
  readonly completion: Completion | undefined;

  /** Replace the element's volatile part. */
  setVolatile(next: V): void;
  /** Run these ops directly after the current one. */
  insert(...ops: MicroOperation[]): void;
  /** Run these ops after all that are waiting. */
  append(...ops: MicroOperation[]): void;
  /** Drop the rest of the itinerary: the thread ends after this op. */
  finish(): void;
  /**
   * Start an independent message.
   *
   * @returns `false`, with nothing sent, if the lane to the next armor is full.
   */
  send(message: OutgoingMessage): boolean;
  /** Run `op` here after `delayMs` (0: as soon as possible). One timer per name and element; setting it again replaces it. Volatile. */
  after(name: string, delayMs: number, op: string, payload?: Payload): void;
  /** Forget a timer of this element. */
  cancel(name: string): void;
  /**
   * Only in ops declared blocking: end the segment here, keep the rest of the
   * thread as a durable continuation, and let the host do `work` (`kind: "wait"`
   * leaves it to {@link Thread.complete}). The op's handler runs again with
   * `completion` set.
   *
   * @returns The key of the continuation, for {@link Thread.complete}.
   */
  block(work: WorkRequest): string;
  /** Finish the blocking work of another thread of this armor. */
  complete(key: string, completion: Completion): void;
  /** Ask the host for something without a durable answer; answers, if any, come as local messages. */
  command(command: HostCommand): void;
  /** Record something an operator should know. Reaches the event log through the daemon. */
  event(event: EventRecord): void;
  /** Drop the channel to an armor that was removed for ever. */
  forgetPeer(armor: ArmorId): void;
  /** The elements of this armor, in order, with their versions and ops. */
  describe(): readonly ElementDescription[];
  /**
   * Add, remove or replace one element of this armor. The segment ends after
   * this op and commits together with the change; the rest of the thread runs
   * with the new elements. A change that cannot be made fails the segment as
   * `refused`, see `reconfiguration.ts`.
   */
  reconfigure(change: Reconfiguration): void;
}

/** A change to what an armor is made of; `replace` takes the place of the element of the same name. */
export type Reconfiguration =
  | { readonly add: Element }
  | { readonly replace: Element }
  | { readonly remove: string };

/** What status shows of an element. */
export type ElementDescription = { readonly name: string; readonly version: number; readonly ops: readonly string[] };

/** A message to be started: `to` is the `at` of the first op, or this armor. */
export interface OutgoingMessage {
  /** At least one. */
  readonly ops: readonly MicroOperation[];
  /** Copied; empty if absent. */
  readonly payload?: Payload;
  /** `user` if absent. */
  readonly lane?: Lane;
  /** Milliseconds from now; absent: none, but a user message comes back when its receiver has not admitted it in `timing.admissionMs`. */
  readonly deadlineMs?: number;
}

/** Work done outside the deterministic core. */
export interface WorkRequest {
  /** `wait`: completed by an element of this armor; otherwise a kind the host knows. */
  readonly kind: string;
  /** What the host is told. */
  readonly args?: Data;
  /** Completes with error `timeout` after this many milliseconds. */
  readonly timeoutMs?: number;
}

/** How blocking work ended. */
export type Completion =
  | { readonly ok: true; readonly value: Data }
  | { readonly ok: false; readonly error: string };

/** An event as elements report it; the FTM numbers it, the daemon dates it. */
export interface EventRecord extends DataRecord {
  /** Dotted: `armor.crashed`. */
  readonly kind: string;
  /** What it is about: an armor, application, instance or node. */
  readonly subject: string;
}

/**
 * A handler of one op. Returns the next state; the same reference, or nothing,
 * means unchanged. Throws {@link OperationError} to refuse.
 */
export type Handler<S, V> = (state: S, thread: Thread<V>) => S | undefined | void;

/**
 * An element's definition.
 *
 * @example
 * ```ts
 * import { element } from "./element.ts";
 * const counter = element({
 *   name: "counter",
 *   version: 1,
 *   state: { count: 0 },
 *   handlers: { "counter.add": (state) => ({ count: state.count + 1 }) },
 * });
 * ```
 */
export interface Element<S extends DataRecord = DataRecord, V = unknown> {
  /** Unique within the armor; names its part of the checkpoint. */
  readonly name: string;
  /** Version of the state's shape. */
  readonly version: number;
  /** Initial durable state; each top-level property is a unit of change in checkpoints. */
  readonly state: S;
  /** Makes the initial volatile part, at start and after a restart. */
  readonly volatile?: () => V;
  /** Op name → handler; the keys are the element's subscriptions. */
  readonly handlers: { readonly [op: string]: Handler<S, V> };
  /** Ops whose handler may call {@link Thread.block}. */
  readonly blocking?: readonly string[];
  /** Ops of this armor that the element puts into itineraries: they keep a subscriber while it is there. */
  readonly uses?: readonly string[];
  /** Says what is wrong with the state, or `undefined`. Runs after each op and before anything leaves. */
  readonly check?: (state: S, volatile: V) => string | undefined;
  /** Turn the state of another version into this version's. Without it a live element of another version is not replaced. */
  readonly migrate?: (state: DataRecord, fromVersion: number) => S;
}

/**
 * Keep the types of one element while storing it among others.
 *
 * @returns The same object.
 * @example
 * ```ts
 * import { element } from "./element.ts";
 * import { OperationError } from "./errors.ts";
 * const stock = element<{ left: number }>({
 *   name: "stock",
 *   version: 1,
 *   state: { left: 2 },
 *   handlers: {
 *     "stock.take": (state, thread) => {
 *       if (state.left === 0) throw new OperationError("refused", "nothing is left");
 *       thread.payload["left"] = state.left - 1;
 *       return { left: state.left - 1 };
 *     },
 *   },
 *   check: ({ left }) => (left < 0 ? "less than nothing is left" : undefined),
 * });
 * console.assert(stock.name === "stock");
 * ```
 */
export function element<S extends DataRecord, V = undefined>(definition: Element<S, V>): Element {
  return definition as unknown as Element;
}

/** What an element needs to know of the armor it is in; given when the armor is composed. */
export interface ArmorIdentity {
  /** Its own id. */
  readonly armor: ArmorId;
  /** Id of the node it runs on. */
  readonly node: string;
  /** The FTM's epoch, for an FTM. */
  readonly epoch?: Epoch;
}
