import { afterAll, beforeAll, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import process from "node:process";
import { type FakeDaemon, fakeDaemon } from "./testing.ts";

const root = join(import.meta.dirname, "../..");
const line = `${"x".repeat(999)}\n`;
let daemon: FakeDaemon;

beforeAll(async () => {
  daemon = await fakeDaemon(({ path }, stream) => {
    stream.respond({ ":status": 200 });
    if (path.includes("follow")) {
      stream.write("{}\n");
      return;
    }
    for (let count = 0; count < 2_000; count++) stream.write(line);
    stream.end();
  });
});
afterAll(() => daemon.close());

/** The real program, on the runtime that runs this test. */
function armor(...argv: string[]) {
  const runtime = "Deno" in globalThis ? ["run", "-A", "--no-check"] : [];
  const child = spawn(process.execPath, [...runtime, join(root, "mod.ts"), ...argv], {
    cwd: root,
    env: { ...process.env, ARMOR_DATA_DIR: daemon.dataDir },
  });
  let error = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    error += text;
  });
  return { child, ended: once(child, "close").then(([status]) => ({ status, error })) };
}

test("Ctrl-C ends a stream quietly with status 130", async () => {
  const { child, ended } = armor("events", "--follow");
  await once(child.stdout, "data");
  // Not child.kill(): Deno then reports a signal whatever the status was.
  process.kill(child.pid!, "SIGINT");
  expect(await ended).toEqual({ status: 130, error: "" });
});

test("a reader that goes away ends a stream quietly", async () => {
  const { child, ended } = armor("logs", "web");
  await once(child.stdout, "data");
  child.stdout.destroy();
  expect(await ended).toEqual({ status: 0, error: "" });
});

test("a slow reader gets everything", async () => {
  const { child, ended } = armor("logs", "web");
  let bytes = 0;
  child.stdout.on("data", (part: Uint8Array) => {
    bytes += part.length;
  });
  child.stdout.pause();
  setTimeout(() => child.stdout.resume(), 100);
  expect(await ended).toEqual({ status: 0, error: "" });
  expect(bytes).toBe(2_000 * line.length);
});

test("a wrong command line ends the program with status 2", async () => {
  expect(await armor("staus").ended).toEqual({ status: 2, error: 'armor: unknown command "staus": did you mean status?\n' });
});

test("--help beside --role shows how to start a node", async () => {
  const { child, ended } = armor("--role", "daemon", "--help");
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  expect(await ended).toEqual({ status: 0, error: "" });
  expect(text).toContain("\nStart a node:\n");
});
