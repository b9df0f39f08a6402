/**
 * Ask HTTP servers: as a function here, and as a process inside a network
 * namespace, which reads requests as lines of JSON and ends with its input.
 *
 * @module
 */
import { get } from "node:http";
import process from "node:process";
import { createInterface } from "node:readline";
import type { Answer } from "./network.ts";

const timeoutMs = 400;

/** One request over a connection of its own. */
export function ask(url: string): Promise<Answer> {
  return new Promise((resolve) => {
    const request = get(url, { agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (part: string) => (text += part));
      response.on("end", () => done({ status: response.statusCode ?? 0, text }));
      response.on("error", () => done(undefined));
    });
    request.on("error", () => done(undefined));
    const timer = setTimeout(() => done(undefined), timeoutMs);
    function done(answer: Answer): void {
      clearTimeout(timer);
      request.destroy();
      resolve(answer);
    }
  });
}

if (import.meta.main) {
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const { id, url } = JSON.parse(line) as { id: number; url: string };
    const answer = await ask(url);
    process.stdout.write(`${JSON.stringify({ id, ...(answer && { answer }) })}\n`);
  }).on("close", () => process.exit(0));
}
