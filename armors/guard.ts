/**
 * Guard: the small parent of a node's daemon. It answers for the node's
 * liveness, passes asks on to local armors, and restarts the daemon when it
 * exits or its main loop does not turn. Pure, like an armor's core; the host
 * adds sockets and processes.
 *
 * @module
 */
import { type DetectorOptions, freshWatch, heard, liveness, nextAsk, type Watch } from "../core/failure_detector.ts";
import { restartDefaults, timing } from "../core/limits.ts";
import type { RandomSource } from "../core/random.ts";
import { decideRestart, late, type Lateness, noRestarts, patienceMs, punctual, type RestartHistory } from "../core/restart_policy.ts";
import { nextTogetherMs } from "../core/timers.ts";

/** What happens to a guard. Paths are opaque: where an answer has to go. */
export type GuardEvent =
  | { readonly kind: "start"; readonly daemonLives: boolean }
  | { readonly kind: "tick" }
  /** Somebody asks for this node, or for an armor of it. */
  | { readonly kind: "asked"; readonly from: string; readonly to: string; readonly nonce: string; readonly path: string }
  /** A local armor has answered. */
  | { readonly kind: "answered"; readonly from: string; readonly nonce: string; readonly progress: number; readonly epoch: number; readonly next: string }
  /** `stopped`: by a signal, when it was ended. */
  | { readonly kind: "daemon-exited"; readonly hopeless: boolean; readonly stopped: boolean };

/** What the host has to do. */
export type GuardEffect =
  | { readonly kind: "reply"; readonly to: string; readonly nonce: string; readonly path: string; readonly turnAgeMs: number }
  | { readonly kind: "forward"; readonly from: string; readonly to: string; readonly nonce: string }
  | { readonly kind: "relay"; readonly from: string; readonly to: string; readonly nonce: string; readonly path: string; readonly progress: number; readonly epoch: number }
  | { readonly kind: "ask-daemon"; readonly nonce: string }
  | { readonly kind: "start-daemon" }
  | { readonly kind: "kill-daemon" }
  | { readonly kind: "end"; readonly status: number };

type Pending = { readonly from: string; readonly to: string; readonly path: string; readonly atMs: number };

const detector: DetectorOptions = { suspectMisses: timing.nodeSuspectMisses, failedMisses: timing.localMisses };
/** A daemon that has just been started gets this long to answer for the first time. */
const startWithinMs = 5_000;
/** Doubled for each one that did not, up to here: on a slow or busy machine some start does succeed. */
const startWithinMsMax = 40_000;
const pendingMax = 4_096;
const pendingMs = 5_000;

/** One node's guard. `nowMs` never runs backwards. */
export class Guard {
  #watch: Watch = freshWatch;
  #history: RestartHistory = noRestarts;
  #dueAtMs = 0;
  #startedMs = 0;
  /** When it was last found hung, or started: until its time to answer is over it is not found hung again. */
  #judgedFromMs = 0;
  /** The daemon was there before this guard: it has had its time to start. */
  #adopted = false;
  /** Starts that were not answered in time; the last one too, if it is to be ended for that. */
  #late: Lateness = punctual;
  #lateNow = false;
  #restartAtMs: number | undefined;
  #turnAtMs: number | undefined;
  #ended = false;
  /** Nonce that the daemon has offered for the next ask. */
  #next = "";
  readonly #pending = new Map<string, Pending>();

  constructor(readonly node: string, readonly random: RandomSource) {}

  /** When it wants its next `tick`. */
  get wakeAtMs(): number {
    return this.#restartAtMs === undefined ? this.#dueAtMs : Math.min(this.#dueAtMs, this.#restartAtMs);
  }

