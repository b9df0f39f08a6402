/**
 * `npm run demo`: build the executable if it is old, then run its demonstration.
 * Further arguments go to it: `npm run demo -- --json`.
 *
 * @module
 */
import { spawn } from "node:child_process";
import process from "node:process";
import { compile } from "./compile.ts";

const binary = await compile();
const child = spawn(binary, ["demo", ...process.argv.slice(2)], { stdio: "inherit" });
// It removes what it has started: wait for it, whoever is told to end.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => child.kill(signal));
child.on("exit", (status) => {
  process.exitCode = status ?? 1;
});
