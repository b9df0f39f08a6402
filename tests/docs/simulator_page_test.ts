/**
 * docs/simulator.md tells the truth: its commands are executed as they stand, and it names what there is.
 *
 * time limit: 120 s
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { describe, expect, test } from "bun:test";
import { root } from "../../build/tools.mjs";

const text = readFileSync(join(root, "docs", "simulator.md"), "utf8");
const blocks = [...text.matchAll(/^```sh test\n([\s\S]*?)^```$/gm)].map(([, block]) => block!.trim());
const allBlocks = [...text.matchAll(/^```sh/gm)];
const expected: readonly (readonly [string, RegExp])[] = [
  ["--seeds 3", /^3 of 3 seeds ok, \d+ faults, /m],
  ["--duration 10000\n", /^seed 7: ok, 2 nodes, \d+ faults, [\s\S]*trace: [0-9a-f]{64}$/m],
  ["--minimise", /^seed 7 does not fail$/m],
  ["sim:soak", /^\d+ of \d+ seeds ok, \d{3,} faults, [\s\S]*^faults: /m],
  ["--scale", /^\| 5 \| /m],
];

describe("docs/simulator.md", () => {
  test.each(blocks)("%s", (block) => {
    const { status, stdout, stderr } = spawnSync("bash", ["-e", "-c", block], { cwd: root, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } });
    expect(status, stderr).toBe(0);
    const [, words] = expected.find(([part]) => `${block}\n`.includes(part))!;
    expect(stdout).toMatch(words);
  }, 60_000);

  test("every command in it is executed", () => {
    expect(blocks.length).toBe(allBlocks.length);
    expect(blocks.length).toBe(expected.length);
  });

  test("lists every option of the command", () => {
    const command = readFileSync(join(root, "tests", "sim", "command.ts"), "utf8");
    const options = [...command.slice(command.indexOf("options: {"), command.indexOf("});")).matchAll(/^ {4}"?([a-z-]+)"?: \{/gm)].map(([, name]) => name!);
    expect(options.length).toBeGreaterThan(8);
    for (const option of options) if (option !== "soak") expect(text).toContain(`--${option}`);
  });
});
