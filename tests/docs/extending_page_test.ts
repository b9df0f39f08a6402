/**
 * docs/extending.md tells the truth: its commands are executed as they stand, and
 * its test in memory holds.
 *
 * time limit: 90 s
 */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { root } from "../../build/tools.mjs";
import { Walkthrough } from "./walkthrough.ts";

const text = readFileSync(join(root, "docs", "extending.md"), "utf8");
const page = new Walkthrough(text);
afterAll(() => page.end());

const missing = Walkthrough.missing(["bash", "sed", "seq"], []);
if (missing.length > 0) console.log(`skipped: commands of docs/extending.md: ${missing.join(", ")} not installed`);

describe("docs/extending.md", () => {
  test.skipIf(missing.length > 0)("goes as it says", async () => {
    const { status, output } = await page.run(70_000);
    expect(status, output).toBe(0);
    const said = ['"text": "hello, you"', '"text": "good day, you"', '"greeted": 2', 'element "greeter" replaced in "hello", version 2', '"sum": 5050', 'armor "pong" will be removed', "THE END"];
    for (const words of said) expect(output).toContain(words);
    expect(output).not.toMatch(/NEVER|command not found|syntax error/);
  }, 80_000);

  test("has a test in memory that holds", async () => {
    const [, block = ""] = /^```ts\n([\s\S]*?)^```$/m.exec(text)!;
    expect(block).toContain("console.assert");
    const folder = mkdtempSync(join(tmpdir(), "armor-extending-"));
    try {
      const path = join(folder, "block.ts");
      writeFileSync(path, `console.assert = (held) => { if (!held) throw new Error("not so"); };\n${block.replace('"./mod.ts"', JSON.stringify(join(root, "mod.ts")))}`);
      await import(path);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
