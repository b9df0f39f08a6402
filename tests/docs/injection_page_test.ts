/**
 * docs/injection.md tells the truth: its commands are executed as they stand.
 *
 * time limit: 120 s
 */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { faults } from "../../armors/fault_order.ts";
import { root } from "../../build/tools.mjs";
import { Walkthrough } from "./walkthrough.ts";

const text = readFileSync(join(root, "docs", "injection.md"), "utf8");
const page = new Walkthrough(text);
afterAll(() => page.end());

const missing = Walkthrough.missing(["bash", "seq"], []);
if (missing.length > 0) console.log(`skipped: commands of docs/injection.md: ${missing.join(", ")} not installed`);

describe("docs/injection.md", () => {
  test("names every fault", () => {
    for (const fault of Object.keys(faults)) expect(text).toMatch(new RegExp(`\\b${fault}\\b`));
  });

  test.skipIf(missing.length > 0)("goes as it says", async () => {
    expect(page.steps.length).toBeGreaterThan(10);
    const { status, output } = await page.run(100_000);
    expect(status, output).toBe(0);
    for (const words of ['application "clock" accepted', "SIGKILL to ", "SIGSTOP to ", "partition for 60000 ms", "THE END"]) expect(output).toContain(words);
    expect(output).not.toMatch(/^armor: |NEVER|command not found|syntax error/m);
  }, 110_000);
});
