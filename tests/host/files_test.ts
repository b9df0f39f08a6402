import { afterEach, describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { chmodSync, chownSync, closeSync, existsSync, lstatSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type DataDir, DataDirError, dataDir, openDataDir } from "../../armors/host/data_dir.ts";
import { lockHolder, tryLock } from "../../armors/host/lock_file.ts";
import { openLog } from "../../armors/host/log_file.ts";
import { findProgram, standardEnvironment, standardPath } from "../../armors/host/program_lookup.ts";
import { readPort, removePort, writePort } from "../../armors/host/port_files.ts";
import { followRunDir, linkedRunDir, openRunDir } from "../../armors/host/run_dir.ts";
import { currentUser, findUser } from "../../armors/host/user_lookup.ts";
import { Temporary, until } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

const mode = (path: string): number => statSync(path).mode & 0o7777;
const isRoot = process.getuid?.() === 0;

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof DataDirError) return error.code;
    throw error;
  }
  return "done";
}

describe("openDataDir()", () => {
  test("makes a folder of mode 0700 with its parts, and opens it again", () => {
    const path = join(temporary.folder(), "a/b");
    const data = openDataDir(path);
    expect(mode(data.path)).toBe(0o700);
    for (const folder of ["armors", "launches", "logs"]) expect(mode(join(data.path, folder))).toBe(0o700);
    expect(openDataDir(path).path).toBe(data.path);
  });

  test("follows a symbolic link to the folder itself", () => {
    const folder = temporary.folder();
    mkdirSync(join(folder, "real"));
    symlinkSync(join(folder, "real"), join(folder, "link"));
    expect(openDataDir(join(folder, "link")).path).toBe(join(folder, "real"));
  });

  test("closes an empty folder to others, and refuses one that holds somebody's files", () => {
    const folder = temporary.folder();
    mkdirSync(join(folder, "empty"), { mode: 0o755 });
    openDataDir(join(folder, "empty"));
    expect(mode(join(folder, "empty"))).toBe(0o700);
    mkdirSync(join(folder, "shared"));
    chmodSync(join(folder, "shared"), 0o1777);
    writeFileSync(join(folder, "shared/file"), "");
    expect(codeOf(() => openDataDir(join(folder, "shared")))).toBe("shared");
    expect(mode(join(folder, "shared"))).toBe(0o1777);
    expect(existsSync(join(folder, "shared/armors"))).toBe(false);
  });

  test("refuses a file, a place that cannot be written and a folder of another user", () => {
    const folder = temporary.folder();
    writeFileSync(join(folder, "file"), "");
    expect(codeOf(() => openDataDir(join(folder, "file")))).toBe("not_directory");
    expect(codeOf(() => openDataDir(join(folder, "file/below")))).toBe("not_directory");
    expect(codeOf(() => openDataDir("/proc/armor"))).toBe("not_writable");
    expect(codeOf(() => dataDir(join(folder, "none")))).toBe("missing");
    if (!isRoot) return;
    mkdirSync(join(folder, "foreign"), { mode: 0o700 });
    chownSync(join(folder, "foreign"), 65_534, 65_534);
    expect(codeOf(() => openDataDir(join(folder, "foreign")))).toBe("not_owner");
  });

  test("names every file below it, and no file outside", () => {
    const data = openDataDir(temporary.folder());
    expect(data.armorLog("execution@n1")).toBe(`${data.path}/armors/execution_n1/armor.log`);
    expect(data.launch("web-1", 12)).toBe(`${data.path}/launches/web-1/12.launch`);
    expect(data.log("web", "web-1")).toBe(`${data.path}/logs/web/web-1.log`);
    for (const name of ["", ".", "..", "../x", "a/b", "a\0b", ".hidden", "x".repeat(300)]) {
      expect([name, codeOf(() => data.launch(name, 1))]).toEqual([name, "bad_name"]);
    }
  });
});

