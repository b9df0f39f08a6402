/**
 * The executable is the program its operator thinks it is: nothing in the current
 * folder or in the runtime's own environment variables changes what it does.
 */
import { afterAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { withoutSwitches } from "../../build/compile.ts";
import { tool } from "../../build/tools.mjs";
import { armorBinary, hostileFolder, run, starters } from "./binary.ts";

const folder = hostileFolder();
afterAll(() => folder.remove());
const binary = await armorBinary();
const ways = Object.entries(await starters());

describe("in a hostile folder", () => {
  test("the executable says its version", () => {
    expect(run([binary, "--version"], { cwd: folder.path })).toEqual({
      status: 0,
      stdout: "armor 0.1.0\n",
      stderr: "",
    });
  });

  test("the executable answers a mistake as anywhere else", () => {
    const args = [binary, "--role", "x"];
    const ended = run(args, { cwd: folder.path });
    expect(ended).toEqual(run(args, { cwd: "/" }));
    expect(ended.status).toBe(2);
  });

  test("the executable loads its commands from itself, not from the folder", () => {
    const ended = run([binary, "--help"], { cwd: folder.path });
    expect(ended.status).toBe(0);
    expect(ended.stdout + ended.stderr).not.toContain("HOSTILE");
  });

  test("the folder would stop the bare runtime: it is hostile indeed", () => {
    const ended = run([tool("bun"), "-e", "console.log('unharmed')"], { cwd: folder.path });
    expect(ended.stdout).toContain("HOSTILE");
    expect(ended.status).toBe(77);
  });
});

describe("with a variable that changes the runtime", () => {
  const hostile = [
    ["BUN_OPTIONS", "--preload ./preload.js"],
    ["BUN_OPTIONS", "--print 1"],
    ["BUN_BE_BUN", "1"],
    ["BUN_INSPECT", "ws://127.0.0.1:1/x"],
    ["BUN_INSPECT_PRELOAD", "./preload.js"],
    ["BUN_INSPECT_CONNECT_TO", "unix:///nowhere"],
    ["BUN_INSPECT_NOTIFY", "unix:///nowhere"],
  ] as const;

  test.each(hostile.map((pair) => [...pair]))(
    "the executable refuses %s=%s with one line, before anything else runs",
    (name, value) => {
      for (const args of [["--version"], ["status"], ["--role", "daemon"]]) {
        const ended = run([binary, ...args], {
          cwd: folder.path,
          env: { [name as string]: value as string },
        });
        expect(ended).toEqual({
          status: 1,
          stdout: "",
          stderr: `armor: cannot start: the environment variable "${name}" changes how this program runs; unset it\n`,
        });
      }
    },
  );

  test("an empty one is as good as none", () => {
    const ended = run([binary, "--version"], { env: { BUN_OPTIONS: "", BUN_BE_BUN: "", BUN_INSPECT: "" } });
    expect(ended).toEqual({ status: 0, stdout: "armor 0.1.0\n", stderr: "" });
  });

  test.each(ways)("%s refuses it too", (_name, way) => {
    const ended = run([...way, "--version"], { env: { BUN_INSPECT_NOTIFY: "unix:///nowhere" } });
    expect(ended.status).toBe(1);
    expect(ended.stderr).toContain('"BUN_INSPECT_NOTIFY"');
    expect(ended.stdout).toBe("");
  });

  test("a runtime whose switches stand elsewhere is not built upon", () => {
    const runtime = withoutSwitches(readFileSync(tool("bun")));
    expect(() => withoutSwitches(runtime)).toThrow("BUN_BE_BUN");
  });
});
