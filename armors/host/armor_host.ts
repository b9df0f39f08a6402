/**
 * Armor host: the loop around a microkernel that performs its effects in their
 * order. With class `disk` nothing leaves before the commit is synced; many
 * steps share one sync.
 *
 * @module
 */
import process from "node:process";
import type { Beginning } from "../../core/caution.ts";
import type { Clock } from "../../core/clock.ts";
import type { CheckpointStore, DurabilityClass } from "../../core/checkpoint_store.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import type { Effects, HostCommand } from "../../core/effects.ts";
import type { Completion } from "../../core/element.ts";
import { CheckpointError } from "../../core/errors.ts";
import type { Frame } from "../../core/frame.ts";
import type { KernelEvent } from "../../core/kernel_event.ts";
import type { Microkernel } from "../../core/microkernel.ts";
import { timing } from "../../core/limits.ts";
import type { Payload } from "../../core/payload.ts";
import { diskStatus, type InHand } from "./hand_record.ts";
import { systemClock } from "./system_clock.ts";

/** What surrounds one armor. */
export interface ArmorSurroundings {
  /** `undefined`: the state is kept elsewhere (the FTM's, on the daemons). */
  readonly store: CheckpointStore | undefined;
  readonly durability: DurabilityClass;
  /** Send a frame towards its armor; loss is repaired by the channel. */
  send(frame: Frame): void;
  /** Perform a command; answers come as local messages. */
  command(command: HostCommand): void;
  /** Do blocking work. */
  work(kind: string, args: Data): Promise<Data>;
  /** The elements have changed. */
  reconfigured?(): void;
  /** Keep a message that cannot be handled; the same one may come twice. */
  deadLetter?(args: DataRecord): void;
  /** What this life leaves for the next. */
  readonly hand?: Hand;
  /** Earlier lives ended early: one thread at a time, each on record in `hand`. */
  readonly careful?: boolean;
  /** One line for the armor's own log. */
  log(text: string): void;
  /** Default: the machine's. */
  readonly clock?: Clock;
  /** End the process. Default: the runtime's. */
  exit?(status: number): never;
}

/** The part of a hand record that the loop uses, see `hand_record.ts`. */
export interface Hand {
  isPoison(id: string): boolean;
  hold(hand: InHand): void;
  release(): void;
  working(id: string | null, op?: string): void;
  settle(): void;
}

/** Done before the commit of its message: a process that ends between commit and command does neither again. */
const eventsStore = "events.store";
/** Bytes in the log after which a snapshot is taken. */
const snapshotAfterBytes = 4 * 1024 * 1024;

/** In hand until an armor has begun. */
const restoring: InHand = { kind: "restore", id: "", op: "" };

/** Drives one microkernel. */
export class ArmorHost {
  readonly #clock: Clock;
  #kept = false;
  #disarm: (() => void) | undefined;
  #held: Effects[] = [];
  #syncing = false;
  #ended = false;
  #lastMs = 0;
  /** In a careful life the host works for one continuation at a time. */
  readonly #works: Effects["work"][number][] = [];
  #working = false;
  /** It has lasted for a while; it has made a commit. Caution ends with both. */
  #lasted = false;
  #committed = false;

  constructor(readonly kernel: Microkernel, readonly surroundings: ArmorSurroundings) {
    this.#clock = surroundings.clock ?? systemClock;
    const { hand, careful = false } = surroundings;
    if (careful && hand) {
      // One that idles is not to write for each heartbeat: later than at the start, only the work of others can be poison.
      const begins = (thread: Beginning): void => {
        if (thread.kind !== "local" || !this.#lasted) hand.hold(thread);
      };
      kernel.caution = { begins, isPoison: (id) => hand.isPoison(id) };
    }
  }

  /**
   * Keep what it starts from, its generation among that, if no checkpoint has it. To be done before its first step:
   * what a step says in a generation that is then lost, another life would say otherwise.
   *
   * @param first There is no checkpoint yet. A damaged snapshot costs nothing while there is another before it and
   *   its log; so the first one is written twice.
   */
  keep(first: boolean = false): void {
    const { store, hand } = this.surroundings;
    if (this.#kept || !store || !this.kernel.needsSnapshot) return;
    this.#kept = true;
    hand?.hold(restoring);
    for (let left = first ? 2 : 1; left > 0; left--) store.writeSnapshot(this.kernel.snapshot());
    hand?.release();
  }

  /** Begin: elements get `armor.started` with this payload. `first`: as in {@link keep}. */
  start(payload: Payload, first: boolean = false): void {
    const { hand } = this.surroundings;
    this.keep(first);
    hand?.hold(restoring);
    this.dispatch({ kind: "start", payload });
    if (!hand) return;
    this.#clock.after(timing.settledAfterMs, () => {
      this.#lasted = true;
      this.#settle();
    });
  }

