/** Simulated clusters: a few seeds, and that a seed says everything about its run. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { describe, expect, test } from "bun:test";
import { tool } from "../../build/tools.mjs";
import { freshSeeds } from "./fresh_seeds.ts";
import { scenarios } from "./scenarios/found.ts";
import { simulate } from "./simulate.ts";

/** Always the same, and others for every state of the sources; `npm run sim` tries more. */
const seeds = [3, 8, 16, ...freshSeeds(10)];

describe("simulated cluster", () => {
  for (const seed of seeds) {
    test(`seed ${seed} keeps every rule and converges`, async () => {
      const { failure } = await simulate(seed);
      expect(failure).toBe("");
    }, 60_000);
  }

  for (const { seed, nodes, kinds, pause, found } of scenarios) {
    test(`seed ${seed} no more: ${found}`, async () => {
      const { failure } = await simulate(seed, { nodes, kinds, pauseMs: pause });
      expect(failure).toBe("");
    }, 60_000);
  }

  describe("is a function of its seed", () => {
    const seed = 16;
    const small = { nodes: 3, durationMs: 10_000 };

    test("the same seed twice gives equal traces", async () => {
      const lines: string[][] = [[], []];
      for (const trace of lines) await simulate(seed, { ...small, trace: (line) => trace.push(line) });
      expect(lines[0]!.length).toBeGreaterThan(500);
      expect(lines[0]).toEqual(lines[1]!);
    }, 60_000);

    test("on Bun and on Deno the traces are equal, by the commands that people use", async () => {
      const { digest } = await simulate(seed, small);
      const options = ["--seed", String(seed), "--nodes", String(small.nodes), "--duration", String(small.durationMs)];
      const command = join(import.meta.dirname, "command.ts");
      const outputs = [[tool("bun"), command], [tool("deno"), "run", "-A", command]].map(([program, ...argv]) =>
        spawnSync(program!, [...argv, ...options], { encoding: "utf8", env: { ...process.env, DENO_NO_UPDATE_CHECK: "1" } }).stdout
      );
      expect(outputs[0]).toContain(`trace: ${digest}`);
      expect(outputs[1]).toBe(outputs[0]!);
    }, 60_000);
  });

  test("many seeds are told apart by the command, and a wrong option is refused", () => {
    const run = (...argv: string[]) => spawnSync(tool("bun"), [join(import.meta.dirname, "command.ts"), ...argv], { encoding: "utf8" });
    const many = run("--seeds", "1..3", "--nodes", "1", "--duration", "3000", "--only", "crash-ftm", "--workers", "2");
    expect(many.stdout).toMatch(/^3 of 3 seeds ok, \d+ faults?, /m);
    expect(many.status).toBe(0);
    const refused = [run("--seeds", "no"), run("--seed", "1", "--only", "earthquake")];
    expect(refused.map(({ status }) => status)).toEqual([2, 2]);
    expect(refused[1]!.stderr).toContain('there is no fault "earthquake"');
  }, 60_000);
});
