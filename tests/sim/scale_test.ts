/** What a node has to say and to hear until a cluster has come together must not grow with the number of the others. */
import { expect, test } from "bun:test";
import { scale } from "./scale.ts";

test("a cluster of four times as many nodes comes together with not much more for each of them to say", async () => {
  const [few, many] = [await scale(12, 2, () => {}), await scale(48, 2, () => {})];
  expect(many.togetherMs).toBeGreaterThan(0);
  expect(many.startFrames / few.startFrames).toBeLessThan(2);
  expect(many.idleDatagrams / few.idleDatagrams).toBeLessThan(1.1);
  // A lost node and a lost FTM are made good as soon as in a small one.
  for (const { movedMs, successorMs, movedFromFtmMs } of [few, many]) {
    for (const lateMs of [movedMs, successorMs, movedFromFtmMs]) {
      expect(lateMs).toBeGreaterThan(0);
      expect(lateMs).toBeLessThan(3_000);
    }
  }
}, 120_000);
