import { afterEach, describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import process from "node:process";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { openDataDir } from "../../armors/host/data_dir.ts";
import { listLaunches, parseLaunchRecord, readLaunchRecord } from "../../armors/host/launch_record.ts";
import { quote, shimArgv, shimScript, shimStatus } from "../../armors/host/launch_shim.ts";
import { pruneLaunches, sweepLaunches } from "../../armors/host/launch_sweep.ts";
import { endStarting, type LaunchExit, watchLaunch } from "../../armors/host/launch_watch.ts";
import { launch, type LaunchOptions, type LaunchOutcome } from "../../armors/host/launcher.ts";
import { isGroupAlive, killGroup, signalGroup, stopGracefully } from "../../armors/host/process_group.ts";
import { confirmGone, identify, isAlive, killAndConfirm, programState, readArguments, readProcess } from "../../armors/host/process_table.ts";
import { findProgram } from "../../armors/host/program_lookup.ts";
import { bootId } from "../../armors/host/system_clock.ts";
import { findUser } from "../../armors/host/user_lookup.ts";
import { Temporary, until } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

type Extra = Partial<LaunchOptions> & { readonly script?: string };

function optionsOf({ script, ...extra }: Extra = {}): LaunchOptions {
  const data = extra.data ?? openDataDir(temporary.folder());
  return {
    data,
    instance: "web1",
    number: 1,
    command: "sh",
    args: ["-c", script ?? "exec sleep 60"],
    env: { PATH: "/usr/bin:/bin" },
    directory: "/",
    logFile: data.log("web", "web1"),
    ...extra,
  };
}

async function start(options: LaunchOptions): Promise<Extract<LaunchOutcome, { ok: true }>> {
  const outcome = await launch(options);
  if (!outcome.ok) throw new Error(`launch failed: ${outcome.reason}`);
  temporary.program(outcome.program);
  return outcome;
}

const exitOf = (record: string, intervalMs = 50): Promise<LaunchExit> =>
  new Promise((resolve) => temporary.defer(watchLaunch(record, resolve, { intervalMs }).stop));

/** The shim as a process; it is not the program's group. */
const shimOf = (record: string): number => readLaunchRecord(record)?.shim ?? 0;

describe("launch()", () => {
  test("records pid, start time and boot of the program itself, which leads a session of its own", async () => {
    const { record, program } = await start(optionsOf());
    await until(() => readProcess(program.pid)?.name === "sleep", "the program runs");
    expect(readLaunchRecord(record)).toMatchObject({ state: "running", program: identify(program.pid) });
    expect(program.bootId).toBe(bootId());
    expect(readProcess(program.pid)).toMatchObject({ group: program.pid, session: program.pid, parent: shimOf(record) });
    const shim = readProcess(shimOf(record));
    expect(shim?.session).toBe(shim?.pid);
    expect(programState(program)).toBe("running");
  });

  test("keeps the program's arguments out of every command line but its own", async () => {
    const { record, program } = await start(optionsOf({ script: ": unmistakable-argument; exec sleep 60" }));
    expect(readArguments(shimOf(record)).join(" ")).not.toContain("unmistakable");
    expect(readArguments(shimOf(record)).slice(-3, -1)).toContain("--data-dir");
    expect(program.pid).not.toBe(shimOf(record));
  });

  test("appends output to the log and closes everything else", async () => {
    const options = optionsOf({ script: "echo out; echo err >&2; exec sleep 60" });
    mkdirSync(options.data.logs("web"), { recursive: true });
    writeFileSync(options.logFile, "earlier\n");
    const { program } = await start(options);
    await until(() => readProcess(program.pid)?.name === "sleep", "the program runs");
    expect(readFileSync(options.logFile, "utf8")).toBe("earlier\nout\nerr\n");
    const link = (number: number): string => readlinkSync(`/proc/${program.pid}/fd/${number}`);
    expect([0, 1, 2].map(link)).toEqual(["/dev/null", options.logFile, options.logFile]);
    // Its loader has files open for a moment.
    if (process.versions["bun"] !== undefined) await until(() => !existsSync(`/proc/${program.pid}/fd/3`), "nothing else is open");
    expect(/SigIgn:\s*0+\n/.test(readFileSync(`/proc/${program.pid}/status`, "utf8"))).toBe(true);
  });

  test("gives the program exactly its environment, arguments and directory, whatever characters they hold", async () => {
    const folder = temporary.folder();
    const directory = join(folder, "it's a $dir; `x`");
    mkdirSync(directory);
    const odd = `quote ' double " dollar $HOME back \`id\` \\ newline\nend`;
    const options = optionsOf({
      command: "/bin/sh",
      args: ["-c", 'printf "%s\\n" "$1" "$2" >"$3/args"; pwd >>"$3/args"; tr "\\0" "\\n" </proc/self/environ >"$3/env"', "sh", odd, "", folder],
      directory,
      env: { PATH: "/usr/bin:/bin", "dotted.name": "kept", pid: "mine", stat: "mine", value: odd, EMPTY: "" },
    });
    const { record } = await start(options);
    expect(await exitOf(record)).toEqual({ status: 0 });
    expect(readFileSync(join(folder, "args"), "utf8")).toBe(`${odd}\n\n${directory}\n`);
    const env = readFileSync(join(folder, "env"), "utf8").trimEnd().split("\n");
    for (const line of ["dotted.name=kept", "pid=mine", "stat=mine", "EMPTY=", "end", `PWD=${directory}`]) expect(env).toContain(line);
    expect(env.filter((line) => line.startsWith("armor"))).toEqual([]);
  });

  test("under a number that is on record starts nothing, however many try at once", async () => {
    const data = openDataDir(temporary.folder());
    const options = optionsOf({ data, script: "echo started; exec sleep 60" });
    const outcomes = await Promise.all([launch(options), launch(options), launch(options)]);
    for (const outcome of outcomes) if (outcome.ok) temporary.program(outcome.program);
    expect(outcomes.map((outcome) => outcome.ok ? "ok" : outcome.code).sort()).toEqual(["exists", "exists", "ok"]);
    await until(() => existsSync(options.logFile) && readFileSync(options.logFile, "utf8") !== "", "the program speaks");
    expect(await launch(options)).toMatchObject({ ok: false, code: "exists" });
    expect(readFileSync(options.logFile, "utf8")).toBe("started\n");
  });

  test("refuses what the machine cannot run, naming it", async () => {
    const folder = temporary.folder();
    writeFileSync(join(folder, "text"), "no program");
    const data = openDataDir(temporary.folder());
    const table: [Partial<LaunchOptions>, string][] = [
      [{ command: "no-such-command" }, "no-such-command"],
      [{ command: "/no/such/program" }, "/no/such/program"],
      [{ command: join(folder, "text") }, "not executable"],
      [{ command: folder }, "is a directory"],
      [{ directory: "/no/such/directory" }, "/no/such/directory"],
      [{ directory: "relative" }, "not absolute"],
      [{ args: ["a\0b"] }, "zero byte"],
      [{ env: { "a=b": "c" } }, "proper name"],
    ];
    for (const [extra, text] of table) {
      const outcome = await launch(optionsOf({ data, ...extra }));
      expect(outcome).toMatchObject({ ok: false, code: "refused" });
      if (!outcome.ok) expect(outcome.reason).toContain(text);
    }
    expect(listLaunches(data.launches("web1"))).toEqual([]);
  });

  test("records why a directory cannot be entered, and what became of a program that cannot be executed", async () => {
    const folder = temporary.folder();
    const script = join(folder, "script.sh");
    writeFileSync(script, shimScript({ argv: ["/bin/true"], directory: join(folder, "gone"), bootId: bootId() }));
    const record = join(folder, "1.launch");
    expect(spawnSync("/bin/sh", ["-s", "--", "--data-dir", folder, record], { input: readFileSync(script) }).status).toBe(0);
    expect(readLaunchRecord(record)).toMatchObject({ state: "ended", exit: 126 });
    expect(readLaunchRecord(record)?.reason).toContain("cannot enter directory");

    const broken = join(folder, "broken");
    writeFileSync(broken, "#!/no/such/interpreter\n");
    chmodSync(broken, 0o755);
    const { record: second } = await start(optionsOf({ command: broken }));
    expect((await exitOf(second)).status).toBeGreaterThanOrEqual(126);
  });

  test("fails without starting anything when the record's folder cannot be written", async () => {
    const options = optionsOf();
    rmSync(join(options.data.path, "launches"), { recursive: true });
    writeFileSync(join(options.data.path, "launches"), "in the way");
    expect(await launch(options)).toMatchObject({ ok: false, code: "failed" });
  });

  test.skipIf(process.getuid?.() !== 0 || findUser("nobody") === undefined)("runs as another user", async () => {
    const user = findUser("nobody");
    const options = optionsOf({ user, script: "id -un; id -u; id -G >/dev/null; exec sleep 60" });
    const { program } = await start(options);
    await until(() => readProcess(program.pid)?.name === "sleep", "the program runs");
    expect(readFileSync(options.logFile, "utf8")).toBe(`nobody\n${user?.uid}\n`);
    expect(readFileSync(`/proc/${program.pid}/status`, "utf8")).toContain(`Uid:\t${user?.uid}\t${user?.uid}\t`);
    expect(readProcess(program.pid)?.session).toBe(program.pid);
  });
});

describe("watchLaunch()", () => {
  test("reports exit statuses and signals of programs of this process", async () => {
    const data = openDataDir(temporary.folder());
    const table: [string, number][] = [["exit 0", 0], ["exit 7", 7], ["kill -KILL $$", 137], ["kill -INT $$", 130], ["kill -SEGV $$", 139]];
    for (const [index, [script, status]] of table.entries()) {
      const { record } = await start(optionsOf({ data, number: index + 1, script }));
      expect(await exitOf(record, 10_000)).toEqual({ status });
    }
  });

  test("reports them for records found on disk, also those that ended before", async () => {
    const data = openDataDir(temporary.folder());
    const source = `
      import { openDataDir } from ${JSON.stringify(join(import.meta.dirname, "../../armors/host/data_dir.ts"))};
      import { launch } from ${JSON.stringify(join(import.meta.dirname, "../../armors/host/launcher.ts"))};
      const data = openDataDir(${JSON.stringify(data.path)});
      for (const [number, script] of [[1, "exit 5"], [2, "exec sleep 60"]]) {
        await launch({ data, instance: "web1", number, command: "sh", args: ["-c", script], env: {}, directory: "/", logFile: data.log("web", "web1") });
      }
      process.kill(process.pid, "SIGKILL");`;
    const file = join(import.meta.dirname, `launching_${process.pid}.temporary.ts`);
    writeFileSync(file, source);
    temporary.defer(() => rmSync(file, { force: true }));
    const run = process.versions["deno"] === undefined ? [file] : ["run", "-A", file];
    expect(spawnSync(process.execPath, run, { encoding: "utf8" }).signal).toBe("SIGKILL");

    expect(listLaunches(data.launches("web1"))).toEqual([1, 2]);
    expect(await exitOf(data.launch("web1", 1), 10_000)).toEqual({ status: 5 });
    const program = readLaunchRecord(data.launch("web1", 2))?.program;
    if (program === undefined) throw new Error("the second program is not on record");
    temporary.program(program);
    expect(isAlive(program)).toBe(true);
    const exit = exitOf(data.launch("web1", 2), 10_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    signalGroup(program, "SIGTERM");
    expect(await exit).toEqual({ status: 143 });
  });

  test("with its shim killed keeps watching the program, whose status is then unknown", async () => {
    const { record, program } = await start(optionsOf());
    const exit = exitOf(record);
    const shim = identify(shimOf(record));
    if (shim === undefined) throw new Error("no shim");
    expect(await killAndConfirm(shim, "SIGKILL", 2_000)).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 120));
    expect(isAlive(program)).toBe(true);
    signalGroup(program, "SIGKILL");
    expect(await exit).toEqual({ status: null });
  });

  test("with its shim stopped wakes it to write the status", async () => {
    const { record, program } = await start(optionsOf());
    const shim = identify(shimOf(record));
    if (shim === undefined) throw new Error("no shim");
    const exit = exitOf(record);
    process.kill(shim.pid, "SIGSTOP");
    await until(() => programState(shim) === "stopped", "the shim is stopped");
    signalGroup(program, "SIGKILL");
    expect(await exit).toEqual({ status: 137 });
    expect(await confirmGone(() => !isAlive(shim), 2_000)).toBe(true);
  });

  test("the shim ignores signals that are meant for programs, and programs do not", async () => {
    const { record, program } = await start(optionsOf());
    const shim = shimOf(record);
    for (const signal of ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const) process.kill(shim, signal);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(programState(program)).toBe("running");
    signalGroup(program, "SIGHUP");
    expect(await exitOf(record)).toEqual({ status: 129 });
  });

  test("reports a launch whose shim died before its program started", async () => {
    const data = openDataDir(temporary.folder());
    mkdirSync(data.launches("web1"));
    writeFileSync(data.launch("web1", 1), "shim 999999\n");
    expect(await exitOf(data.launch("web1", 1))).toMatchObject({ status: null, reason: expect.any(String) });
  });

  test("takes a record of an earlier boot for a program that is gone", async () => {
    const data = openDataDir(temporary.folder());
    mkdirSync(data.launches("web1"));
    writeFileSync(data.launch("web1", 1), `shim 1\npid ${process.pid}\nstart ${identify(process.pid)?.startTicks}\nboot another\n`);
    expect(await exitOf(data.launch("web1", 1))).toEqual({ status: null });
  });
});

