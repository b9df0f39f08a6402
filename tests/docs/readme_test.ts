/**
 * README.md tells the truth: its walk-through is executed as it stands, and its
 * systemd unit is one.
 *
 * time limit: 120 s
 */
import { afterAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../build/tools.mjs";
import { armorBinary } from "../runtime/binary.ts";
import { Walkthrough } from "./walkthrough.ts";

const readme = readFileSync(join(root, "README.md"), "utf8");
const page = new Walkthrough(readme);
afterAll(() => page.end());

/** What the walk-through uses; the web server is looked up as Armor does. */
const missing = Walkthrough.missing(["bash", "curl", "awk", "pgrep"], ["python3"]);
if (missing.length > 0) console.log(`skipped: walk-through of README.md: ${missing.join(", ")} not installed`);

describe("README.md", () => {
  test("names the two commands, and they exist", () => {
    const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    for (const name of ["demo", "test"]) {
      expect(readme).toContain(name === "test" ? "npm test " : `npm run ${name} `);
      expect(scripts[name]).toBeDefined();
    }
  });

  test.skipIf(missing.length > 0)("has a walk-through that goes as it says", async () => {
    expect(page.steps.length).toBeGreaterThan(15);
    const { status, output } = await page.run(90_000);
    expect(status, output).toBe(0);
    for (const said of ['application "web" accepted', "the program has noticed nothing", "THE END"]) expect(output).toContain(said);
    expect(output).not.toMatch(/^armor: |command not found|syntax error/m);
  }, 100_000);

  const analyze = spawnSync("systemd-analyze", ["--version"]).status === 0;
  if (!analyze) console.log("skipped: systemd unit of README.md: systemd-analyze is not installed");
  test.skipIf(!analyze)("has a systemd unit without mistakes", async () => {
    const [, unit = ""] = /^```ini\n([\s\S]*?)^```$/m.exec(readme) ?? [];
    for (const line of ["Type=simple", "KillMode=process", "Restart=always"]) expect(unit).toContain(`\n${line}\n`);
    const file = join(page.folder, "armor-readme.service");
    writeFileSync(file, unit.replace("/usr/local/bin/armor", await armorBinary()));
    const { status, stdout, stderr } = spawnSync("systemd-analyze", ["verify", file], { encoding: "utf8", timeout: 20_000 });
    // It complains of other units of the machine too.
    const ours = `${stdout}${stderr}`.split("\n").filter((line) => line.includes("armor-readme"));
    expect(ours).toEqual([]);
    expect(status).toBe(0);
  }, 30_000);
});