  /** It has lasted and made a commit: caution ends. */
  #settle(): void {
    if (this.#ended || !this.#lasted || !this.#committed) return;
    this.surroundings.hand?.settle();
    this.kernel.caution = undefined;
    for (const work of this.#works.splice(0)) this.#work(work);
  }

  /** Now, as the microkernel is told it. */
  get nowMs(): number {
    return Math.max(this.#clock.nowMs(), this.#lastMs);
  }

  /** Start a local thread. */
  local(op: string, payload: Payload = {}): void {
    this.dispatch({ kind: "local", op, payload });
  }

  /** Take a frame from another armor. */
  frame(frame: Frame): void {
    this.dispatch({ kind: "frame", frame });
  }

  /** One step and its effects. A broken invariant ends the process: it will be recovered. */
  dispatch(event: KernelEvent): void {
    if (this.#ended) return;
    try {
      this.#lastMs = this.nowMs;
      const effects = this.kernel.step(event, this.#lastMs);
      this.#perform(effects);
      if (effects.commits.some(({ versions, removed }) => versions ?? removed)) this.surroundings.reconfigured?.();
      this.surroundings.hand?.release();
      if (!this.#committed && effects.commits.length > 0) {
        this.#committed = true;
        this.#settle();
      }
    } catch (error) {
      this.fail(error);
    }
  }

  /** Write the reason and end at once. */
  fail(error: unknown): never {
    this.surroundings.log(`armor "${this.kernel.armor}" ends: ${error instanceof Error ? error.stack ?? error.message : String(error)}`);
    const { exit = (status: number): never => process.exit(status) } = this.surroundings;
    return exit(error instanceof CheckpointError ? diskStatus : 70);
  }

  /** Write a snapshot now. */
  snapshot(): void {
    this.surroundings.store?.writeSnapshot(this.kernel.snapshot());
  }

  /** No more steps. */
  end(): void {
    this.#ended = true;
    this.#disarm?.();
  }

  #perform(effects: Effects): void {
    const { store, durability } = this.surroundings;
    // Before the commit that says they are dealt with: twice is better than not at all.
    for (const command of effects.commands) {
      if (command.kind === "dead-letter") this.surroundings.deadLetter?.(command.args);
      // Who publishes an event does it once, and hears when the commit is safe; it is kept once by its origin.
      if (command.kind === eventsStore) this.#command(command);
    }
    if (store && effects.commits.length > 0) {
      store.append(effects.commits);
      if (durability === "disk") this.#syncing ||= this.#beginSync(store);
      if (store.logBytes > snapshotAfterBytes) store.writeSnapshot(this.kernel.snapshot());
    }
    this.#arm(effects.wakeAtMs);
    for (const command of effects.commands.filter(isHeartbeat)) this.#command(command);
    const later = effects.commands.filter((command) => !isHeartbeat(command) && command.kind !== eventsStore);
    const rest = later.length < effects.commands.length ? { ...effects, commands: later } : effects;
    if (this.#syncing) this.#held.push(rest);
    else this.#release(rest);
  }

  #beginSync(store: CheckpointStore): boolean {
    store.sync().then(() => {
      // What was appended meanwhile needs a sync of its own.
      const released = this.#held;
      this.#held = [];
      this.#syncing = false;
      const unsynced = released.findIndex((effects, index) => index > 0 && effects.commits.length > 0);
      const safe = unsynced < 0 ? released : released.slice(0, unsynced);
      if (unsynced >= 0) {
        this.#held = released.slice(unsynced);
        this.#syncing = this.#beginSync(store);
      }
      for (const effects of safe) this.#release(effects);
    }).catch((error) => this.fail(error));
    return true;
  }

  #release(effects: Effects): void {
    const { send } = this.surroundings;
    // First, so that who takes an answer has usually committed what it answers as handled: after a restart it is not asked again.
    for (const frame of effects.acks) send(frame);
    for (const frame of effects.sends) send(frame);
    for (const work of effects.work) {
      if (this.kernel.caution && this.#working) this.#works.push(work);
      else this.#work(work);
    }
    for (const command of effects.commands) this.#command(command);
  }

  #work({ key, kind, args }: Effects["work"][number]): void {
    const { log, hand } = this.surroundings;
    this.#working = true;
    hand?.working(key, kind);
    this.surroundings.work(kind, args).then(
      (value): Completion => ({ ok: true, value }),
      (error): Completion => {
        log(`work "${kind}" failed: ${String(error)}`);
        return { ok: false, error: "failed" };
      },
    ).then((completion) => {
      this.#working = false;
      hand?.working(null);
      this.dispatch({ kind: "work-done", key, completion });
      const next = this.#works.shift();
      if (next) this.#work(next);
    });
  }

  #command(command: HostCommand): void {
    if (command.kind === "dead-letter") return;
    if (command.kind === "audit") this.kernel.audit();
    else if (command.kind === "checkpoint.snapshot") this.snapshot();
    else this.surroundings.command(command);
  }

  #arm(wakeAtMs: number | undefined): void {
    this.#disarm?.();
    if (wakeAtMs === undefined || this.#ended) return;
    const delayMs = Math.min(Math.max(0, wakeAtMs - this.#clock.nowMs()), 60_000);
    this.#disarm = this.#clock.after(delayMs, () => this.dispatch({ kind: "tick" }));
  }
}

/** Touches nothing durable and must not wait for a disk. */
function isHeartbeat({ kind }: HostCommand): boolean {
  return kind.startsWith("heartbeat.");
}