describe("process groups", () => {
  test("stopGracefully() ends a program by SIGTERM, a deaf one by SIGKILL, a stopped one too", async () => {
    const data = openDataDir(temporary.folder());
    const willing = await start(optionsOf({ data }));
    expect(await stopGracefully(willing.program, { graceMs: 2_000 })).toBe("ended");
    const deaf = await start(optionsOf({ data, number: 2, script: "trap '' TERM; echo ready; while :; do sleep 1; done" }));
    await until(() => readFileSync(data.log("web", "web1"), "utf8").includes("ready"), "the trap is set");
    expect(await stopGracefully(deaf.program, { graceMs: 50 })).toBe("killed");
    expect(await exitOf(deaf.record)).toEqual({ status: 137 });
    const stopped = await start(optionsOf({ data, number: 3 }));
    signalGroup(stopped.program, "SIGSTOP");
    await until(() => programState(stopped.program) === "stopped", "it is stopped");
    expect(await stopGracefully(stopped.program, { graceMs: 2_000 })).toBe("ended");
  });

  test("killGroup() ends the children that a dead program left behind", async () => {
    const { record, program } = await start(optionsOf({ script: "sleep 61 & echo $!; exec sleep 60" }));
    await until(() => readProcess(program.pid)?.name === "sleep", "the program runs");
    expect(await killAndConfirm(program, "SIGKILL", 2_000)).toBe(true);
    expect(await exitOf(record)).toEqual({ status: 137 });
    expect(isGroupAlive(program)).toBe(true);
    expect(await killGroup(program, 2_000)).toBe(true);
    expect(isGroupAlive(program)).toBe(false);
  });

  test("never touch a process that has the pid of another boot or another start", async () => {
    const own = identify(process.pid);
    if (own === undefined) throw new Error("this process has no identity");
    for (const other of [{ ...own, bootId: "another" }, { ...own, startTicks: own.startTicks + 1 }]) {
      expect(signalGroup(other, "SIGCONT")).toBe(false);
      expect(isAlive(other)).toBe(false);
      expect(await killGroup(other, 100)).toBe(true);
    }
  });
});

