/**
 * docs/two_nodes.md tells the truth: its commands are executed as they stand.
 *
 * time limit: 150 s
 */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../build/tools.mjs";
import { Walkthrough } from "./walkthrough.ts";

const page = new Walkthrough(readFileSync(join(root, "docs", "two_nodes.md"), "utf8"));
afterAll(() => page.end());

const missing = Walkthrough.missing(["bash", "seq", "pgrep"], []);
if (missing.length > 0) console.log(`skipped: commands of docs/two_nodes.md: ${missing.join(", ")} not installed`);

describe("docs/two_nodes.md", () => {
  test.skipIf(missing.length > 0)("goes as it says", async () => {
    const { status, output } = await page.run(130_000);
    expect(status, output).toBe(0);
    for (const words of ["the clock runs once", "the job was run once", "THE END"]) expect(output).toContain(words);
    expect(output).not.toMatch(/^armor: |NEVER|command not found|syntax error/m);
  }, 140_000);
});
