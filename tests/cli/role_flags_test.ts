import { describe, expect, test } from "bun:test";
import { parseRoleFlags, roleFlags, roles } from "../../armors/host/role_flags.ts";

const daemon = ["--role", "daemon", "--node", "n1", "--listen", "127.0.0.1:7000", "--data-dir", "d", "--secret-file", "s"];
const without = (flag: string): string[] => daemon.filter((_, index) => daemon[index] !== flag && daemon[index - 1] !== flag);
const withValue = (flag: string, value: string): string[] => [...without(flag), flag, value];

describe("parseRoleFlags()", () => {
  test("reads a daemon's flags and fills in defaults", () => {
    expect(parseRoleFlags(daemon)).toEqual({
      role: "daemon",
      node: "n1",
      listen: "127.0.0.1:7000",
      dataDir: "d",
      secretFile: "s",
      join: [],
      allowElements: false,
      allowInjection: false,
    });
  });

  test("reads every flag, in any order, with = too", () => {
    const argv = [
      "--epoch=3.n1", "--incarnation", "4", "--allow-injection", "--allow-elements", "--config=c.toml", "--join", "a:1, b:2,a:1",
      "--advertise", "host.example:9", "--listen=[::]:7000", "--secret-file", "s", "--data-dir", "-strange", "--node", "n.1_x-y", "--role=daemon",
    ];
    expect(parseRoleFlags(argv)).toEqual({
      role: "daemon", node: "n.1_x-y", listen: "[::]:7000", advertise: "host.example:9", join: ["a:1", "b:2"], config: "c.toml",
      dataDir: "-strange", secretFile: "s", allowElements: true, allowInjection: true, incarnation: "4", epoch: "3.n1",
    });
  });

  test("asks of internal roles only a data dir", () => {
    for (const role of roles.filter((name) => name !== "daemon")) {
      expect(parseRoleFlags(["--role", role, "--data-dir", "d"]).role).toBe(role);
      expect(() => parseRoleFlags(["--role", role])).toThrow(`option "--data-dir" is missing: --role ${role} needs --data-dir DIR`);
    }
  });

  const wrong: [string, string[], string][] = [
    ["an unknown option", [...daemon, "--foo"], 'unknown option "--foo"'],
    ["an unknown option with a value", [...daemon, "--foo=1"], 'unknown option "--foo"'],
    ["a single letter", [...daemon, "-x"], 'unknown option "-x"'],
    ["a word that is no option", [...daemon, "web"], 'unexpected "web": --role takes options only'],
    ["no role", without("--role"), 'option "--role" is missing: start a node with --role daemon'],
    ["an unknown role", withValue("--role", "king"), 'unknown role "king": use daemon (the others are started by it)'],
    ["no node", without("--node"), 'option "--node" is missing: --role daemon needs --node NAME'],
    ["no listen", without("--listen"), 'option "--listen" is missing: --role daemon needs --listen HOST:PORT'],
    ["no data dir", without("--data-dir"), 'option "--data-dir" is missing: --role daemon needs --data-dir DIR'],
    ["no secret", without("--secret-file"), 'option "--secret-file" is missing: --role daemon needs --secret-file FILE'],
    ["a flag twice", [...daemon, "--node", "n2"], 'option "--node" is given twice: give it once'],
    ["a switch twice", [...daemon, "--allow-elements", "--allow-elements"], 'option "--allow-elements" is given twice: give it once'],
    ["a switch with a value", [...daemon, "--allow-elements=yes"], 'option "--allow-elements" takes no value: leave out "=yes"'],
    ["a value that is missing at the end", [...daemon, "--config"], 'option "--config" needs a value'],
    ["a value that is the next flag", [...without("--node"), "--node", "--allow-elements"], 'option "--node" needs a value'],
    ["an empty value", withValue("--data-dir", ""), 'option "--data-dir" needs a value'],
    ["a NUL byte", withValue("--data-dir", "a\0b"), 'option "--data-dir" holds a NUL byte: remove it'],
    ["a wildcard without advertise", withValue("--listen", "0.0.0.0:7000"), 'option "--advertise" is missing: --listen 0.0.0.0:7000 is a wildcard, so name the address that other nodes reach'],
    ["a wildcard to advertise", [...daemon, "--advertise", "[::]:7000"], '--advertise "[::]:7000" is a wildcard: name an address that other nodes reach'],
    ["port 0", withValue("--listen", "127.0.0.1:0"), '--listen "127.0.0.1:0": the port must be from 1 to 65535, so that other nodes can know it'],
    ["the beginning of an option", [...daemon, "--nod=n2"], 'unknown option "--nod": did you mean --node?'],
    ["an option without its hyphen", [...daemon, "--datadir", "d"], 'unknown option "--datadir": did you mean --data-dir?'],
    ["an option of our own processes, misspelled", [...daemon, "--epochs"], 'unknown option "--epochs": see armor --help'],
  ];
  test.each(wrong)("refuses %s in one line", (_, argv, message) => {
    expect(() => parseRoleFlags(argv)).toThrow(message);
  });

  test.each(["7000", "127.0.0.1", "127.0.0.1:", ":7000", "host:65536", "host:-1", "::1:7000", "[::1]", "256.0.0.1:1", "a b:1"])(
    "refuses %j as an address, naming the flag",
    (text) => {
      for (const flag of ["--listen", "--advertise", "--join"]) {
        expect(() => parseRoleFlags(withValue(flag, text))).toThrow(new RegExp(`^${flag}: cannot use address`));
      }
    },
  );

  test.each(["", "-n", ".n", "a b", "a/b", "n".repeat(64), "ä"])("refuses %j as a node name", (text) => {
    expect(() => parseRoleFlags([...without("--node"), `--node=${text}`])).toThrow(text === "" ? "needs a value" : "--node ");
  });

  test("takes a name of 63 characters", () => {
    expect(parseRoleFlags(withValue("--node", "n".repeat(63))).node).toHaveLength(63);
  });

  test("every flag that an operator may give has a help text", () => {
    expect(roleFlags.filter(({ help }) => help === undefined).map(({ flag }) => flag)).toEqual(["--armor", "--incarnation", "--epoch", "--ended"]);
  });
});
