/**
 * Every way to start Armor starts the same program, quickly.
 */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { version } from "../../armors/version.ts";
import { bundle } from "../../build/bundle.ts";
import { compile } from "../../build/compile.ts";
import { root, tool } from "../../build/tools.mjs";
import { armorBinary, run, starters } from "./binary.ts";

const binary = await armorBinary();
/** The start of a module that esbuild evaluates when it is first reached. */
const wrapper = /^ {2}(?:async )?"((?:node_modules|[a-z]+)\/[^"]+)"\([^)]*\) \{/gm;
const ways = Object.entries(await starters());

test("the program's version is the package's", () => {
  expect(JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version).toBe(version);
});

describe.each(ways)("%s", (_name, way) => {
  test("--version", () => {
    expect(run([...way, "--version"])).toEqual({ status: 0, stdout: `armor ${version}\n`, stderr: "" });
  });

  test("--version --json", () => {
    expect(JSON.parse(run([...way, "--version", "--json"]).stdout)).toEqual({ version });
  });

  test("an unknown role", () => {
    expect(run([...way, "--data-dir", "/nowhere", "--role", "x"])).toEqual({
      status: 2,
      stdout: "",
      stderr: 'armor: unknown role "x": use daemon, ftm, heartbeat or execution\n',
    });
  });

  test.each([["--role"], ["--role="]])("a missing role: %s", (argument) => {
    expect(run([...way, argument])).toEqual({
      status: 2,
      stdout: "",
      stderr: "armor: --role needs a value: use daemon, ftm, heartbeat or execution\n",
    });
  });
});

test("--version loads neither roles nor commands: it takes 60 ms at most", () => {
  const times = Array.from({ length: 15 }, () => {
    const startMs = performance.now();
    run([binary, "--version"]);
    return performance.now() - startMs;
  });
  expect(times.sort((a, b) => a - b)[4]).toBeLessThanOrEqual(60);
});

describe("in the bundle", () => {
  test("no package is evaluated before it is reached", async () => {
    const text = await bundle();
    const modules = [...text.matchAll(/^\/\/ ((?:node_modules|[a-z]+)\/\S+)$/gm)].map(([, path]) => path!);
    const lazy = new Set([...text.matchAll(wrapper)].map(([, path]) => path!));
    expect(lazy.size).toBeGreaterThan(30);
    const eager = modules.filter((path) => !lazy.has(path));
    expect(eager.filter((path) => !/^(core|armors)\//.test(path))).toEqual([]);
  });

  test("--version evaluates neither package nor role nor command, --help no server", async () => {
    const file = join(root, "dist", `.traced-${process.pid}.mjs`);
    writeFileSync(file, (await bundle()).replace(wrapper, '$&console.log("evaluated $1");'));
    try {
      const evaluated = run([tool("bun"), file, "--version"]).stdout;
      expect(evaluated).toEndWith(`armor ${version}\n`);
      expect(evaluated).not.toMatch(/evaluated (?!core\/|armors\/[a-z]+\.ts)/);
      const help = run([tool("bun"), file, "--help"]).stdout;
      expect(help).toContain("evaluated node_modules/commander/");
      expect(help).not.toMatch(/evaluated node_modules\/(hono|@hono|asn1js)\//);
    } finally {
      rmSync(file, { force: true });
    }
  });
});

test("a build from the same inputs is not repeated, and several at once do no harm", async () => {
  const outfile = join(root, "dist", ".test-armor");
  const names = [outfile, join(root, "dist", "..test-armor.hash")];
  try {
    const beganMs = performance.now();
    const paths = await Promise.all([compile({ outfile }), compile({ outfile })]);
    const builtMs = performance.now() - beganMs;
    expect(paths).toEqual([outfile, outfile]);
    expect(run([outfile, "--version"]).stdout).toBe(`armor ${version}\n`);
    const startMs = performance.now();
    await compile({ outfile });
    expect(performance.now() - startMs).toBeLessThan(builtMs / 3);
    expect(existsSync(names[1]!)).toBe(true);
  } finally {
    for (const name of names) rmSync(name, { force: true });
  }
}, 60_000);
