import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Application, applicationDefaults, applicationLimits } from "../../armors/application.ts";
import { parseApplication } from "../../armors/application_schema.ts";
import { UsageError } from "../../core/errors.ts";

const least = { name: "web", command: "nginx" };
const full: Application = {
  name: "web", command: "/usr/sbin/nginx", args: ["-g", "daemon off;", ""], env: { A: "1", _b: "" }, directory: "/srv", user: "www-data",
  instances: 3, node: "n1", pin: true, kind: "job", singleton: true,
  restart: { firstDelayMs: 1, delayCapMs: 2, resetAfterMs: 3, crashLoopRestarts: 4, crashLoopWindowMs: 5, restartsMax: 6 },
  probe: { type: "http", url: "http://127.0.0.1:8080/health?full=1", intervalMs: 500, timeoutMs: 400, failures: 2, graceMs: 0 },
  log: { maxBytes: 65_536, keep: 0 },
};

describe("parseApplication()", () => {
  test("fills in every default", () => {
    expect(parseApplication(least)).toEqual({
      name: "web", command: "nginx", args: [], env: {}, directory: null, user: null, instances: 1, node: null, pin: false, kind: "service", singleton: false,
      restart: applicationDefaults.restart, probe: null, log: applicationDefaults.log,
    });
  });

  test("keeps what is complete, in one order of fields", () => {
    const shuffled = Object.fromEntries(Object.entries(full).reverse());
    expect(parseApplication(shuffled)).toEqual(full);
    expect(Object.keys(parseApplication(shuffled))).toEqual(Object.keys(parseApplication(least)));
  });

  test("shares nothing with its input or between calls", () => {
    const first = parseApplication(least);
    expect(parseApplication(least).args).not.toBe(first.args);
    expect(parseApplication(least).env).not.toBe(first.env);
    const input = { ...full };
    expect(parseApplication(input).args).not.toBe(input.args);
    expect(parseApplication(input).env).not.toBe(input.env);
  });

  const bytes = (count: number): string => "x".repeat(count);
  const { argumentBytesMax, argumentsMax, pathBytesMax, variablesMax, totalBytesMax } = applicationLimits;
  const variables = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`V${index}`, ""]));
  const total = (count: number) => {
    const args: string[] = [];
    // Each text counts one byte more, as it does for execve; "nginx" counts too.
    for (let left = count - "nginx".length - 1; left > 0; left -= (args.at(-1) ?? "").length + 1) args.push(bytes(Math.min(left - 1, 60_000)));
    return args;
  };

  const accepted: [string, Record<string, unknown>][] = [
    ["a name of 63", { name: bytes(63) }],
    ["a name that starts with a digit", { name: "9.a_b-c" }],
    ["an absolute path", { command: "/bin/sh" }],
    ["a path at the bound", { command: `/${bytes(pathBytesMax - 1)}` }],
    ["an argument at the bound", { args: [bytes(argumentBytesMax)] }],
    ["the most arguments", { args: Array(argumentsMax).fill("") }],
    ["the most variables", { env: variables(variablesMax) }],
    ["everything at the bound", { args: total(totalBytesMax) }],
    ["a line break in an argument", { args: ["a\nb"] }],
    ["a variable named like a method", { env: { constructor: "1", toString: "2" } }],
    ["1 instance", { instances: 1 }],
    ["100 instances", { instances: 100 }],
    ["null where nothing is wanted", { directory: null, user: null, node: null }],
    ["a numeric user", { user: "1000" }],
    ["a pin with a node", { pin: true, node: "n1" }],
    ["a part of a restart policy", { restart: { restartsMax: 0 } }],
    ["a probe by HTTPS and IPv6", { probe: { type: "http", url: "https://[::1]:8443" } }],
    ["a probe by TCP", { probe: { type: "tcp", address: "localhost:5432" } }],
    ["a probe by a program", { probe: { type: "exec", command: "/bin/check", args: ["-q"] } }],
    ["a probe by progress", { probe: { type: "progress", withinMs: 5_000 } }],
    ["an ask as long as the pause", { probe: { type: "tcp", address: "a:1", intervalMs: 100, timeoutMs: 100 } }],
    ["log limits", { log: { maxBytes: 65_536 } }],
  ];
  test.each(accepted)("accepts %s", (_, fields) => {
    expect(parseApplication({ ...least, ...fields })).toMatchObject(fields);
  });

  const refused: [string, unknown, string][] = [
    ["nothing", undefined, "application must be a table with name and command"],
    ["a list", [], "application must be a table with name and command"],
    ["no name", { command: "x" }, "name is missing: give it"],
    ["no command", { name: "x" }, "command is missing: give it"],
    ["a field nobody knows", { ...least, comand: "x" }, '"comand" is no field of an application: use name, command, args'],
    ["an empty name", { ...least, name: "" }, 'name "" is not a name: use 1 to 63 letters'],
    ["a name of 64", { ...least, name: bytes(64) }, "is not a name"],
    ["a name with a slash", { ...least, name: "../etc" }, 'name "../etc" is not a name'],
    ["a name with a line break", { ...least, name: "a\n" }, 'name "a\\n" is not a name'],
    ["a name that is a number", { ...least, name: 1 }, "name must be a text"],
    ["an empty command", { ...least, command: "" }, "command is empty: name the program to run"],
    ["a relative command", { ...least, command: "./x" }, 'command "./x" is relative: give an absolute path'],
    ["a folder as command", { ...least, command: "/bin/" }, 'command "/bin/" is a folder'],
    ["a NUL byte in the command", { ...least, command: "a\0" }, "command holds a NUL byte"],
    ["a path past the bound", { ...least, command: `/${bytes(pathBytesMax)}` }, "command is longer than 4096 bytes"],
    ["arguments in one text", { ...least, args: "-a" }, "args must be a list of texts"],
    ["an argument that is no text", { ...least, args: ["a", 1] }, "args[2] must be a text"],
    ["a NUL byte in an argument", { ...least, args: ["a", "b\0"] }, "args[2] holds a NUL byte"],
    ["a broken character", { ...least, args: ["\ud800"] }, "args[1] is not valid Unicode"],
    ["an argument past the bound", { ...least, args: [bytes(argumentBytesMax + 1)] }, "args[1] is longer than 65536 bytes"],
    ["an argument past the bound in UTF-8 only", { ...least, args: ["ä".repeat(argumentBytesMax / 2 + 1)] }, "args[1] is longer than"],
    ["too many arguments", { ...least, args: Array(argumentsMax + 1).fill("") }, "args holds more than 1000 arguments"],
    ["too many variables", { ...least, env: variables(variablesMax + 1) }, "env holds more than 1000 variables"],
    ["too much in all", { ...least, args: total(totalBytesMax + 1) }, "command, args and env are longer than 262144 bytes together"],
    ["a list of variables", { ...least, env: ["A=1"] }, "env must be a table of names and texts"],
    ["a variable that is no text", { ...least, env: { A: 1 } }, "env variable A must be a text"],
    ["a NUL byte in a variable", { ...least, env: { A: "\0" } }, "env variable A holds a NUL byte"],
    ["a variable with = in its name", { ...least, env: { "A=B": "" } }, 'env "A=B" is not a variable name'],
    ["a variable without a name", { ...least, env: { "": "" } }, 'env "" is not a variable name'],
    ["a variable that would be lost", { ...least, env: JSON.parse('{"__proto__":"1"}') }, 'env "__proto__" is not a variable name'],
    ["a relative folder", { ...least, directory: "srv" }, 'directory "srv" is relative: give an absolute path'],
    ["a user with a blank", { ...least, user: "a b" }, 'user "a b" is not a user'],
    ["a user that is an option", { ...least, user: "-u" }, 'user "-u" is not a user'],
    ["0 instances", { ...least, instances: 0 }, "instances must be a whole number from 1 to 100"],
    ["101 instances", { ...least, instances: 101 }, "instances must be a whole number from 1 to 100"],
    ["half an instance", { ...least, instances: 1.5 }, "instances must be a whole number from 1 to 100"],
    ["instances as a text", { ...least, instances: "2" }, "instances must be a whole number from 1 to 100"],
    ["NaN instances", { ...least, instances: Number.NaN }, "instances must be a whole number from 1 to 100"],
    ["a node that is no name", { ...least, node: "a b" }, 'node "a b" is not a name'],
    ["a pin without a node", { ...least, pin: true }, "pin needs a node to stay on: give node too"],
    ["a kind nobody knows", { ...least, kind: "cron" }, 'kind must be "service" or "job"'],
    ["a switch as a text", { ...least, singleton: "yes" }, "singleton must be true or false"],
    ["a restart policy that is no table", { ...least, restart: "always" }, "restart must be a table"],
    ["a restart policy that is a list", { ...least, restart: [] }, "restart must be a table"],
    ["a restart field nobody knows", { ...least, restart: { delay: 1 } }, '"restart.delay" is no field of a restart policy: use firstDelayMs, delayCapMs'],
    ["no first delay", { ...least, restart: { firstDelayMs: 0 } }, "restart.firstDelayMs must be a whole number from 1 to 86400000"],
    ["a cap below the first delay", { ...least, restart: { firstDelayMs: 10, delayCapMs: 9 } }, "restart.delayCapMs is less than firstDelayMs"],
    ["a probe that is no table", { ...least, probe: "http" }, "probe must be a table"],
    ["a probe without a type", { ...least, probe: {} }, 'probe.type must be "http", "tcp", "exec" or "progress"'],
    ["a probe of no known type", { ...least, probe: { type: "icmp" } }, 'probe.type must be "http", "tcp", "exec" or "progress"'],
    ["a probe without its address", { ...least, probe: { type: "tcp" } }, "probe.address is missing: give it"],
    ["a probe field of another type", { ...least, probe: { type: "tcp", address: "a:1", url: "x" } }, '"probe.url" is no field of a probe of type "tcp": use type, address, intervalMs'],
    ["an address without a port", { ...least, probe: { type: "tcp", address: "localhost" } }, 'probe.address "localhost" is not an address: give HOST:PORT'],
    ["port 0", { ...least, probe: { type: "tcp", address: "localhost:0" } }, "is not an address"],
    ["a url of another kind", { ...least, probe: { type: "http", url: "ftp://x" } }, 'probe.url "ftp://x" is not an address of HTTP: give http://HOST:PORT/PATH'],
    ["a url with a blank", { ...least, probe: { type: "http", url: "http://x/a b" } }, "is not an address of HTTP"],
    ["a url with a user", { ...least, probe: { type: "http", url: "http://me@x/" } }, "is not an address of HTTP"],
    ["a relative probe program", { ...least, probe: { type: "exec", command: "./check" } }, 'probe.command "./check" is relative'],
    ["a probe argument that is no text", { ...least, probe: { type: "exec", command: "a", args: [1] } }, "probe.args[1] must be a text"],
    ["an ask longer than the pause", { ...least, probe: { type: "tcp", address: "a:1", intervalMs: 100, timeoutMs: 101 } }, "probe waits longer for an answer"],
    ["probes without a pause", { ...least, probe: { type: "tcp", address: "a:1", intervalMs: 99 } }, "probe.intervalMs must be a whole number from 100"],
    ["progress without a time", { ...least, probe: { type: "progress" } }, "probe.withinMs is missing: give it"],
    ["progress asked by interval", { ...least, probe: { type: "progress", withinMs: 1_000, intervalMs: 1_000 } }, '"probe.intervalMs" is no field of a probe of type "progress": use type, withinMs, graceMs'],
    ["a tiny log", { ...least, log: { maxBytes: 1_000 } }, "log.maxBytes must be a whole number from 65536"],
    ["a log field nobody knows", { ...least, log: { size: 1 } }, '"log.size" is no field of log limits: use maxBytes, keep'],
    ["a field that would be lost", JSON.parse('{"name":"a","command":"b","log":{"__proto__":{}}}'), '"log.__proto__" is no field of log limits'],
  ];
  test.each(refused)("refuses %s", (_, input, message) => {
    expect(() => parseApplication(input)).toThrow(message);
    expect(() => parseApplication(input)).toThrow(UsageError);
  });

  test("accepts what it returned, unchanged, and survives JSON", () => {
    const name = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$/);
    const word = fc.string({ unit: "binary", maxLength: 20 }).filter((text) => !text.includes("\0") && !/\p{Surrogate}/u.test(text));
    const application = fc.record(
      {
        name,
        command: fc.constantFrom("nginx", "/bin/sh"),
        args: fc.array(word),
        env: fc.dictionary(fc.stringMatching(/^[A-Za-z][A-Za-z0-9_]{0,8}$/), word),
        directory: fc.option(word.map((text) => `/${text}`)),
        instances: fc.integer({ min: 1, max: 100 }),
        kind: fc.constantFrom("service", "job"),
        singleton: fc.boolean(),
        node: fc.option(name),
        restart: fc.record({ firstDelayMs: fc.integer({ min: 1, max: 1_000 }), restartsMax: fc.option(fc.nat(10)) }, { requiredKeys: [] }),
        probe: fc.option(fc.oneof(
          fc.record({ type: fc.constant("tcp"), address: fc.constant("localhost:1"), intervalMs: fc.integer({ min: 100, max: 10_000 }) }, { requiredKeys: ["type", "address"] }),
          fc.record({ type: fc.constant("progress"), withinMs: fc.integer({ min: 100, max: 10_000 }) }),
        )),
        log: fc.record({ keep: fc.nat(100) }, { requiredKeys: [] }),
      },
      { requiredKeys: ["name", "command"] },
    );
    fc.assert(
      fc.property(application, (input) => {
        const parsed = parseApplication(input);
        expect(parsed).toMatchObject(JSON.parse(JSON.stringify(input)));
        expect(parseApplication(JSON.parse(JSON.stringify(parsed)))).toEqual(parsed);
      }),
      { numRuns: 200 },
    );
  });

  test("answers anything at all with an application or one line", () => {
    const anything = fc.record({
      name: fc.anything(), command: fc.anything(), args: fc.anything(), env: fc.anything(), directory: fc.anything(), user: fc.anything(),
      instances: fc.anything(), node: fc.anything(), pin: fc.anything(), kind: fc.anything(), singleton: fc.anything(),
      restart: fc.anything(), probe: fc.oneof(fc.anything(), fc.record({ type: fc.constantFrom("http", "exec"), url: fc.anything(), command: fc.anything() })), log: fc.anything(),
    }, { requiredKeys: [] });
    const nearly = fc.record({ name: fc.string(), command: fc.string(), args: fc.anything(), env: fc.anything() });
    fc.assert(
      fc.property(fc.oneof(fc.anything(), anything, nearly), (input) => {
        try {
          parseApplication(input);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
          expect((error as Error).message).toMatch(/^[^\n\r\0]+$/);
        }
      }),
      { numRuns: 500 },
    );
  });
});
