/**
 * A process that runs the seeds it is given, one line of JSON each, and answers
 * with one line of JSON each. It ends with its input.
 *
 * @module
 */
import process from "node:process";
import { createInterface } from "node:readline";
import { simulate } from "./simulate.ts";
import type { Job } from "./seed_pool.ts";

// From a terminal it comes to the whole group; the parent decides.
process.on("SIGINT", () => {});

for await (const line of createInterface({ input: process.stdin })) {
  const { seed, ...options } = JSON.parse(line) as Job;
  const result = await simulate(seed, options);
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
