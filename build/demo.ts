/**
 * `npm run demo`: build the executable if it is old, then run its demonstration.
 * Further arguments go to it: `npm run demo -- --json`.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import process from "node:process";
import { compile } from "./compile.ts";

const binary = await compile();
const { status } = spawnSync(binary, ["demo", ...process.argv.slice(2)], { stdio: "inherit" });
process.exitCode = status ?? 1;
