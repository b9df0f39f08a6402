/**
 * The guard in virtual time: a table of daemons that fall silent.
 */
import { expect, test } from "bun:test";
import { Guard, type GuardEffect } from "../../armors/guard.ts";
import { timing } from "../../core/limits.ts";
import { seededRandom } from "../../core/random.ts";

/** Run a guard whose daemon answers until `silentFromMs`. @returns When it is to be killed. */
function killedAtMs(daemonLives: boolean, silentFromMs: number): number {
  const guard = new Guard("n1", seededRandom(1));
  let nowMs = 0;
  let killedMs: number | undefined;
  const take = (effects: readonly GuardEffect[]): void => {
    for (const effect of effects) {
      if (effect.kind === "kill-daemon") killedMs = nowMs;
      if (effect.kind !== "ask-daemon" || nowMs >= silentFromMs) continue;
      take(guard.step({ kind: "answered", from: "daemon@n1", nonce: effect.nonce, progress: 1, epoch: 1, next: "" }, nowMs));
    }
  };
  take(guard.step({ kind: "start", daemonLives }, nowMs));
  while (killedMs === undefined && nowMs < 60_000) {
    nowMs = guard.wakeAtMs;
    take(guard.step({ kind: "tick" }, nowMs));
  }
  return killedMs ?? Number.POSITIVE_INFINITY;
}

const detectedWithinMs = timing.localIntervalMs * timing.localMisses + timing.localHurryMs;

test("a daemon that falls silent is killed after the asked number of unanswered asks", () => {
  expect(killedAtMs(true, 10_000) - 10_000).toBeLessThanOrEqual(detectedWithinMs);
  expect(killedAtMs(false, 10_000) - 10_000).toBeLessThanOrEqual(detectedWithinMs);
});

test("a daemon that the guard has started gets 5 s for its first answer", () => {
  expect(killedAtMs(false, 0)).toBeGreaterThanOrEqual(5_000);
});

test("a daemon that was there before the guard and hangs already is killed as soon as any other", () => {
  expect(killedAtMs(true, 0)).toBeLessThanOrEqual(detectedWithinMs);
});

test("a daemon that answers is left alone", () => {
  expect(killedAtMs(true, Number.POSITIVE_INFINITY)).toBe(Number.POSITIVE_INFINITY);
});

test("a daemon that is stopped as it starts is not slow: the one after it gets no longer, but for each second one in a row", () => {
  const guard = new Guard("n1", seededRandom(1));
  const lifetimesMs: number[] = [];
  let [nowMs, startedMs] = [0, 0];
  const take = (effects: readonly GuardEffect[]): void => {
    for (const { kind } of effects) {
      if (kind === "start-daemon") startedMs = nowMs;
      if (kind !== "kill-daemon") continue;
      lifetimesMs.push(nowMs - startedMs);
      take(guard.step({ kind: "daemon-exited", hopeless: false, stopped: lifetimesMs.length !== 3 }, nowMs));
    }
  };
  take(guard.step({ kind: "start", daemonLives: false }, nowMs));
  while (lifetimesMs.length < 6) take(guard.step({ kind: "tick" }, nowMs = guard.wakeAtMs));
  expect(lifetimesMs.map((lifeMs) => Math.floor(lifeMs / 5_000) * 5_000)).toEqual([5_000, 5_000, 10_000, 20_000, 20_000, 40_000]);
});

test("a daemon that needs longer than that to start gets it in the end, and the next one no less than at first", () => {
  const guard = new Guard("n1", seededRandom(1));
  const lifetimesMs: number[] = [];
  let nowMs = 0;
  let startedMs = 0;
  let slowMs = 17_000;
  const take = (effects: readonly GuardEffect[]): void => {
    for (const effect of effects) {
      if (effect.kind === "start-daemon") startedMs = nowMs;
      if (effect.kind === "kill-daemon") {
        lifetimesMs.push(nowMs - startedMs);
        take(guard.step({ kind: "daemon-exited", hopeless: false, stopped: false }, nowMs));
      }
      if (effect.kind !== "ask-daemon" || nowMs - startedMs < slowMs) continue;
      take(guard.step({ kind: "answered", from: "daemon@n1", nonce: effect.nonce, progress: 1, epoch: 1, next: "" }, nowMs));
    }
  };
  const until = (endMs: number): void => {
    while (guard.wakeAtMs < endMs) take(guard.step({ kind: "tick" }, nowMs = guard.wakeAtMs));
  };
  take(guard.step({ kind: "start", daemonLives: false }, nowMs));
  until(120_000);
  expect(lifetimesMs.map((lifeMs) => Math.floor(lifeMs / 5_000) * 5_000)).toEqual([5_000, 10_000]);
  slowMs = Number.POSITIVE_INFINITY;
  take(guard.step({ kind: "daemon-exited", hopeless: false, stopped: false }, nowMs));
  until(1_000_000);
  expect(lifetimesMs.slice(2, 4).map((lifeMs) => Math.floor(lifeMs / 5_000) * 5_000)).toEqual([5_000, 10_000]);
  expect(Math.max(...lifetimesMs)).toBeLessThanOrEqual(41_000);
});

test("a daemon that hangs after a long life is replaced at once, whatever came before", () => {
  const guard = new Guard("n1", seededRandom(1));
  let nowMs = 0;
  let answers = true;
  const done: string[] = [];
  const take = (effects: readonly GuardEffect[]): void => {
    for (const effect of effects) {
      if (effect.kind === "kill-daemon" || effect.kind === "start-daemon") done.push(`${effect.kind} ${nowMs}`);
      if (effect.kind === "ask-daemon" && answers) take(guard.step({ kind: "answered", from: "daemon@n1", nonce: effect.nonce, progress: 1, epoch: 1, next: "" }, nowMs));
    }
  };
  const tickUntil = (until: () => boolean): void => {
    while (!until()) take(guard.step({ kind: "tick" }, nowMs = guard.wakeAtMs));
  };
  take(guard.step({ kind: "start", daemonLives: false }, nowMs));
  for (let starts = 1; starts <= 4; starts++) {
    tickUntil(() => done.length === starts);
    if (starts < 4) take(guard.step({ kind: "daemon-exited", hopeless: false, stopped: false }, nowMs += 10));
  }
  const livedMs = nowMs + 20_000;
  tickUntil(() => nowMs > livedMs);
  answers = false;
  tickUntil(() => done.length === 5);
  take(guard.step({ kind: "daemon-exited", hopeless: false, stopped: false }, nowMs += 5));
  expect(done.slice(4)).toEqual([`kill-daemon ${nowMs - 5}`, `start-daemon ${nowMs}`]);
});

test("a nonce that its daemon has offered is that of the next ask, and of no other", () => {
  const offered = "0123456789abcdef0123456789abcdef";
  const guard = new Guard("n1", seededRandom(1));
  let nowMs = 1_000;
  const nonces: string[] = [];
  for (let turn = 0; turn < 4; turn++) {
    while (guard.wakeAtMs > nowMs) nowMs += 1;
    for (const effect of guard.step({ kind: "tick" }, nowMs)) {
      if (effect.kind !== "ask-daemon") continue;
      nonces.push(effect.nonce);
      guard.step({ kind: "answered", from: "daemon@n1", nonce: effect.nonce, progress: 1, epoch: 1, next: nonces.length === 2 ? offered : nonces.length === 3 ? "nonsense" : "" }, nowMs);
    }
  }
  expect(nonces[2]).toBe(offered);
  expect(new Set(nonces).size).toBe(nonces.length);
  expect(nonces.length).toBeGreaterThan(3);
});