  /** Take one event. */
  step(event: GuardEvent, nowMs: number): GuardEffect[] {
    if (this.#ended) return [];
    switch (event.kind) {
      case "start":
        this.#dueAtMs = nextTogetherMs(nowMs, timing.localIntervalMs);
        this.#starts(nowMs);
        this.#adopted = event.daemonLives;
        return event.daemonLives ? this.#ask() : [{ kind: "start-daemon" }];
      case "tick":
        return this.#tick(nowMs);
      case "asked":
        return this.#asked(event, nowMs);
      case "answered":
        return this.#answered(event, nowMs);
      case "daemon-exited":
        if (event.hopeless) {
          this.#ended = true;
          return [{ kind: "end", status: 1 }];
        }
        if (this.#lateNow) this.#late = late(this.#late, event.stopped);
        this.#lateNow = false;
        return this.#restart(nowMs);
    }
  }

  #tick(nowMs: number): GuardEffect[] {
    if (this.#restartAtMs !== undefined && nowMs >= this.#restartAtMs) {
      this.#restartAtMs = undefined;
      this.#starts(nowMs);
      return [{ kind: "start-daemon" }];
    }
    if (nowMs < this.#dueAtMs) return [];
    for (const [nonce, { atMs }] of this.#pending) if (nowMs - atMs > pendingMs) this.#pending.delete(nonce);
    const lateMs = nowMs - this.#dueAtMs;
    this.#dueAtMs = nextTogetherMs(nowMs, timing.localIntervalMs);
    if (this.#restartAtMs !== undefined) return [];
    const effects = this.#ask(lateMs);
    if (liveness(this.#watch, detector) === "suspect") this.#dueAtMs = nowMs + timing.localHurryMs;
    const unheard = !this.#adopted && this.#watch.heardAtMs === undefined;
    if (unheard && nowMs - this.#judgedFromMs < patienceMs(startWithinMs, this.#late.inRow, startWithinMsMax) || liveness(this.#watch, detector) !== "failed") return effects;
    this.#lateNow = unheard;
    this.#watch = freshWatch;
    this.#judgedFromMs = nowMs;
    return [{ kind: "kill-daemon" }];
  }

  #ask(lateMs = 0): GuardEffect[] {
    const intervalMs = liveness(this.#watch, detector) === "suspect" ? timing.localHurryMs : timing.localIntervalMs;
    // The daemon's own, if there is one that was not used: by that it knows that this guard has just taken its answer.
    const nonce = isNonce(this.#next) ? this.#next : Array.from(this.random.bytes(16), (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.#next = "";
    this.#watch = nextAsk(this.#watch, nonce, lateMs, intervalMs);
    return [{ kind: "ask-daemon", nonce }];
  }

  #asked({ from, to, nonce, path }: GuardEvent & { kind: "asked" }, nowMs: number): GuardEffect[] {
    if (to === `guard@${this.node}`) {
      const turnAgeMs = this.#turnAtMs === undefined ? nowMs - this.#startedMs : nowMs - this.#turnAtMs;
      return [{ kind: "reply", to: from, nonce, path, turnAgeMs }];
    }
    if (this.#pending.size >= pendingMax) return [];
    this.#pending.set(nonce, { from, to, path, atMs: nowMs });
    return [{ kind: "forward", from, to, nonce }];
  }

  #answered({ from, nonce, progress, epoch, next }: GuardEvent & { kind: "answered" }, nowMs: number): GuardEffect[] {
    const pending = this.#pending.get(nonce);
    if (pending) {
      this.#pending.delete(nonce);
      if (pending.to !== from) return [];
      return [{ kind: "relay", from, to: pending.from, nonce, path: pending.path, progress, epoch }];
    }
    if (from !== `daemon@${this.node}`) return [];
    const watch = heard(this.#watch, nonce, nowMs);
    if (watch) {
      this.#watch = watch;
      this.#next = next;
      this.#turnAtMs = nowMs;
      this.#late = punctual;
    }
    return [];
  }

  #restart(nowMs: number): GuardEffect[] {
    if (this.#restartAtMs !== undefined) return [];
    this.#adopted = false;
    const { delayMs, history } = decideRestart(restartDefaults, this.#history, Math.max(0, nowMs - this.#startedMs), this.random);
    this.#history = history;
    this.#starts(nowMs);
    if (delayMs === 0) return [{ kind: "start-daemon" }];
    // A node without a daemon is worth more tries than an application.
    this.#restartAtMs = nowMs + Math.min(delayMs, 2_000);
    return [];
  }

  #starts(nowMs: number): void {
    this.#watch = freshWatch;
    this.#startedMs = nowMs;
    this.#judgedFromMs = nowMs;
  }
}

const isNonce = (text: string): boolean => /^[0-9a-f]{32}$/.test(text);
