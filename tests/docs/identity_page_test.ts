/**
 * docs/identity.md tells the truth: its commands are executed as they stand.
 *
 * time limit: 90 s
 */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../build/tools.mjs";
import { Walkthrough } from "./walkthrough.ts";

const page = new Walkthrough(readFileSync(join(root, "docs", "identity.md"), "utf8"));
afterAll(() => page.end());

const missing = Walkthrough.missing(["bash", "seq"], []);
if (missing.length > 0) console.log(`skipped: commands of docs/identity.md: ${missing.join(", ")} not installed`);

describe("docs/identity.md", () => {
  test.skipIf(missing.length > 0)("goes as it says", async () => {
    const { status, output } = await page.run(70_000);
    expect(status, output).toBe(0);
    const said = ["cluster secret", 'node name "n2" is taken by a running node at 127.0.0.1:', "a data dir belongs to one node", "THE END"];
    for (const words of said) expect(output).toContain(words);
    // Exactly those that are meant to be refused are.
    expect(output.match(/^armor: /gm)).toHaveLength(3);
    expect(output.match(/^as expected: 1$/gm)).toHaveLength(3);
    expect(output).not.toMatch(/NEVER|command not found|syntax error/);
  }, 80_000);
});
