/**
 * docs/resilience.md tells the truth: its commands are executed as they stand.
 *
 * time limit: 150 s
 */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../build/tools.mjs";
import { Walkthrough } from "./walkthrough.ts";

const page = new Walkthrough(readFileSync(join(root, "docs", "resilience.md"), "utf8"));
afterAll(() => page.end());

const missing = Walkthrough.missing(["awk", "bash", "dd", "pgrep", "seq"], []);
if (missing.length > 0) console.log(`skipped: commands of docs/resilience.md: ${missing.join(", ")} not installed`);

describe("docs/resilience.md", () => {
  test.skipIf(missing.length > 0)("goes as it says", async () => {
    const { status, output } = await page.run(130_000);
    expect(status, output).toBe(0);
    const said = ["checkpoint.damaged", "the program has noticed nothing", " died under it again and again\nas expected: 1", "poison", "the program was adopted", "nothing has happened", "THE END"];
    for (const words of said) expect(output).toContain(words);
    expect(output).not.toMatch(/NEVER|command not found|syntax error/);
  }, 140_000);
});
