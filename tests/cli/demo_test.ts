/**
 * The demonstration as a person runs it. Not on Deno: it would run the same
 * executable once more. (time limit: 180 s)
 *
 * @module
 */
import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { cleanEnvironment } from "../../armors/environment.ts";
import { findByArguments } from "../../armors/host/process_table.ts";
import { getJson } from "../../cli/demo/probe.ts";
import { run } from "./testing.ts";

const root = join(import.meta.dirname, "../..");
const executable = process.env["ARMOR_BINARY"] || join(root, "dist", "armor");
const argv = existsSync(executable) ? [executable] : [process.execPath, join(root, "mod.ts")];
const onDeno = "Deno" in globalThis;
const limitMs = 90_000;

interface Ended {
  readonly status: number | null;
  readonly out: string;
  readonly errors: string;
}

/** Start `armor demo` with a folder of its own for temporary and run-time files. */
function demo(...options: string[]) {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "armor-demo-test-")));
  const [temporary, runtime] = [join(folder, "t"), join(folder, "r")];
  mkdirSync(temporary);
  mkdirSync(runtime, { mode: 0o700 });
  mkdirSync(join(runtime, "armor"), { mode: 0o700 });
  const env = { ...cleanEnvironment(process.env), TMPDIR: temporary, XDG_RUNTIME_DIR: runtime };
  const start = (...words: string[]) => {
    const child = spawn(argv[0]!, [...argv.slice(1), "demo", ...words], { cwd: folder, env, stdio: ["ignore", "pipe", "pipe"] });
    let [out, errors] = ["", ""];
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    const ended = new Promise<Ended>((done) => child.on("close", (status) => done({ status, out, errors })));
    const saying = (words: string) => new Promise<void>((heard) => {
      child.stderr.on("data", () => errors.includes(words) && heard());
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    return { child, ended, saying };
  };
  return {
    ...start(...options),
    again: start,
    /** What is left of it. */
    left: () => ({
      processes: findByArguments((words) => words.some((word) => word.startsWith(temporary))).length,
      files: readdirSync(temporary),
      runtime: readdirSync(join(runtime, "armor")),
    }),
    remove: () => {
      for (const pid of findByArguments((words) => words.some((word) => word.startsWith(temporary)))) process.kill(pid, "SIGKILL");
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

const nothing = { processes: 0, files: [], runtime: [] };

test.skipIf(onDeno)("two demonstrations at once recover from every fault and leave nothing behind", async () => {
  const [people, program] = [demo(), demo("--json")];
  try {
    const [told, document] = await Promise.all([people.ended, program.ended]);
    expect({ ...told, out: "" }).toEqual({ status: 0, out: "", errors: told.errors });
    expect(told.out).toMatch(/^FAULT +TARGET +DETECTED BY +DETECTED +RECOVERED +OUTCOME$/m);
    expect(told.out).toContain("Everything recovered.");
    const { ok, tookMs, faults } = JSON.parse(document.out);
    expect({ ok, status: document.status }).toEqual({ ok: true, status: 0 });
    expect(tookMs).toBeLessThan(30_000);
    expect(faults.map((one: { fault: string }) => one.fault)).toEqual([
      "application crash", "application hang", "execution-armor crash", "FTM crash", "FTM hang", "node loss",
    ]);
    for (const one of faults) {
      expect(one).toMatchObject({ recovered: true, detectedBy: expect.any(String), detectedAfterMs: expect.any(Number) });
      expect(one.recoveredAfterMs).toBeLessThan(8_000);
      expect(one.requests?.answered).toBe(one.requests?.sent);
    }
    expect(people.left()).toEqual(nothing);
    expect(program.left()).toEqual(nothing);
  } finally {
    people.remove();
    program.remove();
  }
}, limitMs);

test.skipIf(onDeno)("Ctrl-C ends and removes everything", async () => {
  const interrupted = demo();
  try {
    await interrupted.saying("application crash:");
    interrupted.child.kill("SIGINT");
    const { status, out } = await interrupted.ended;
    expect({ status, out }).toEqual({ status: 130, out: "" });
    expect(interrupted.left()).toEqual(nothing);
  } finally {
    interrupted.remove();
  }
}, limitMs);

test.skipIf(onDeno)("--keep leaves two nodes and the application, --remove ends them", async () => {
  const kept = demo("--keep", "--json");
  try {
    const { status, out } = await kept.ended;
    const { kept: where } = JSON.parse(out);
    expect(status).toBe(0);
    expect(where.nodes.length).toBe(2);
    const { host, port } = { host: "127.0.0.1", port: Number(new URL(where.application).port) };
    expect(await getJson({ host, port })).toMatchObject({ instance: "web.0" });
    const listed = await run(["status", "--data-dir", where.nodes[0].dataDir]);
    expect(listed.out).toContain("web");
    expect((await kept.again("--remove", where.folder).ended).status).toBe(0);
    expect(kept.left()).toEqual(nothing);
    expect(await getJson({ host, port })).toBeUndefined();
  } finally {
    kept.remove();
  }
}, limitMs);

test("armor demo --remove takes its own folders only", async () => {
  const { status, error } = await run(["demo", "--remove", "/etc"]);
  expect({ status, error }).toEqual({ status: 1, error: 'armor: "/etc" is no folder of armor demo\n' });
});
