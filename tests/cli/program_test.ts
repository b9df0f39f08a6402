import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { optionShape } from "../../cli/argument_order.ts";
import { commands } from "../../cli/command_list.ts";
import { roleFlags } from "../../armors/host/role_flags.ts";
import { run } from "./testing.ts";

describe("armor --help", () => {
  test.each([[["--help"]], [["-h"]], [[]], [["help"]], [["--json", "--help"]]])("is shown by %j", async (argv) => {
    const { status, out, error } = await run(argv);
    expect({ status, error }).toEqual({ status: 0, error: "" });
    for (const { name, summary } of commands) expect(out).toMatch(new RegExp(`^  ${name} +${quoted(summary)}`, "m"));
    for (const { flag } of roleFlags.filter(({ help }) => help !== undefined)) expect(out).toContain(`\n  ${flag}`);
    expect(out).toContain("[--join HOST:PORT,…] [--config FILE] --data-dir DIR --secret-file FILE");
    expect(out).toContain("Exit status: 0 done; 1 ");
    expect(Math.max(...out.split("\n").slice(0, -7).map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test.each(commands.map(({ name }) => name))("documents %s: options with defaults, and examples that it accepts", async (name) => {
    const definition = commands.find((command) => command.name === name)!;
    const { status, out } = await run([name, "--help"]);
    expect(status).toBe(0);
    expect(out).toStartWith(`Usage: armor ${name} [options]`);
    for (const option of definition.options) expect(out).toContain(`  ${option.flags}`);
    expect(out).toContain("  --json ");
    expect(out.includes("--address HOST:PORT")).toBe(definition.connects === true);
    expect(definition.examples.length).toBeGreaterThan(0);
    for (const example of definition.examples) expect(out).toContain(`\n  ${example}\n`);
    for (const same of [["help", name], ["--help", name]]) expect((await run(same)).out).toBe(out);
  });

  test.each(commands.map(({ name }) => name))("of %s fits 80 columns, and continues a line under its beginning", async (name) => {
    const lines = (await run([name, "--help"])).out.split("\n");
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    // A term stands at 2; its words go on at a column of their own, not at the margin.
    for (const [index, line] of lines.entries()) if (/^ {2}\S+ {2,}\S/.test(line)) expect(lines[index + 1]).toMatch(/^$| {2}/);
  });

  test("needs no daemon and no operand", async () => {
    expect((await run(["stop", "--help", "--address"])).status).toBe(2);
    expect((await run(["run", "-h", "--", "x"])).status).toBe(0);
  });
});

test("an option that several commands share has one shape in all of them", () => {
  const shapes = new Map<string, boolean>();
  for (const option of commands.flatMap((command) => command.options)) {
    for (const name of optionShape(option).names) {
      expect(shapes.get(name) ?? optionShape(option).takesValue).toBe(optionShape(option).takesValue);
      shapes.set(name, optionShape(option).takesValue);
    }
  }
});

test("--version prints one line, or one document", async () => {
  expect((await run(["--version"])).out).toMatch(/^armor \d+\.\d+\.\d+\n$/);
  expect((await run(["status", "--version"])).out).toMatch(/^armor \d+\.\d+\.\d+\n$/);
  expect(JSON.parse((await run(["--json", "--version"])).out).version).toMatch(/^\d+\.\d+\.\d+$/);
});

describe("a wrong command line ends with status 2 and one line", () => {
  const wrong: [string[], string][] = [
    [["staus"], 'unknown command "staus": did you mean status?'],
    [["frobnicate"], 'unknown command "frobnicate": see armor --help'],
    [["--", "sleep", "1"], "a command is missing: armor run -- COMMAND starts a program"],
    [["--foo"], 'unknown option "--foo"'],
    [["--foo", "status"], 'unknown option "--foo"'],
    [["status", "--foo"], 'unknown option "--foo": see armor status --help'],
    [["status", "--jsno"], 'unknown option "--jsno": did you mean --json?'],
    [["--listen", "x:1"], 'option "--listen" belongs to a node\'s processes: add --role daemon, or see armor --help'],
    [["status", "x"], "too many arguments: armor status [options]"],
    [["stop"], "NAME is missing: armor stop [options] NAME"],
    [["stop", "a", "b"], "too many arguments: armor stop [options] NAME"],
    [["stop", "a b"], 'NAME "a b" is not a name: use 1 to 63 letters, digits, "_", "." or "-", the first a letter or digit'],
    [["stop", "--", "-x"], 'NAME "-x" is not a name: use 1 to 63 letters, digits, "_", "." or "-", the first a letter or digit'],
    [["checkpoint"], "FILE is missing: armor checkpoint [options] FILE"],
    [["init"], 'option "--secret-file" is missing: armor init --secret-file FILE'],
    [["init", "--secret-file"], 'option "--secret-file" needs a value: --secret-file FILE'],
    [["run"], "the program is missing: armor run [options] -- CMD [ARGS…]"],
    [["run", "--"], "the program is missing: armor run [options] -- CMD [ARGS…]"],
    [["run", "sleep", "1"], 'put "--" before the program: armor run -- sleep 1'],
    [["run", "python3", "-m", "x"], 'unknown option "-m": options of the program come after "--"'],
    [["run", "--name", "--", "x"], 'option "--name" needs a value: --name NAME'],
    [["--name", "a", "run", "--name=b", "--", "x"], 'option "--name" is given twice: give it once'],
    [["run", "--name", "a/b", "--", "x"], 'name "a/b" is not a name: use 1 to 63 letters, digits, "_", "." or "-", the first a letter or digit'],
    [["run", "--", "/"], 'no name can be made of "/": add --name NAME'],
    [["run", "--", ""], "the program is missing: armor run [options] -- CMD [ARGS…]"],
    [["run", "--instances", "0", "--", "x"], '--instances "0": give a whole number from 1 to 100'],
    [["run", "--instances", "1e1", "--", "x"], '--instances "1e1": give a whole number from 1 to 100'],
    [["run", "--instances", "101", "--", "x"], '--instances "101": give a whole number from 1 to 100'],
    [["run", "--pin", "--", "x"], "--pin needs a node to stay on: add --node NAME"],
    [["run", "--node", "a b", "--", "x"], 'node "a b" is not a name: use 1 to 63 letters, digits, "_", "." or "-", the first a letter or digit'],
    [["run", "--env", "A", "--", "x"], '--env "A": write NAME=VALUE'],
    [["run", "--env", "=1", "--", "x"], '--env "=1": write NAME=VALUE'],
    [["run", "--env", "A=1", "--env", "A=2", "--", "x"], "--env A is given twice: give it once"],
    [["run", "--env", "1A=", "--", "x"], 'env "1A" is not a variable name: use letters, digits and "_", the first no digit'],
    [["run", "--kind", "cron", "--", "x"], '--kind "cron": give service or job'],
    [["run", "--job", "--kind", "service", "--", "x"], "--job and --kind service exclude each other: give one"],
    [["run", "--cwd", "", "--", "x"], "--cwd is empty: give a folder"],
    [["run", "--user", "a b", "--", "x"], 'user "a b" is not a user: give a user name or number'],
    [["run", "--", "x", "a\0b"], "args[1] holds a NUL byte, which no program can be given: remove it"],
    [["events", "--since", "-1"], '--since "-1": give a whole number of at least 0'],
    [["events", "--since", "x\u001b[31m"], '--since "x?[31m": give a whole number of at least 0'],
    [["logs", "web", "--lines", "many"], '--lines "many": give a whole number from 0 to 1000000'],
    [["logs", "web", "--instance", "a/b"], '--instance "a/b" is not an id: armor status lists them'],
    [["status", "--address", "h:1", "--data-dir", "d"], "--address and --data-dir exclude each other: give one"],
    [["status", "--address", "h:1"], "--address needs the cluster secret: add --secret-file FILE"],
    [["status", "--address", "h", "--secret-file", "s"], '--address: cannot use address "h": write HOST:PORT, such as 10.0.0.1:7000 or [::1]:7000'],
    [["status", "--address", "h:0", "--secret-file", "s"], '--address "h:0": the port must be from 1 to 65535'],
    [["status", "--data-dir", ""], "--data-dir is empty: give the data folder of a daemon"],
  ];
  test.each(wrong)("%j", async (argv, message) => {
    expect(await run(argv)).toEqual({ status: 2, out: "", error: `armor: ${message}\n` });
    const told = await run(["--json", ...argv]);
    expect(told.status).toBe(2);
    expect(JSON.parse(told.out)).toEqual({ ok: false, error: told.error.slice("armor: ".length, -1), code: "usage" });
  });
});

describe("what the machine has to know ends with status 1", () => {
  test("no daemon", async () => {
    const message = "no daemon answers at /nowhere/d: start one with --role daemon or give --data-dir";
    for (const argv of [["status"], ["stop", "web"], ["run", "--", "x"], ["events"], ["logs", "web"], ["down"]]) {
      expect(await run(["--data-dir", "/nowhere/d", ...argv])).toEqual({ status: 1, out: "", error: `armor: ${message}\n` });
    }
    const { out } = await run(["status", "--json"], { environment: { ARMOR_DATA_DIR: "/nowhere/d" } });
    expect(JSON.parse(out)).toEqual({ ok: false, error: message, code: "no-daemon" });
    expect((await run(["status", "--data-dir", "d"], { directory: "/nowhere" })).error).toContain("/nowhere/d:");
    expect((await run(["status"])).error).toContain(" /var/lib/armor:");
  });

  test("no secret, and nobody at the address", async () => {
    const folder = mkdtempSync(join(tmpdir(), "armor-cli-"));
    try {
      const file = join(folder, "secret");
      const missing = await run(["status", "--address", "127.0.0.1:1", "--secret-file", file]);
      expect(missing).toEqual({ status: 1, out: "", error: `armor: cannot read secret file "${file}": no such file; armor init creates one\n` });
      await run(["init", "--secret-file", file]);
      const nobody = await run(["status", "--address", "127.0.0.1:1", "--secret-file", file]);
      expect(nobody).toEqual({ status: 1, out: "", error: "armor: no daemon answers at 127.0.0.1:1: check the address, and that the daemon runs\n" });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("armor init", () => {
  test("creates a secret with mode 0600 and never overwrites one", async () => {
    const folder = mkdtempSync(join(tmpdir(), "armor-cli-"));
    try {
      const file = join(folder, "secret");
      const made = await run(["init", "--secret-file", file]);
      expect({ ...made, out: "" }).toEqual({ status: 0, out: "", error: "" });
      expect(made.out).toContain(`armor --role daemon --node n1 --listen 127.0.0.1:7000 --data-dir DIR --secret-file ${file}\n`);
      expect(statSync(file).mode & 0o777).toBe(0o600);
      const secret = readFileSync(file, "utf8");
      const again = await run(["--json", "init", "--secret-file", file]);
      expect(again.status).toBe(1);
      expect(again.error).toBe(`armor: cannot create secret file "${file}": it exists already; use it, or name another file\n`);
      expect(JSON.parse(again.out)).toMatchObject({ ok: false, code: "file" });
      expect(readFileSync(file, "utf8")).toBe(secret);
      const other = join(folder, "other");
      expect(JSON.parse((await run(["init", "--json", "--secret-file", other])).out)).toEqual({ ok: true, secretFile: other });
      expect(readFileSync(other, "utf8")).not.toBe(secret);
      expect((await run(["init", "--secret-file", join(folder, "no", "such")])).status).toBe(1);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

test("a closed standard output is no error", async () => {
  expect(await run(["--help"], { closeAfter: 0 })).toEqual({ status: 0, out: "", error: "" });
});

function quoted(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
