import { expect, test } from "bun:test";
import { Repetitions } from "../../armors/host/repetition.ts";

const pause = (delayMs: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, delayMs));

test("Repetitions.every() joins a turn when it is nearly due, and no sooner", () => {
  let nowMs = 1_000;
  let calls = 0;
  const repetitions = new Repetitions(() => nowMs);
  const forget = repetitions.every(400, () => void calls++);
  const callsAt = (atMs: number): number => {
    nowMs = atMs;
    repetitions.join();
    return calls;
  };
  expect([1_000, 1_299, 1_300, 1_301, 1_599, 1_600].map(callsAt)).toEqual([0, 0, 1, 1, 1, 2]);
  forget();
  expect(callsAt(9_000)).toBe(2);
});

test("Repetitions.every() comes without a turn too, a little later, and again and again", async () => {
  const atMs: number[] = [];
  const repetitions = new Repetitions(() => Math.floor(performance.now()));
  const fromMs = performance.now();
  const forget = repetitions.every(200, () => void atMs.push(performance.now() - fromMs));
  while (atMs.length < 2) await pause(5);
  forget();
  await pause(300);
  expect(atMs).toHaveLength(2);
  expect(atMs[0]!).toBeGreaterThanOrEqual(295);
  expect(atMs[1]!).toBeGreaterThanOrEqual(595);
});

test("Repetitions.every() keeps to a short interval, whatever happens", async () => {
  let calls = 0;
  const repetitions = new Repetitions(() => 1e9);
  const forget = repetitions.every(20, () => void calls++);
  for (let turn = 0; turn < 10; turn++) repetitions.join();
  expect(calls).toBe(0);
  while (calls < 3) await pause(5);
  forget();
});
