/** Simulated clusters: a few seeds, and that a seed says everything about its run. */
import { describe, expect, test } from "bun:test";
import { scenarios } from "./scenarios/found.ts";
import { simulate } from "./simulate.ts";

/** Found nothing wrong when they were chosen; `npm run sim` tries others. */
const seeds = [3, 8, 14, 16];

describe("simulated cluster", () => {
  for (const seed of seeds) {
    test(`seed ${seed} keeps every rule and converges`, async () => {
      const { failure } = await simulate(seed);
      expect(failure).toBe("");
    }, 60_000);
  }

  for (const { seed, nodes, found } of scenarios) {
    test(`seed ${seed} no more: ${found}`, async () => {
      const { failure } = await simulate(seed, { nodes });
      expect(failure).toBe("");
    }, 60_000);
  }

  test("the same seed twice gives equal traces", async () => {
    const lines: string[][] = [[], []];
    for (const trace of lines) await simulate(16, { trace: (line) => trace.push(line) });
    expect(lines[0]!.length).toBeGreaterThan(500);
    expect(lines[0]).toEqual(lines[1]!);
  }, 60_000);
});
