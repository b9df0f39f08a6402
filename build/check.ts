/**
 * `npm run check`: lint, types, layers and the purity of core/, in one command.
 * All are run even if one fails.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { checkLayers } from "./check_layers.ts";
import { checkCore } from "./core_purity.ts";
import { root, tool } from "./tools.mjs";

/** Run a tool; its output is shown only if it fails. */
function run(path: string, ...args: string[]): string[] {
  const { status, stdout, stderr } = spawnSync(path, args, { cwd: root, encoding: "utf8" });
  return status === 0 ? [] : [`${stdout}${stderr}`.trim() || `${path} ended with status ${status}`];
}

/** Each check by name; it returns what is wrong. */
export const checks: { readonly [name: string]: () => string[] } = {
  "lint and format": () => run(tool("biome"), "check", "--diagnostic-level=error", "--colors=off", "."),
  types: () => run(tool("tsc"), "--noEmit", "--pretty", "false", "-p", root),
  layers: () => checkLayers(root),
  "core purity": () => checkCore(root),
};

if (import.meta.main) {
  for (const [name, check] of Object.entries(checks)) {
    const found = check();
    console.log(`${found.length === 0 ? "ok    " : "FAILED"} ${name}`);
    for (const line of found) console.log(line);
    if (found.length > 0) process.exitCode = 1;
  }
}
