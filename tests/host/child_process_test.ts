import { afterEach, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { selfArgv, spawnDetached } from "../../armors/host/child_process.ts";
import { signalLeftBehind } from "../../armors/host/process_group.ts";
import { identify, isAlive, killAndConfirm, readProcess } from "../../armors/host/process_table.ts";
import { Temporary, until } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

test("spawnDetached() starts a process with its own session, files for output and the given environment", async () => {
  const logFile = join(temporary.folder(), "log");
  const script = "echo out; echo err >&2; pwd; env | grep -v -e ^PWD -e ^_ -e ^SHLVL -e ^OLDPWD; exec sleep 60";
  const child = spawnDetached({ argv: ["/bin/sh", "-c", script], env: { A: "1" }, logFile });
  temporary.defer(() => process.kill(child.pid, "SIGKILL"));
  await until(() => readProcess(child.pid)?.name === "sleep", "it runs");
  expect(child.identity).toEqual(identify(child.pid));
  expect(readProcess(child.pid)).toMatchObject({ session: child.pid, group: child.pid, parent: process.pid });
  expect(readFileSync(logFile, "utf8")).toBe("out\nerr\n/\nA=1\n");
});

test("spawnDetached() reports the end, also to those who ask late", async () => {
  const ended = spawnDetached({ argv: ["/bin/sh", "-c", "exit 7"], env: {} });
  const exit = await new Promise((resolve) => ended.onExit(resolve));
  expect(exit).toEqual({ code: 7, signal: null });
  expect(await new Promise((resolve) => ended.onExit(resolve))).toEqual(exit);
  const killed = spawnDetached({ argv: ["/bin/sleep", "60"], env: {} });
  process.kill(killed.pid, "SIGKILL");
  expect(await new Promise((resolve) => killed.onExit(resolve))).toEqual({ code: null, signal: "SIGKILL" });
});

test("signalLeftBehind() reaches what a child that is gone has left in its group, and nobody while it is there", async () => {
  const file = join(temporary.folder(), "pid");
  const child = spawnDetached({ argv: ["/bin/sh", "-c", `sleep 60 & echo $! >${file}; while [ ! -e ${file}.go ]; do sleep 0.01; done`], env: { PATH: "/bin:/usr/bin" } });
  await until(() => existsSync(file) && readFileSync(file, "utf8").endsWith("\n"), "it has a child");
  const left = identify(Number(readFileSync(file, "utf8")))!;
  signalLeftBehind(child.pid, "SIGKILL");
  expect([child.identity, left].map((one) => isAlive(one!))).toEqual([true, true]);
  writeFileSync(`${file}.go`, "");
  await new Promise((resolve) => child.onExit(resolve));
  signalLeftBehind(child.pid, "SIGKILL");
  await until(() => !isAlive(left), "what it left is dead");
});

test("spawnDetached() throws if there is no such program", () => {
  expect(() => spawnDetached({ argv: ["/no/such/program"], env: {} })).toThrow("/no/such/program");
});

test("a detached process outlives its parent, which does not wait for it", async () => {
  const file = join(import.meta.dirname, `parent_${process.pid}.temporary.ts`);
  temporary.defer(() => rmSync(file, { force: true }));
  writeFileSync(file, `
    import { spawnDetached } from ${JSON.stringify(join(import.meta.dirname, "../../armors/host/child_process.ts"))};
    console.log(spawnDetached({ argv: ["/bin/sleep", "60"], env: {} }).pid);`);
  const [program, ...args] = selfArgv(file);
  const { stdout, status } = spawnSync(program, args, { encoding: "utf8", timeout: 5_000 });
  const identity = identify(Number(stdout));
  if (identity === undefined) throw new Error(`no such process: ${stdout}`);
  temporary.defer(() => killAndConfirm(identity, "SIGKILL", 2_000));
  expect(status).toBe(0);
  expect(isAlive(identity)).toBe(true);
});

test("selfArgv() tells the executable, Bun and Deno apart", () => {
  expect(selfArgv("/$bunfs/root/armor")).toEqual([process.execPath]);
  const own = selfArgv("/x/mod.ts");
  expect(own[0]).toBe(process.execPath);
  expect(own.at(-1)).toBe("/x/mod.ts");
  expect(existsSync(own[0])).toBe(true);
});