describe("launch records", () => {
  test("are read line by line as far as they are complete", () => {
    const full = "shim 10\npid 11\nstart 1234\nboot b-1\nexit 137\n";
    const program = { pid: 11, startTicks: 1234, bootId: "b-1" };
    for (let length = 0; length <= full.length; length++) {
      const record = parseLaunchRecord(full.slice(0, length));
      const lines = full.slice(0, length).split("\n").length - 1;
      expect(record.state).toBe(lines < 4 ? "starting" : lines < 5 ? "running" : "ended");
      expect(record.program).toEqual(lines < 4 ? undefined : program);
      expect(record.exit).toBe(lines < 5 ? undefined : 137);
    }
    expect(parseLaunchRecord("\0\xff garbage\npid x\nexit -1\n")).toEqual({ state: "starting" });
  });

  const running = ({ pid, startTicks, bootId: boot }: ProcessIdentity): string => `shim 1\npid ${pid}\nstart ${startTicks}\nboot ${boot}\n`;

  test("are pruned but for the newest and those that run", () => {
    const data = openDataDir(temporary.folder());
    const own = identify(process.pid)!;
    const texts: { readonly [number: number]: string } = { 1: running({ ...own, bootId: "another" }), 2: "shim 1\n", 3: running(own) };
    mkdirSync(data.launches("i"));
    for (let number = 1; number <= 12; number++) writeFileSync(data.launch("i", number), texts[number] ?? "exit 0\n");
    pruneLaunches(data.launches("i"), 5);
    expect(listLaunches(data.launches("i"))).toEqual([3, 8, 9, 10, 11, 12]);
  });

  test("go with their instance, unless its program runs", () => {
    const data = openDataDir(temporary.folder());
    const own = identify(process.pid)!;
    const texts = { here: "exit 0\n", ended: "exit 0\n", runs: running(own), cut: running({ ...own, bootId: "another" }), half: "shim 1\n" };
    for (const [instance, text] of Object.entries(texts)) {
      mkdirSync(data.launches(instance));
      writeFileSync(data.launch(instance, 1), text);
    }
    sweepLaunches(dirname(data.launches("any")), new Set(["here"]));
    expect(readdirSync(dirname(data.launches("any"))).sort()).toEqual(["here", "runs"]);
  });
});

