/**
 * Liveness poll: asks its targets by UDP and counts unanswered asks. The
 * judgement leaves as the op `liveness.changed`, to which elements subscribe
 * that know what to do about it. A target that has just asked with the nonce it was
 * offered need not be asked: a daemon's guard, and what else is to be asked on the
 * node is asked right after that. All of it is volatile.
 *
 * Source: "detects failures … by periodically polling for liveness".
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { freshWatch, heard, heardOf, type Liveness, liveness, nextAsk, type Watch } from "../../core/failure_detector.ts";
import { timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import { nextTogetherMs } from "../../core/timers.ts";

/** Payload field `target` of `liveness.watch`. */
export type LivenessTarget = {
  /** Armor id, or `guard@NODE`. */
  readonly id: string;
  /** HOST:PORT of the node's guard, or `local`. */
  readonly address: string;
  readonly suspectMisses: number;
  readonly failedMisses: number;
};

/** Payload field `changes` of `liveness.changed`. */
export type LivenessChange = { readonly id: string; readonly liveness: Liveness; readonly silentMs: number };

/** Payload field `heard` that `liveness.read` writes: milliseconds since the last reply, by target. */
export type Heard = { readonly [target: string]: number };

/** `moved`: to be judged anew at its new address, and that is told in any case. */
type Watched = { readonly target: LivenessTarget; readonly watch: Watch; readonly judged: Liveness | "moved"; readonly dueAtMs: number; readonly offered: string; readonly askedUsAtMs: number };
type Volatile = { readonly watched: ReadonlyMap<string, Watched> };

const hex = (bytes: Uint8Array): string => bytes.toHex();

