/**
 * `armor run`
 *
 * @module
 */
import { basename, resolve } from "node:path";
import { nameLengthMax } from "../armors/name_rule.ts";
import { UsageError } from "../core/errors.ts";
import { type CommandDefinition, type CommandInput, parseInteger } from "./command.ts";

/** Has a program kept running. */
export const runCommand: CommandDefinition = {
  name: "run",
  group: "Applications:",
  summary: "keep a program running",
  description:
    "Submits a program and returns once the cluster has acknowledged that it will keep it running: as a service, which is started again whenever it ends, or as a job, which is done when it exits with status 0. The same name with the same options again changes nothing; with other options it is refused, and armor remove comes first. A program that no node can start is refused.",
  operands: [],
  options: [
    { flags: "--name NAME", description: "name of the application (default: the file name of CMD)" },
    { flags: "--instances COUNT", description: "how many to run at once, 1 to 100 (default: 1)" },
    { flags: "--node NAME", description: "node to start on (default: the cluster chooses)" },
    { flags: "--pin", description: "never move it away from --node" },
    { flags: "--env NAME=VALUE", description: "environment variable; may be repeated", repeatable: true },
    { flags: "--cwd DIR", description: "folder to run in, on the node (default: /)" },
    { flags: "--user USER", description: "user to run as (default: the daemon's)" },
    { flags: "--kind KIND", description: "service or job (default: service)" },
    { flags: "--job", description: "the same as --kind job" },
    { flags: "--singleton", description: "never run twice anywhere, even if that means not at all (refused for now)" },
  ],
  takesProgram: true,
  connects: true,
  examples: [
    "armor run --name web --instances 2 -- python3 -m http.server 8000",
    "armor run --env LANG=C --cwd /srv/shop --user shop -- ./server --port 80",
    "armor run --job --name backup -- /usr/local/bin/backup.sh",
  ],
  async run(input, terminal) {
    const { parseApplication } = await import("../armors/application_schema.ts");
    const { operate } = await import("./operation.ts");
    const application = parseApplication(applicationFrom(input, terminal.directory));
    await operate(input, terminal, { operation: "application.submit", application }, {
      changed: `application "${application.name}" accepted`,
      unchanged: `application "${application.name}" is there already, the same; nothing changed`,
    });
  },
};

/**
 * The application as the options say it, not yet checked. Relative paths are
 * taken as in a shell: CMD from `--cwd`, or else from here.
 *
 * @throws {UsageError} For what the schema cannot see.
 */
export function applicationFrom(input: CommandInput, here: string): Record<string, unknown> {
  if (input.operands.length > 0) {
    throw new UsageError(`put "--" before the program: armor run -- ${input.operands.join(" ")}`);
  }
  const [word, ...args] = input.program ?? [];
  if (word === undefined || word === "") throw new UsageError('the program is missing: armor run [options] -- CMD [ARGS…]');
  const cwd = input.text("cwd");
  const directory = cwd === undefined ? null : resolve(here, nonEmpty("--cwd", cwd));
  const command = word.includes("/") && !word.endsWith("/") ? resolve(directory ?? here, word) : word;
  const pin = input.flag("pin");
  const node = input.text("node") ?? null;
  if (pin && node === null) throw new UsageError("--pin needs a node to stay on: add --node NAME");
  return {
    name: input.text("name") ?? nameFrom(command),
    command,
    args,
    env: environmentFrom(input.list("env")),
    directory,
    user: input.text("user") ?? null,
    instances: parseInteger(input.text("instances") ?? "1", "--instances", 1, 100),
    node,
    pin,
    kind: kindFrom(input),
    singleton: input.flag("singleton"),
  };
}

/** The file name of a command, made a valid name: what cannot stay becomes `-`. */
function nameFrom(command: string): string {
  const name = basename(command)
    .replace(/[^A-Za-z0-9_.-]+/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "")
    .slice(0, nameLengthMax);
  if (name === "") throw new UsageError(`no name can be made of ${JSON.stringify(command.slice(0, 80))}: add --name NAME`);
  return name;
}

function environmentFrom(pairs: readonly string[]): Record<string, string> {
  const variables = new Map<string, string>();
  for (const pair of pairs) {
    const equals = pair.indexOf("=");
    if (equals <= 0) throw new UsageError(`--env ${JSON.stringify(pair.slice(0, 80))}: write NAME=VALUE`);
    const name = pair.slice(0, equals);
    if (variables.has(name)) throw new UsageError(`--env ${name} is given twice: give it once`);
    variables.set(name, pair.slice(equals + 1));
  }
  return Object.fromEntries(variables);
}

function kindFrom(input: CommandInput): string {
  const kind = input.text("kind");
  if (kind !== undefined && kind !== "service" && kind !== "job") {
    throw new UsageError(`--kind ${JSON.stringify(kind.slice(0, 80))}: give service or job`);
  }
  if (input.flag("job") && kind === "service") throw new UsageError("--job and --kind service exclude each other: give one");
  return input.flag("job") ? "job" : (kind ?? "service");
}

function nonEmpty(option: string, value: string): string {
  if (value === "") throw new UsageError(`${option} is empty: give a folder`);
  return value;
}
