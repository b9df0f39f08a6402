import { afterEach, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { findByArguments, readArguments, readProcess } from "../../armors/host/process_table.ts";
import { type ProbeAnswer, Prober, type ProbeSurroundings } from "../../armors/host/prober.ts";
import { systemClock } from "../../armors/host/system_clock.ts";
import type { AskedProbe } from "../../armors/application.ts";
import { Temporary, until } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

const times = { intervalMs: 2_000, timeoutMs: 1_000, failures: 3, graceMs: 0 };
const around: ProbeSurroundings = { env: { PATH: "/usr/bin:/bin" }, directory: "/" };
const ask = (probe: AskedProbe, prober = new Prober(systemClock)): Promise<ProbeAnswer> => prober.ask(probe, () => around);
const shell = (script: string, more = {}): AskedProbe => ({ type: "exec", command: "sh", args: ["-c", script], ...times, ...more });

async function listen(server: Server): Promise<string> {
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  temporary.defer(() => new Promise<void>((done) => server.close(() => done())));
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe("a probe by HTTP", () => {
  const serve = (status: number) => listen(createHttpServer((_, response) => {
    response.writeHead(status, { location: "/elsewhere" }).end("body");
  }));

  test.each([200, 204, 302, 399])("status %i is good", async (status) => {
    expect(await ask({ type: "http", url: `http://${await serve(status)}/health`, ...times })).toMatchObject({ ok: true, reason: "" });
  });

  test.each([400, 404, 500, 503])("status %i is not", async (status) => {
    expect(await ask({ type: "http", url: `http://${await serve(status)}/`, ...times })).toMatchObject({ ok: false, reason: `status ${status}` });
  });

  test("asks for the path, and keeps no connection", async () => {
    let asked = "";
    let open = 0;
    const server = createHttpServer((request, response) => {
      asked = `${request.method} ${request.url}`;
      response.end("x".repeat(1_000_000));
    });
    server.on("connection", (socket) => {
      open += 1;
      socket.on("close", () => (open -= 1));
    });
    expect(await ask({ type: "http", url: `http://${await listen(server)}/a/b?c=1`, ...times })).toMatchObject({ ok: true });
    expect(asked).toBe("GET /a/b?c=1");
    await until(() => open === 0, "the connection is closed");
  });

  test("a server that accepts and says nothing", async () => {
    const address = await listen(createServer((socket) => temporary.defer(() => socket.destroy())));
    const startMs = systemClock.nowMs();
    expect(await ask({ type: "http", url: `http://${address}/`, ...times, timeoutMs: 150 })).toMatchObject({ ok: false, reason: "no answer within 150 ms" });
    expect(systemClock.nowMs() - startMs).toBeLessThan(3_000);
  });

  test("a server that says something else", async () => {
    const address = await listen(createServer((socket) => socket.on("error", () => {}).resume().end("SSH-2.0-x\r\n")));
    expect(await ask({ type: "http", url: `http://${address}/`, ...times })).toMatchObject({ ok: false, reason: "no HTTP" });
  });
});

describe("a probe by TCP", () => {
  test("a connection is good; nobody there is not", async () => {
    const server = createServer((socket) => socket.on("error", () => {}).destroy());
    const address = await listen(server);
    expect(await ask({ type: "tcp", address, ...times })).toMatchObject({ ok: true });
    await new Promise<void>((done) => server.close(() => done()));
    temporary.defer(() => new Promise<void>((done) => server.listen(0, done)));
    expect(await ask({ type: "tcp", address, ...times })).toMatchObject({ ok: false, reason: "connection refused" });
    expect(await ask({ type: "http", url: `http://${address}/`, ...times })).toMatchObject({ ok: false, reason: "connection refused" });
  });

  test("a name that nobody knows", async () => {
    expect((await ask({ type: "tcp", address: "no-such-host.invalid:1", ...times, timeoutMs: 2_000 })).ok).toBe(false);
  });
});

describe("a probe by a program", () => {
  test("exit status 0 is good, another is told", async () => {
    expect(await ask(shell("exit 0"))).toMatchObject({ ok: true, reason: "" });
    expect(await ask(shell("exit 3"))).toMatchObject({ ok: false, reason: "status 3" });
    expect(await ask({ ...shell(""), command: "no-such-program" } as AskedProbe)).toMatchObject({ ok: false, reason: '"no-such-program" is not found along PATH' });
    expect(await new Prober(systemClock).ask(shell("exit 0"), () => 'there is no user "x"')).toMatchObject({ ok: false, reason: 'there is no user "x"' });
  });

  test("finds the environment and the folder of its application", async () => {
    const directory = temporary.folder();
    const script = `[ "$COLOUR" = red ] && [ "$(pwd)" = "${directory}" ]`;
    expect(await new Prober(systemClock).ask(shell(script), () => ({ env: { ...around.env, COLOUR: "red" }, directory }))).toMatchObject({ ok: true });
  });

  test("that takes too long is killed with its children, which ignore whatever they can", async () => {
    const folder = temporary.folder();
    const file = join(folder, "pids");
    const script = `trap '' TERM INT HUP; echo $$ >>${file}; sleep 999 & echo $! >>${file}; wait`;
    expect(await ask(shell(script, { timeoutMs: 400 }))).toMatchObject({ ok: false, reason: "no answer within 400 ms" });
    const pids = readFileSync(file, "utf8").trim().split("\n").map(Number);
    expect(pids).toHaveLength(2);
    await until(() => pids.every((pid) => (readProcess(pid)?.state ?? "Z") === "Z"), "all are dead");
  });

  test("that ends and leaves a child behind: the child ends too", async () => {
    const file = join(temporary.folder(), "pid");
    expect(await ask(shell(`sleep 999 & echo $! >${file}`))).toMatchObject({ ok: true });
    const pid = Number(readFileSync(file, "utf8"));
    await until(() => (readProcess(pid)?.state ?? "Z") === "Z", "the child is dead");
  });

  const timeout = ["/usr/bin/timeout", "/bin/timeout"].some(existsSync);
  test.skipIf(!timeout)("ends in its time also when the armor that asked was killed meanwhile", async () => {
    const file = join(temporary.folder(), "pids");
    const deno = process.versions["deno"] === undefined ? [] : ["run", "-A", "--no-check", "--quiet"];
    const armor = spawn(process.execPath, [...deno, join(import.meta.dirname, "prober_child.ts"), file], { stdio: "ignore" });
    const pids = (): number[] => existsSync(file) ? readFileSync(file, "utf8").trim().split("\n").map(Number) : [];
    await until(() => pids().length === 2, "it asks", 20_000);
    armor.kill("SIGKILL");
    const alive = (): boolean => pids().some((pid) => (readProcess(pid)?.state ?? "Z") !== "Z");
    expect(alive()).toBe(true);
    await until(() => !alive(), "both are dead", 10_000);
  }, 30_000);

  test.skipIf(!timeout)("has a guard of its own", async () => {
    // What a probe's process looks like while it runs.
    const running = ask(shell("exec sleep 654", { timeoutMs: 600 }));
    let guard: readonly string[] = [];
    await until(() => {
      const [pid] = findByArguments((args) => args.includes("exec sleep 654") || (args[0]?.endsWith("timeout") === true && args.includes("exec sleep 654")));
      guard = pid === undefined ? [] : readArguments(pid);
      return guard.length > 0;
    }, "it runs");
    expect(guard.slice(1, 4)).toEqual(["-s", "KILL", "2"]);
    await running;
  });

  test("a thousand at once are a few at a time, each with its own time", async () => {
    const folder = temporary.folder();
    writeFileSync(join(folder, "log"), "");
    const prober = new Prober(systemClock, { processesMax: 3 });
    const answers = await Promise.all(Array.from({ length: 12 }, () => ask(shell(`echo begin >>${folder}/log; sleep 0.05; echo end >>${folder}/log`), prober)));
    expect(answers.every(({ ok }) => ok)).toBe(true);
    let now = 0;
    let most = 0;
    for (const line of readFileSync(join(folder, "log"), "utf8").trim().split("\n")) most = Math.max(most, (now += line === "begin" ? 1 : -1));
    expect(now).toBe(0);
    expect(most).toBeLessThanOrEqual(3);
    // Their time begins when their turn has come.
    expect(answers.at(-1)!.askedMs - answers[0]!.askedMs).toBeGreaterThan(100);
  });
});
