/** docs/extending.md tells the truth: its command blocks are executed as they stand, on a free port. */
import { expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { cleanEnvironment } from "../../armors/environment.ts";
import { root } from "../../build/tools.mjs";
import { freePort } from "../e2e/cluster.ts";
import { endNode } from "../e2e/processes.ts";
import { armorBinary } from "../runtime/binary.ts";

const page = readFileSync(join(root, "docs", "extending.md"), "utf8");
const blocks = [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, text]) => text!);

test("its command blocks do what it says", async () => {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), "armor-extending-"));
  try {
    mkdirSync(join(folder, "bin"));
    symlinkSync(realpathSync(await armorBinary()), join(folder, "bin", "armor"));
    // The daemon's output must not keep the script's pipe open.
    const script = blocks.join("\n").replace("127.0.0.1:7000", `127.0.0.1:${await freePort()}`).replace("--allow-elements &", "--allow-elements > node.log 2>&1 &")
      .replaceAll("--data-dir d1", `--data-dir ${join(folder, "d1")}`);
    writeFileSync(join(folder, "script.sh"), `set -eu\n${script}`);
    const env = { ...cleanEnvironment(process.env), PATH: `${join(folder, "bin")}:${process.env["PATH"]}`, EXAMPLES: join(root, "examples") };
    const { status, stdout, stderr } = spawnSync("sh", ["script.sh"], { cwd: folder, env, encoding: "utf8", timeout: 50_000 });
    expect([status, stderr.split("\n").at(-2) ?? ""]).toEqual([0, expect.anything()]);
    for (const text of ['"text": "hello, you"', '"text": "good day, you"', '"greeted": 2', 'element "greeter" replaced in "hello", version 2', '"sum": 5050', 'armor "pong" will be removed']) {
      expect(stdout).toContain(text);
    }
  } finally {
    await endNode(join(folder, "d1"));
    rmSync(folder, { recursive: true, force: true });
  }
}, 60_000);

test("its test in memory holds", async () => {
  const [, block = ""] = /^```ts\n([\s\S]*?)^```$/m.exec(page)!;
  expect(block).toContain("console.assert");
  const folder = mkdtempSync(join(realpathSync(tmpdir()), "armor-extending-"));
  try {
    const text = block.replace('"./mod.ts"', JSON.stringify(join(root, "mod.ts")));
    const path = join(folder, "block.ts");
    writeFileSync(path, `console.assert = (held) => { if (!held) throw new Error("not so"); };\n${text}`);
    await import(path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
