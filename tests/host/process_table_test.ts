import { afterEach, describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import process from "node:process";
import {
  entryOf, findByArguments, findNodeProcesses, identify, isAlive, killAndConfirm, parseStat, programState, readArguments, readProcess, signalProcess,
} from "../../armors/host/process_table.ts";
import { bootId, nowMs } from "../../armors/host/system_clock.ts";
import { compileC, Temporary, until } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

function sleeper(program = "/bin/sleep", ...args: string[]) {
  const child = spawn(program, args.length > 0 ? args : ["60"], { stdio: "ignore" });
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw new Error("the child has no identity");
  temporary.defer(() => killAndConfirm(identity, "SIGKILL", 2_000));
  return identity;
}

describe("parseStat()", () => {
  const tail = "S 7 8 9 0 -1 4194304 54 0 0 0 0 0 0 0 20 0 3 0 151312 2703360 284";

  test("finds the fields behind any name", () => {
    for (const name of ["sleep", "a b", ") R 1 (", "(sd-pam)", "x) (y", ")", "", "a\nb"]) {
      expect(parseStat(`42 (${name}) ${tail}`)).toEqual({
        pid: 42, name, state: "S", parent: 7, group: 8, session: 9, threads: 3, startTicks: 151_312,
      });
    }
  });

  test("refuses anything else", () => {
    for (const text of ["", "42", "42 (x", "42 x) S 1", "(x) S 1 2", "x (y) S 1 1 1", "42 (x) S 1 2 3"]) expect(parseStat(text)).toBeUndefined();
  });
});

describe("the process table", () => {
  test("knows this process and none of pid 0 or beyond the last", () => {
    expect(readProcess(process.pid)).toMatchObject({ pid: process.pid, parent: process.ppid });
    expect(identify(process.pid)).toMatchObject({ pid: process.pid, bootId: bootId() });
    expect(readArguments(process.pid).length).toBeGreaterThan(0);
    for (const pid of [0, -1, 4_194_305, NaN]) expect(readProcess(pid)).toBeUndefined();
  });

  test("tells running, stopped and gone apart", async () => {
    const identity = sleeper();
    expect(programState(identity)).toBe("running");
    signalProcess(identity, "SIGSTOP");
    await until(() => programState(identity) === "stopped", "it is stopped");
    expect(isAlive(identity)).toBe(true);
    expect(await killAndConfirm(identity, "SIGKILL", 2_000)).toBe(true);
    expect(programState(identity)).toBe("gone");
    expect(signalProcess(identity, "SIGCONT")).toBe(false);
  });

  test("calls a process dead that has ended and is not collected", async () => {
    // The shell replaces itself and never collects its child.
    const parent = sleeper("/bin/sh", "-c", "sleep 0.01 & exec sleep 60");
    const zombie = (): number => findZombie(parent.pid);
    await until(() => zombie() > 0, "there is a zombie");
    const entry = readProcess(zombie());
    expect(entry?.state).toBe("Z");
    expect(identify(zombie())).toBeUndefined();
    expect(isAlive({ pid: zombie(), startTicks: entry?.startTicks ?? 0, bootId: bootId() })).toBe(false);
  });

  test("calls a process alive whose first thread has ended while another runs", async () => {
    const program = compileC(temporary.folder(), "threads", `
      #include <pthread.h>
      #include <unistd.h>
      void *run(void *x) { sleep(60); return 0; }
      int main(void) { pthread_t t; pthread_create(&t, 0, run, 0); pthread_exit(0); }`);
    if (program === undefined) return console.warn("skipped: needs gcc");
    const identity = sleeper(program, "x");
    await until(() => readProcess(identity.pid)?.state === "Z", "the first thread has ended");
    expect(isAlive(identity)).toBe(true);
    expect(await killAndConfirm(identity, "SIGKILL", 2_000)).toBe(true);
  });

  test("gives up on a process that does not end in time", async () => {
    const identity = sleeper();
    expect(await killAndConfirm(identity, "SIGCONT", 20)).toBe(false);
    expect(entryOf(identity)?.pid).toBe(identity.pid);
  });

  test("finds processes by their arguments", async () => {
    const argument = `60.${process.pid}`; // other runs of this test have another
    const identity = sleeper("/bin/sleep", argument);
    await until(() => readArguments(identity.pid).length > 0, "it has its arguments"); // none in the middle of an exec
    expect(findByArguments((args) => args[1] === argument)).toEqual([identity.pid]);
  });
});

test("of a node are its roles and its shims, and not the commands of its operator", async () => {
  const folder = temporary.folder();
  const runs = (...args: string[]) => {
    const child = spawn("/bin/sh", args, { stdio: ["pipe", "ignore", "ignore"] });
    temporary.defer(() => void child.kill("SIGKILL"));
    return identify(child.pid!)!;
  };
  const command = ["-c", "read line", "armor"];
  const ours = [runs(...command, "--role", "execution", "--data-dir", folder), runs(...command, "--role=daemon", `--data-dir=${folder}`), runs("-s", "--", "--data-dir", folder, "record")];
  const others = [
    runs(...command, "logs", "web", "-f", "--data-dir", folder),
    runs(...command, "--role", "execution", "--data-dir", `${folder}2`),
    runs(...command, "--role", "execution", "--data-dir"),
  ];
  for (const { pid } of [...ours, ...others]) await until(() => readArguments(pid)[0] === "/bin/sh", "it has its arguments");
  expect(findNodeProcesses(folder).sort()).toEqual(ours.map(({ pid }) => pid).sort());
});

function findZombie(parent: number): number {
  const children = readFileSync(`/proc/${parent}/task/${parent}/children`, "utf8").trim();
  return readProcess(Number(children))?.state === "Z" ? Number(children) : 0;
}

describe("nowMs()", () => {
  test("is the uptime of the machine in whole milliseconds, the same in every process", () => {
    const before = nowMs();
    const uptime = Number.parseFloat(spawnSync("cat", ["/proc/uptime"], { encoding: "utf8" }).stdout) * 1_000;
    const after = nowMs();
    expect(Number.isInteger(before)).toBe(true);
    expect(uptime).toBeGreaterThanOrEqual(before - 11);
    expect(uptime).toBeLessThanOrEqual(after + 11);
  });

  test("never runs backwards", () => {
    const times = Array.from({ length: 20_000 }, nowMs);
    expect(times.every((time, index) => index === 0 || time >= (times[index - 1] as number))).toBe(true);
  });
});