/** @param localMs Pause between asks on this node. @param nodesMs To other nodes. */
export function livenessPoll(localMs: number = timing.localIntervalMs, nodesMs: number = timing.heartbeatIntervalMs): Element {
  type Polling = Thread<Volatile>;
  const hurryMs = Math.min(timing.localHurryMs, localMs);

  const intervalOf = ({ address }: LivenessTarget): number => (address === "local" ? localMs : nodesMs);

  /** One of this node is in doubt: it is asked again sooner. */
  const hurries = ({ target, watch }: Pick<Watched, "target" | "watch">): boolean => target.address === "local" && liveness(watch, target) === "suspect";

  const ask = (thread: Polling, watched: Watched, lateMs: number): Watched => {
    const nonce = hex(thread.random.bytes(16));
    const { target } = watched;
    thread.command({ kind: "heartbeat.ask", args: { to: target.id, address: target.address, nonce } });
    return { ...watched, watch: nextAsk(watched.watch, nonce, lateMs, hurries(watched) ? hurryMs : intervalOf(target)) };
  };

  /** How long it may be asked early, and then is waited for. */
  const waitOf = ({ address }: LivenessTarget): number => (address === "local" ? Math.min(timing.localWaitMs, Math.floor(localMs / 4)) : 0);

  const due = (thread: Polling, target: LivenessTarget): number => nextTogetherMs(thread.nowMs, intervalOf(target)) + waitOf(target);

  const askAgain = (thread: Polling, watched: Watched, lateMs: number): Watched => {
    const asked = ask(thread, watched, lateMs);
    return { ...asked, dueAtMs: hurries(asked) ? thread.nowMs + hurryMs : due(thread, watched.target) };
  };

  /** Keep what is watched now, and ask again when the first of them is due. */
  const keep = (thread: Polling, watched: ReadonlyMap<string, Watched>): void => {
    thread.setVolatile({ watched });
    let first = Infinity;
    for (const { dueAtMs } of watched.values()) first = Math.min(first, dueAtMs);
    if (first < Infinity) thread.after("poll", Math.max(0, first - thread.nowMs), "liveness.poll");
  };

  const judge = (thread: Polling, watched: Watched, changes: LivenessChange[]): Watched => {
    const judged = liveness(watched.watch, watched.target);
    const unheard = watched.judged === "moved" && judged === "alive" && watched.watch.heardAtMs === undefined;
    if (judged === watched.judged || unheard) return watched;
    const silentMs = watched.watch.heardAtMs === undefined ? -1 : thread.nowMs - watched.watch.heardAtMs;
    changes.push({ id: watched.target.id, liveness: judged, silentMs });
    return { ...watched, judged };
  };

  const announce = (thread: Polling, changes: LivenessChange[]): void => {
    if (changes.length === 0) return;
    thread.payload["changes"] = changes;
    thread.insert(op("liveness.changed"));
  };

  /** It was heard. */
  const take = (thread: Polling, one: Watched): void => {
    const changes: LivenessChange[] = [];
    thread.setVolatile({ watched: new Map(thread.volatile.watched).set(one.target.id, judge(thread, one, changes)) });
    announce(thread, changes);
  };

  return element<DataRecord, Volatile>({
    name: "liveness_poll",
    version: 1,
    state: {},
    volatile: () => ({ watched: new Map() }),
    handlers: {
      "liveness.watch": (_state, thread) => {
        const targets = thread.payload["targets"] as LivenessTarget[];
        const watched = new Map(thread.volatile.watched);
        for (const target of targets) {
          const before = watched.get(target.id);
          if (before && before.target.address === target.address) continue;
          // A probe that runs is of the one before, under the same id elsewhere.
          thread.cancel(`probe ${target.id}`);
          const fresh: Watched = { target, watch: freshWatch, judged: before ? "moved" : "alive", dueAtMs: due(thread, target), offered: "", askedUsAtMs: -Infinity };
          watched.set(target.id, target.address === "local" ? { ...fresh, dueAtMs: thread.nowMs + Math.min(timing.localFirstMs, localMs) } : ask(thread, fresh, 0));
        }
        keep(thread, watched);
      },
      "liveness.unwatch": (_state, thread) => {
        const watched = new Map(thread.volatile.watched);
        for (const id of thread.payload["unwatch"] as string[]) {
          watched.delete(id);
          thread.cancel(`probe ${id}`);
        }
        thread.setVolatile({ watched });
      },
      "liveness.poll": (_state, thread) => {
        const changes: LivenessChange[] = [];
        const next = new Map(thread.volatile.watched);
        for (const [id, one] of next) {
          const lateMs = thread.nowMs - one.dueAtMs;
          if (lateMs < -waitOf(one.target)) continue;
          const speaks = (thread.nowMs - one.askedUsAtMs) * 2 < intervalOf(one.target);
          next.set(id, speaks ? { ...one, dueAtMs: due(thread, one.target) } : judge(thread, askAgain(thread, one, lateMs), changes));
        }
        keep(thread, next);
        announce(thread, changes);
      },
      "heartbeat.answered": (_state, thread) => {
        const { from, nonce } = thread.payload as { from: string; nonce: string };
        const before = thread.volatile.watched.get(from);
        const watch = before && heard(before.watch, nonce, thread.nowMs);
        if (watch) take(thread, { ...before, watch });
      },
      "heartbeat.asked": (_state, thread) => {
        const { from, nonce, next: offered = "" } = thread.payload as { from: string; nonce: string; next?: string };
        const before = thread.volatile.watched.get(from);
        if (before?.target.address !== "local") return;
        // A step of its own: what is found silent is written down, and heartbeats write nothing.
        thread.after("poll", 0, "liveness.poll");
        const answers = before.offered !== "" && nonce === before.offered;
        take(thread, { ...before, offered, ...(answers && { watch: heardOf(thread.nowMs), askedUsAtMs: thread.nowMs }) });
      },
      // A hint that a target may be gone: ask in quick succession instead of waiting for the next polls.
      "liveness.probe": (_state, thread) => {
        const { probe: id, asked = 0, sinceMs = thread.nowMs } = thread.payload as { probe: string; asked?: number; sinceMs?: number };
        const before = thread.volatile.watched.get(id);
        if (!before || (asked === 0 && before.judged === "failed")) return;
        thread.setVolatile({ watched: new Map(thread.volatile.watched).set(id, ask(thread, before, Infinity)) });
        const last = asked + 1 >= timing.probeAsks;
        const delayMs = last ? timing.probeLastMs : timing.probeIntervalMs;
        const payload = { probe: id, asked: asked + 1, sinceMs, dueMs: thread.nowMs + delayMs };
        thread.after(`probe ${id}`, delayMs, last ? "liveness.probe-over" : "liveness.probe", payload);
      },
      "liveness.probe-over": (_state, thread) => {
        const { probe: id, sinceMs, dueMs } = thread.payload as { probe: string; sinceMs: number; dueMs: number };
        const before = thread.volatile.watched.get(id);
        if (!before || (before.watch.heardAtMs ?? -1) >= sinceMs) return;
        if (thread.nowMs - dueMs > timing.probeIntervalMs) {
          // This loop was late: its silence accuses nobody.
          thread.after(`probe ${id}`, 0, "liveness.probe", { probe: id });
          return;
        }
        const watch = { ...before.watch, missed: before.target.failedMisses, heardAtMs: undefined };
        const changes: LivenessChange[] = [];
        const judged = judge(thread, { ...before, watch }, changes);
        thread.setVolatile({ watched: new Map(thread.volatile.watched).set(id, judged) });
        announce(thread, changes);
      },
      // Others have found it silent: the next reply is news, also if this poll has missed none.
      "liveness.held-failed": (_state, thread) => {
        const id = thread.payload["heldFailed"] as string;
        const before = thread.volatile.watched.get(id);
        if (!before) return;
        const watch = { ...before.watch, missed: before.target.failedMisses, heardAtMs: undefined };
        thread.setVolatile({ watched: new Map(thread.volatile.watched).set(id, { ...before, watch, judged: "failed" }) });
      },
      "liveness.read": (_state, thread) => {
        const heardMs: Record<string, number> = {};
        for (const [id, { watch }] of thread.volatile.watched) {
          if (watch.heardAtMs !== undefined) heardMs[id] = thread.nowMs - watch.heardAtMs;
        }
        thread.payload["heard"] = heardMs;
      },
    },
  });
}
