import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { restartDefaults } from "../../core/limits.ts";
import { type RandomSource, seededRandom } from "../../core/random.ts";
import { decideRestart, noRestarts, type RestartDecision, type RestartHistory } from "../../core/restart_policy.ts";
import { throughCodec } from "../sim/plain_data.ts";

/** Jitter in the middle: factor 1. */
const middle: RandomSource = { below: (bound) => Math.floor(bound / 2), bytes: () => new Uint8Array() };

/** Decisions after programs that ran so long each. */
function decisions(upMs: readonly number[], random: RandomSource = middle): RestartDecision[] {
  let history: RestartHistory = noRestarts;
  return upMs.map((up) => {
    const decision = decideRestart(restartDefaults, history, up, random);
    history = throughCodec(decision.history);
    return decision;
  });
}

const times = <T>(count: number, value: T): T[] => Array.from({ length: count }, () => value);

describe("delay", () => {
  test("is none at first, then 100 ms, doubling to 30 s", () => {
    expect(decisions(times(12, 0)).map(({ delayMs }) => delayMs)).toEqual(
      [0, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 30_000, 30_000],
    );
  });

  for (const [upMs, delayMs] of [[9_999, 200], [10_000, 0], [10_001, 0]] as const) {
    test(`is ${delayMs} ms for the third restart after ${upMs} ms up`, () => {
      expect(decisions([0, 0, upMs])[2]!.delayMs).toBe(delayMs);
    });
  }

  test("starts anew after time up, not where it was", () => {
    expect(decisions([0, 0, 0, 10_000, 0, 0]).map(({ delayMs }) => delayMs)).toEqual([0, 100, 200, 0, 100, 200]);
  });

  test("has a jitter of a fifth either way, in whole milliseconds, equal for equal seeds", () => {
    fc.assert(
      fc.property(fc.nat(), (seed) => {
        const delays = decisions(times(12, 0), seededRandom(seed)).map(({ delayMs }) => delayMs);
        const plain = decisions(times(12, 0)).map(({ delayMs }) => delayMs);
        delays.forEach((delay, index) => {
          expect(Number.isInteger(delay)).toBe(true);
          expect(delay).toBeGreaterThanOrEqual(plain[index]! * 0.8);
          expect(delay).toBeLessThanOrEqual(plain[index]! * 1.2);
        });
        expect(decisions(times(12, 0), seededRandom(seed)).map(({ delayMs }) => delayMs)).toEqual(delays);
      }),
      { seed: 1, numRuns: 50, includeErrorInReport: true },
    );
  });

  test("is never final", () => {
    const last = decisions(times(500, 0)).at(-1)!;
    expect(last.delayMs).toBe(30_000);
    expect(last.history.recentAgesMs.length).toBeLessThanOrEqual(restartDefaults.crashLoopRestarts);
  });
});

describe("crash loop", () => {
  test("is the tenth restart within 60 s", () => {
    expect(decisions(times(11, 0)).map(({ crashLoop }) => crashLoop)).toEqual([...times(9, false), true, true]);
  });

  test("holds with any jitter", () => {
    for (let seed = 0; seed < 50; seed++) expect(decisions(times(10, 0), seededRandom(seed))[9]!.crashLoop).toBe(true);
  });

  test("counts time as it passes: the delays too, not only the time up", () => {
    // Five seconds up and 30 s of delay each: two restarts a minute.
    expect(decisions(times(40, 5_000)).slice(15).some(({ crashLoop }) => crashLoop)).toBe(false);
  });

  for (const [upMs, expected] of [[6_500, true], [6_700, false]] as const) {
    test(`is ${expected} for ten restarts ${upMs} ms apart, without delays`, () => {
      const policy = { ...restartDefaults, resetAfterMs: 1 };
      let history: RestartHistory = noRestarts;
      let crashLoop = false;
      for (let count = 0; count < 10; count++) ({ crashLoop, history } = decideRestart(policy, history, upMs, middle));
      expect(crashLoop).toBe(expected);
    });
  }

  test("an age equal to the window is outside it", () => {
    const policy = { ...restartDefaults, crashLoopRestarts: 2, resetAfterMs: 1 };
    const { history } = decideRestart(policy, noRestarts, 5, middle);
    expect(decideRestart(policy, history, 59_999, middle).crashLoop).toBe(true);
    expect(decideRestart(policy, history, 60_000, middle).crashLoop).toBe(false);
  });
});
