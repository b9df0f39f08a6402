/**
 * What the runtime tests share: the executable under test, and ways to run it.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { cleanEnvironment } from "../../armors/environment.ts";
import { compile } from "../../build/compile.ts";
import { findTool, root, tool } from "../../build/tools.mjs";

/** How a program ended. */
export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** `$ARMOR_BINARY`, or dist/armor, built if it is missing or old. */
export async function armorBinary(): Promise<string> {
  return process.env["ARMOR_BINARY"] || (await compile());
}

/** Ways to start Armor: the arguments go after these. */
export async function starters(): Promise<{ readonly [name: string]: readonly string[] }> {
  const deno = findTool("deno");
  const onDeno = deno === undefined ? undefined : [deno, "run", "-A", "--no-check", "--quiet"];
  const modFile = join(root, "mod.ts");
  const bundle = join(root, "dist", "armor.mjs");
  return {
    "dist/armor": [await armorBinary()],
    "bun mod.ts": [tool("bun"), modFile],
    "bun dist/armor.mjs": [tool("bun"), bundle],
    ...(onDeno && { "deno run mod.ts": [...onDeno, `--config=${join(root, "deno.json")}`, modFile] }),
    ...(onDeno && { "deno run dist/armor.mjs": [...onDeno, "--no-config", bundle] }),
  };
}

/** Run a program to its end. */
export function run(
  command: readonly string[],
  options: { cwd?: string; env?: Readonly<Record<string, string>> } = {},
): Ended {
  const { status, stdout, stderr } = spawnSync(command[0]!, command.slice(1), {
    cwd: options.cwd ?? root,
    env: { ...cleanEnvironment(process.env), NO_COLOR: "1", ...options.env },
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    timeout: 30_000,
  });
  return { status, stdout, stderr };
}

/**
 * A folder as an enemy, or a web project, might leave it: whatever the runtime
 * reads from the current folder prints `HOSTILE` and ends the process, or sets a
 * variable.
 */
export function hostileFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "armor-hostile-"));
  const files = {
    "preload.js": "console.log('HOSTILE preload'); process.exit(77);",
    "bunfig.toml": 'preload = ["./preload.js"]\n[test]\npreload = ["./preload.js"]\n[run]\nbun = true\n',
    ".env": "ARMOR_DATA_DIR=/HOSTILE\nBUN_OPTIONS=--preload ./preload.js\nNODE_ENV=HOSTILE\n",
    ".env.local": "ARMOR_DATA_DIR=/HOSTILE\n",
    ".env.production": "ARMOR_DATA_DIR=/HOSTILE\n",
    "package.json":
      '{"name":"HOSTILE","type":"commonjs","imports":{"#x":"./preload.js"},"main":"preload.js"}',
    "tsconfig.json": '{"compilerOptions":{"paths":{"*":["./preload.js"]},"baseUrl":"."}}',
    "deno.json": '{"imports":{"node:process":"./preload.js"}}',
    "index.js": "require('./preload.js')",
    "node_modules.txt": "",
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(path, name), text);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