describe("openRunDir()", () => {
  function withRuntimeDir(value: string | undefined, run: () => void): void {
    const before = process.env["XDG_RUNTIME_DIR"];
    if (value === undefined) delete process.env["XDG_RUNTIME_DIR"];
    else process.env["XDG_RUNTIME_DIR"] = value;
    try {
      run();
    } finally {
      if (before === undefined) delete process.env["XDG_RUNTIME_DIR"];
      else process.env["XDG_RUNTIME_DIR"] = before;
    }
  }
  function freshData(): DataDir {
    const data = openDataDir(temporary.folder());
    temporary.defer(() => {
      const run = linkedRunDir(data);
      if (run !== undefined) rmSync(run.path, { recursive: true, force: true });
    });
    return data;
  }

  test("takes XDG_RUNTIME_DIR, and readers without it find the same folder", () => {
    const data = freshData();
    const runtime = temporary.folder();
    withRuntimeDir(runtime, () => {
      expect(linkedRunDir(data)).toBeUndefined();
      expect(openRunDir(data).path.startsWith(join(runtime, "armor/"))).toBe(true);
    });
    withRuntimeDir(undefined, () => {
      expect(linkedRunDir(data)?.path.startsWith(runtime)).toBe(true);
      expect(openRunDir(data)).toEqual(linkedRunDir(data) as never);
    });
    expect(mode(linkedRunDir(data)?.path ?? "")).toBe(0o700);
  });

  test("passes over a folder that is missing, too long for a socket or open to others", () => {
    const long = join(temporary.folder(), "x".repeat(90));
    mkdirSync(long);
    const open = temporary.folder();
    mkdirSync(join(open, "armor"), { mode: 0o777 });
    chmodSync(join(open, "armor"), 0o777);
    for (const runtime of ["/no/such/folder", long, open, "relative"]) {
      withRuntimeDir(runtime, () => {
        const run = openRunDir(freshData());
        expect(run.path.startsWith(runtime)).toBe(false);
        expect(run.socket.length).toBeLessThan(108);
      });
    }
  });

  test("is made again when a reboot has emptied it", () => {
    const data = freshData();
    withRuntimeDir(temporary.folder(), () => {
      const { path } = openRunDir(data);
      rmSync(path, { recursive: true });
      expect(linkedRunDir(data)).toBeUndefined();
      expect(openRunDir(data).path).toBe(path);
      expect(lstatSync(path).isDirectory()).toBe(true);
    });
  });

  test("is made again where it was, if that can be", () => {
    const data = freshData();
    let path = "";
    withRuntimeDir(temporary.folder(), () => {
      ({ path } = openRunDir(data));
    });
    rmSync(path, { recursive: true });
    // Another environment: another folder would do as well.
    withRuntimeDir(temporary.folder(), () => expect(openRunDir(data, path).path).toBe(path));
    rmSync(join(path, "../.."), { recursive: true });
    withRuntimeDir(temporary.folder(), () => expect(openRunDir(data, path).path).not.toBe(path));
    rmSync(join(linkedRunDir(data)!.path, "ports"), { recursive: true });
    expect(existsSync(join(openRunDir(data).path, "ports"))).toBe(true);
  });

  test("is followed by those who make none of their own", () => {
    const data = freshData();
    withRuntimeDir(temporary.folder(), () => {
      const followed = followRunDir(data);
      expect(existsSync(followed.path)).toBe(false);
      const { path } = openRunDir(data);
      expect([followed.path, followed.socket]).toEqual([path, join(path, "daemon.sock")]);
      rmSync(path, { recursive: true });
      expect(readPort(followed, "guard")).toBeUndefined();
      expect(() => writePort(followed, "guard", 1)).toThrow();
      expect(existsSync(path)).toBe(false);
      openRunDir(data);
      expect(followed.path).toBe(path);
    });
  });

  test("keeps the ports of armors", () => {
    const data = freshData();
    withRuntimeDir(temporary.folder(), () => {
      const run = openRunDir(data);
      expect(readPort(run, "ftm")).toBeUndefined();
      writePort(run, "execution@n1", 40_001);
      writePort(run, "execution@n1", 40_002);
      writePort(run, "guard", 1);
      expect([readPort(run, "execution@n1"), readPort(run, "guard")]).toEqual([40_002, 1]);
      removePort(run, "guard");
      expect(readPort(run, "guard")).toBeUndefined();
      writeFileSync(join(run.path, "ports/ftm"), "99999\n");
      expect(readPort(run, "ftm")).toBeUndefined();
    });
  });
});

describe("tryLock()", () => {
  test("keeps this process and others out until it is released", async () => {
    const path = join(temporary.folder(), "daemon.lock");
    const lock = tryLock(path);
    expect(lock?.path).toBe(path);
    expect(tryLock(path)).toBeUndefined();
    expect(lockHolder(path)).toBe(process.pid);
    expect(await contender(path)).toBe("busy\n");
    lock?.release();
    lock?.release();
    expect(await contender(path)).toBe("locked\n");
    expect(tryLock(path)?.release()).toBeUndefined();
  });

  test("is free again when its holder is killed, though a child of the holder lives", async () => {
    const path = join(temporary.folder(), "guard.lock");
    const holder = spawn(process.execPath, [...runner(), contenderFile(), path, "hold"], { stdio: ["ignore", "pipe", "inherit"] });
    let output = "";
    holder.stdout?.on("data", (data) => (output += data));
    await until(() => output.split("\n").length > 2, "the lock is held");
    const child = Number(output.split("\n")[1]);
    temporary.defer(() => process.kill(child, "SIGKILL"));
    expect(tryLock(path)).toBeUndefined();
    expect(lockHolder(path)).toBe(holder.pid as number);
    holder.kill("SIGKILL");
    await until(() => {
      const lock = tryLock(path);
      lock?.release();
      return lock !== undefined;
    }, "the lock is free");
    expect(process.kill(child, 0)).toBe(true);
  });

  test("fails with a reason where no file can be", () => {
    expect(() => tryLock("/no/such/folder/lock")).toThrow("ENOENT");
  });

  const runner = (): string[] => process.versions["deno"] === undefined ? [] : ["run", "-A"];

  function contenderFile(): string {
    const file = join(import.meta.dirname, `contending_${process.pid}.temporary.ts`);
    temporary.defer(() => rmSync(file, { force: true }));
    writeFileSync(file, `
      import { spawn } from "node:child_process";
      import { tryLock } from ${JSON.stringify(join(import.meta.dirname, "../../armors/host/lock_file.ts"))};
      console.log(tryLock(process.argv[2]) === undefined ? "busy" : "locked");
      if (process.argv[3] === "hold") {
        console.log(spawn("/bin/sleep", ["60"], { detached: true, stdio: "ignore" }).pid);
        setInterval(() => {}, 1000);
      }`);
    return file;
  }

  async function contender(path: string): Promise<string> {
    const { stdout } = spawnSync(process.execPath, [...runner(), contenderFile(), path], { encoding: "utf8" });
    return stdout;
  }
});

