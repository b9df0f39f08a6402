import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Application, applicationLimits, parseApplication } from "../../armors/application_schema.ts";
import { UsageError } from "../../core/errors.ts";

const least = { name: "web", command: "nginx" };
const full: Application = {
  name: "web", command: "/usr/sbin/nginx", args: ["-g", "daemon off;", ""], env: { A: "1", _b: "" }, directory: "/srv", user: "www-data",
  instances: 3, node: "n1", pin: true, kind: "job", singleton: true,
};

describe("parseApplication()", () => {
  test("fills in every default", () => {
    expect(parseApplication(least)).toEqual({
      name: "web", command: "nginx", args: [], env: {}, directory: null, user: null, instances: 1, node: null, pin: false, kind: "service", singleton: false,
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