test("the shim runs under every shell found here", () => {
  const data = openDataDir(temporary.folder());
  for (const [index, shell] of [["dash"], ["bash", "--posix"], ["busybox", "sh"]].entries()) {
    if (!findProgram(shell[0] as string).ok) continue;
    mkdirSync(data.launches(`i${index}`));
    for (const [number, [script, status]] of ([["exit 3", 3], ["kill -9 $$", 137], ["kill -INT $$", 130]] as const).entries()) {
      const record = data.launch(`i${index}`, number);
      const setsid = findProgram("setsid").path;
      const input = shimScript({ argv: [setsid, "/bin/sh", "-c", script], directory: "/", bootId: bootId() });
      const run = () => spawnSync(shell[0] as string, [...shell.slice(1), ...shimArgv(data.path, record).slice(1)], { input }).status;
      expect([shell, run()]).toEqual([shell, 0]);
      const found = readLaunchRecord(record);
      expect([shell, found?.state, found?.exit, found?.program?.bootId]).toEqual([shell, "ended", status, bootId()]);
      expect([shell, run()]).toEqual([shell, shimStatus.recordExists]);
    }
  }
});

test("quote() keeps every word one word", () => {
  const words = ["", "a b", "it's", "'", "''", "$(id)", "`id`", "\\", "\n", "-n", "*"];
  const script = `for word in ${words.map(quote).join(" ")}; do printf '%s\\0' "$word"; done`;
  expect(spawnSync("/bin/sh", ["-c", script], { encoding: "utf8" }).stdout.split("\0").slice(0, -1)).toEqual(words);
});

test("endStarting() ends a stopped shim that has not started its program, and nothing else", async () => {
  const record = join(temporary.folder(), "1");
  const shim = (path: string) => spawn("sh", ["-c", "read line", "--data-dir", "/x", path], { stdio: ["pipe", "ignore", "ignore"] });
  const [stopped, other] = [shim(record), shim(`${record}0`)];
  temporary.defer(() => [stopped, other].forEach((child) => child.kill("SIGKILL")));
  await until(() => [stopped, other].every(({ pid }) => readArguments(pid!).includes("--data-dir")), "both run");
  process.kill(stopped.pid!, "SIGSTOP");
  const gone = new Promise((resolve) => stopped.once("exit", (_code, signal) => resolve(signal)));
  await endStarting(record);
  expect(await gone).toBe("SIGKILL");
  expect(other.exitCode).toBeNull();
  expect(other.signalCode).toBeNull();
});
