import { afterEach, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { openDataDir } from "../../armors/host/data_dir.ts";
import { readLaunchRecord } from "../../armors/host/launch_record.ts";
import { launch } from "../../armors/host/launcher.ts";
import { Prober } from "../../armors/host/prober.ts";
import { type ProgramCommand, programCommand, type ProgramOptions } from "../../armors/host/program_command.ts";
import { standardPath } from "../../armors/host/program_lookup.ts";
import { systemClock } from "../../armors/host/system_clock.ts";
import { findUser } from "../../armors/host/user_lookup.ts";
import { compileC, Temporary, until } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

const user = findUser("nobody");

/** What a user may set, and what must not reach a process of root's. */
const hostile = {
  PATH: "/usr/bin:/bin",
  LD_PRELOAD: "/none/evil.so",
  GCONV_PATH: "/none",
  ENV: "/none",
  IFS: "x",
  SHELLOPTS: "xtrace",
  "BASH_FUNC_exec%%": "() { echo function; }",
  UID: "7",
  OPTIND: "none",
  SECRET: "it's \"$HOME\"\n\\ `id` hidden",
  EMPTY: "",
};

// Root alone can start programs as another user.
describe.skipIf(process.geteuid?.() !== 0 || user === undefined)("a program of another user's", () => {
  /** What it prints, launched as that user. */
  async function output(options: Pick<ProgramOptions, "command" | "args" | "env">): Promise<string> {
    const data = openDataDir(temporary.folder());
    const logFile = data.log("web", "web1");
    const outcome = await launch({ data, instance: "web1", number: 1, directory: "/", user, logFile, ...options });
    if (!outcome.ok) throw new Error(outcome.reason);
    await until(() => readLaunchRecord(outcome.record)?.state === "ended", "it has ended");
    return readFileSync(logFile, "utf8");
  }

  test("has its whole environment, of which root obeys nothing and arguments show no value", async () => {
    const found = programCommand({ command: "env", args: ["-0"], env: hostile, directory: "/", user }, { session: true }) as ProgramCommand;
    const { PATH, ...others } = found.env;
    expect(PATH).toBe(standardPath);
    expect(Object.keys(others).filter((name) => !name.startsWith("armor_kept_"))).toEqual([]);
    expect(found.argv.join(" ")).not.toContain("hidden");
    const printed = (await output({ command: "env", args: ["-0"], env: { ...hostile, LD_PRELOAD: "" } })).split("\0");
    for (const [name, value] of Object.entries({ ...hostile, LD_PRELOAD: "" })) expect(printed).toContain(`${name}=${value}`);
    expect(printed.join(" ")).not.toContain("armor_kept_");
  });

  test("brings a library that only its user's processes load, for probes too", async () => {
    const folder = temporary.folder();
    const seen = join(folder, "seen");
    const library = compileC(folder, "seen.so", `
      #include <stdio.h>
      #include <unistd.h>
      __attribute__((constructor)) static void loaded(void) {
        FILE *file = fopen("${seen}", "a");
        if (file) { fprintf(file, "%d\\n", geteuid()); fclose(file); }
      }`, ["-shared", "-fPIC"]);
    if (library === undefined) return console.warn("skipped: needs gcc");
    chmodSync(folder, 0o777);
    // One finds the other: both are obeyed.
    const env = { PATH: "/usr/bin:/bin", LD_LIBRARY_PATH: folder, LD_PRELOAD: "seen.so" };
    const script = 'echo "$LD_PRELOAD $LD_LIBRARY_PATH"';
    const loaders = (): string[] => existsSync(seen) ? [...new Set(readFileSync(seen, "utf8").trim().split("\n"))] : [];
    expect(await output({ command: "sh", args: ["-c", script], env })).toBe(`seen.so ${folder}\n`);
    expect(loaders()).toEqual([`${user!.uid}`]);
    const probe = { type: "exec", command: "sh", args: ["-c", `test "$LD_PRELOAD" = seen.so`], intervalMs: 1_000, timeoutMs: 5_000, failures: 1, graceMs: 0 } as const;
    expect(await new Prober(systemClock).ask(probe, () => ({ env, directory: "/", user }))).toMatchObject({ ok: true });
    expect(loaders()).toEqual([`${user!.uid}`]);
  });
});

test("a program of Armor's own user has its environment, also what shells have for themselves", () => {
  const found = programCommand({ command: "env", args: [], env: hostile, directory: "/" }, { session: false }) as ProgramCommand;
  expect(found.env).toEqual(hostile);
  expect(found.argv.slice(1, -1)).toEqual(["SHELLOPTS=xtrace", `BASH_FUNC_exec%%=${hostile["BASH_FUNC_exec%%"]}`, "UID=7", "OPTIND=none"]);
});
