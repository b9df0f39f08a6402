/**
 * docs/applications.md tells the truth: its commands are executed as they stand.
 *
 * time limit: 120 s
 */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../build/tools.mjs";
import { Walkthrough } from "./walkthrough.ts";

const page = new Walkthrough(readFileSync(join(root, "docs", "applications.md"), "utf8"));
afterAll(() => page.end());

const missing = Walkthrough.missing(["bash", "curl", "seq"], ["python3", "curl", "seq"]);
if (missing.length > 0) console.log(`skipped: commands of docs/applications.md: ${missing.join(", ")} not installed`);

describe("docs/applications.md", () => {
  test.skipIf(missing.length > 0)("goes as it says", async () => {
    expect(page.steps.length).toBeGreaterThan(20);
    const { status, output } = await page.run(100_000);
    expect(status, output).toBe(0);
    const said = ['application "clock" accepted', "nothing changed", "42\n", '"argz" is no field of an application', "application.hung", "every line is there, once", "THE END"];
    for (const words of said) expect(output).toContain(words);
    expect(output).not.toMatch(/NEVER|command not found|syntax error/);
    // The one that is meant to be wrong.
    expect(output.match(/^armor: /gm)).toHaveLength(1);
  }, 110_000);
});