describe("openLog()", () => {
  test("appends, mode 0640, and keeps what a dead program wrote", () => {
    const path = join(temporary.folder(), "logs/web/i.log");
    for (const text of ["one\n", "two\n"]) {
      const descriptor = openLog(path);
      writeSync(descriptor, text);
      closeSync(descriptor);
    }
    expect(readFileSync(path, "utf8")).toBe("one\ntwo\n");
    expect(mode(path)).toBe(0o640);
  });

  test("turns a file over that is larger than its limit, keeping three", () => {
    const path = join(temporary.folder(), "i.log");
    for (let i = 1; i <= 6; i++) {
      const descriptor = openLog(path, { limitBytes: 4 });
      writeSync(descriptor, `run ${i}`);
      closeSync(descriptor);
    }
    const text = (suffix: string): string => readFileSync(path + suffix, "utf8");
    expect([text(""), text(".1"), text(".2"), text(".3")]).toEqual(["run 6", "run 5", "run 4", "run 3"]);
    expect(existsSync(`${path}.4`)).toBe(false);
    closeSync(openLog(path, { limitBytes: 5 }));
    expect(text("")).toBe("run 6"); // not larger than its limit
    closeSync(openLog(path, { limitBytes: 4 }));
    expect([text(""), text(".1")]).toEqual(["", "run 6"]);
  });

  test("does not follow a symbolic link", () => {
    const folder = temporary.folder();
    symlinkSync(join(folder, "target"), join(folder, "log"));
    expect(() => openLog(join(folder, "log"))).toThrow();
  });
});

describe("findProgram()", () => {
  test("finds commands along the path, paths as they are, and says why not", () => {
    const folder = temporary.folder();
    for (const [name, bits] of [["one", 0o755], ["plain", 0o644]] as const) {
      mkdirSync(join(folder, `${name}.d`));
      writeFileSync(join(folder, `${name}.d`, "tool"), "#!/bin/sh\n");
      chmodSync(join(folder, `${name}.d`, "tool"), bits);
    }
    const [one, plain] = [join(folder, "one.d"), join(folder, "plain.d")];
    const tool = join(one, "tool");
    expect(findProgram("tool", { path: `${plain}:${one}` })).toEqual({ ok: true, path: tool });
    expect(findProgram("tool", { path: plain })).toEqual({ ok: false, reason: "not-executable", path: join(plain, "tool") });
    expect(findProgram("tool")).toEqual({ ok: false, reason: "missing", path: "tool" });
    expect(findProgram("./tool", { directory: one })).toEqual({ ok: true, path: tool });
    expect(findProgram("one.d/tool", { directory: folder })).toEqual({ ok: true, path: tool });
    expect(findProgram(folder)).toEqual({ ok: false, reason: "is-directory", path: folder });
    expect(findProgram("/dev/null")).toMatchObject({ ok: false, reason: "not-executable" });
    expect(findProgram("")).toMatchObject({ ok: false, reason: "missing" });
    expect(findProgram("sh").ok).toBe(true);
  });
});

describe("users", () => {
  test("are found by name and number, and give the standard environment", () => {
    const user = currentUser();
    expect(user.uid).toBe(process.getuid?.() as number);
    expect(findUser("no-such-user")).toBeUndefined();
    expect(findUser("-h")).toBeUndefined();
    expect(standardEnvironment(user)).toEqual({
      PATH: standardPath, HOME: user.home, USER: user.name, LOGNAME: user.name, SHELL: user.shell, LANG: "C.UTF-8",
    });
    if (isRoot) expect(findUser("0")).toMatchObject({ uid: 0, gid: 0, home: "/root" });
  });
});
