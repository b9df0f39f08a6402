/**
 * From the words of a command line to a command and its exit status. Sole
 * importer of commander, which parses, suggests and prints the help.
 *
 * @module
 */
import { Command, CommanderError, Option } from "commander";
import { ArmorError, UsageError } from "../core/errors.ts";
import { allOptions, arrangeArguments, optionShape } from "./argument_order.ts";
import { type CommandDefinition, type CommandInput, type OptionDefinition, jsonDocument, printable } from "./command.ts";
import { commands } from "./command_list.ts";
import { rootHelp } from "./help.ts";
import { roleFlags } from "../armors/host/role_flags.ts";
import { version } from "../armors/version.ts";
import { OutputClosedError, type Terminal, errorCode } from "./terminal.ts";

/** Options of every command. */
const commonOptions = (streams = false): readonly OptionDefinition[] => [
  { flags: "--json", description: streams ? "print JSON, one object a line" : "print one JSON document" },
];

/** Options of commands that talk to a daemon. */
const connectionOptions: readonly OptionDefinition[] = [
  { flags: "--data-dir DIR", description: "data folder of the local daemon to ask (default: $ARMOR_DATA_DIR, else /var/lib/armor)" },
  { flags: "--address HOST:PORT", description: "ask the daemon of another machine; needs --secret-file" },
  { flags: "--secret-file FILE", description: "cluster secret, for --address" },
];

/**
 * Run one command.
 *
 * @param argv Everything after `armor`.
 * @returns The exit status. Errors have been printed, one line each.
 */
export async function runProgram(argv: readonly string[], terminal: Terminal): Promise<number> {
  const separator = argv.indexOf("--");
  const json = (separator < 0 ? argv : argv.slice(0, separator)).includes("--json");
  try {
    const parsed = parse(argv, json, terminal);
    if (parsed === undefined) return 0;
    return (await parsed.definition.run(parsed.input, terminal)) ?? 0;
  } catch (error) {
    if (error instanceof OutputClosedError) return 0;
    return report(error, json, terminal);
  }
}

/** @returns `undefined` if it was help, already printed. */
function parse(
  argv: readonly string[],
  json: boolean,
  terminal: Terminal,
): { definition: CommandDefinition; input: CommandInput } | undefined {
  const switches = ["-h, --help", "--version"].map((flags) => ({ flags, description: "" }));
  const options = allOptions(commands, [...commonOptions(), ...connectionOptions, ...switches]);
  const arranged = arrangeArguments(argv, options, new Set(roleFlags.map(({ flag }) => flag)));
  let { command: name, words } = arranged;
  if (name === "help") [name, words] = [words.find((word) => !word.startsWith("-")), ["--help"]];
  if (words.includes("--version")) {
    terminal.out(json ? jsonDocument({ version }) : `armor ${version}\n`);
    return undefined;
  }
  if (name === undefined) {
    if (words.some((word) => word === "-h" || word === "--help")) words = ["--help"];
    else if (words.length > 0) throw new UsageError("a command is missing: see armor --help");
    else if (arranged.program !== undefined) throw new UsageError('a command is missing: armor run -- COMMAND starts a program');
    else words = ["--help"];
  }
  const definition = commands.find((candidate) => candidate.name === name);
  let chosen: { operands: string[]; values: Record<string, unknown> } | undefined;
  const program = buildProgram(terminal, (operands, values) => {
    chosen = { operands, values };
  });
  const tail = definition?.takesProgram || !arranged.program ? [] : ["--", ...arranged.program];
  try {
    program.parse([...(name === undefined ? [] : [name]), ...words, ...tail], { from: "user" });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0 || error.code === "commander.helpDisplayed") return undefined;
    throw new UsageError(explain(error, definition, arranged.program !== undefined));
  }
  if (definition === undefined || chosen === undefined) return undefined;
  const { operands, values } = chosen;
  return { definition, input: commandInput(operands, values, arranged.program, json) };
}

/** All commands as commander wants them; `chosen` hears which one it was. */
function buildProgram(
  terminal: Terminal,
  chosen: (operands: string[], values: Record<string, unknown>) => void,
): Command {
  const program = new Command("armor")
    .exitOverride()
    .configureOutput({ writeOut: (text) => terminal.out(text), writeErr: () => {}, getOutHelpWidth: () => terminal.columns })
    .configureHelp({
      commandUsage: (command) => usageOf(command.name()),
      subcommandTerm: (command) => command.name(),
      optionTerm: (option) => option.flags.replace(/[<>]/g, ""),
    })
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .description(rootHelp.description)
    .addHelpText("after", rootHelp.after);
  program.option("--version", "print the version");
  for (const definition of commands) {
    const command = new Command(definition.name)
      .copyInheritedSettings(program)
      .summary(definition.summary)
      .description(definition.description)
      .helpGroup(definition.group)
      .allowExcessArguments(definition.takesProgram === true)
      .helpOption("-h, --help", "show this help");
    for (const { name, description, optional } of definition.operands) command.argument(optional ? `[${name}]` : `<${name}>`, description);
    const groups: [string, readonly OptionDefinition[]][] = [
      ["Options:", [...definition.options, ...commonOptions(definition.streams)]],
      ["Which daemon:", definition.connects ? connectionOptions : []],
    ];
    for (const [group, options] of groups) {
      for (const option of options) {
        // An option of the same name may belong to the command and to the connection.
        if (command.options.some((known) => known.long === `--${optionShape(option).key}`)) continue;
        command.addOption(commanderOption(option).helpGroup(group));
      }
    }
    command.addHelpText("after", `\nExamples:\n${definition.examples.map((line) => `  ${line}\n`).join("")}`.trimEnd());
    command.action(() => chosen(command.args, command.opts()));
    program.addCommand(command);
  }
  return program;
}

function commanderOption(definition: OptionDefinition): Option {
  const { names, key, takesValue } = optionShape(definition);
  const value = definition.flags.slice(definition.flags.indexOf(key) + key.length).trim();
  const option = new Option(`${names.join(", ")}${takesValue ? ` <${value}>` : ""}`, definition.description);
  if (definition.repeatable) option.argParser((text: string, previous: string[] | undefined) => [...(previous ?? []), text]);
  return option;
}

function commandInput(
  operands: readonly string[],
  values: { readonly [key: string]: unknown },
  program: readonly string[] | undefined,
  json: boolean,
): CommandInput {
  // Commander keeps `--data-dir` as `dataDir`.
  const value = (name: string): unknown => values[name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase())];
  return {
    operands,
    program,
    json,
    text: (name) => value(name) as string | undefined,
    flag: (name) => value(name) === true,
    list: (name) => (value(name) as string[] | undefined) ?? [],
  };
}

/** `armor stop [options] NAME` */
function usageOf(name: string): string {
  const definition = commands.find((candidate) => candidate.name === name);
  if (definition === undefined) return "armor COMMAND [options]";
  const operands = definition.operands.map(({ name: operand, optional }) => (optional ? ` [${operand}]` : ` ${operand}`)).join("");
  return `armor ${name} [options]${operands}${definition.takesProgram ? " -- CMD [ARGS…]" : ""}`;
}

/** One line in our words for what commander found wrong. */
function explain(error: CommanderError, definition: CommandDefinition | undefined, separated: boolean): string {
  const message = error.message.replace(/^error: /, "");
  const named = /'([^']*)'/.exec(message)?.[1] ?? "";
  const similar = /\(Did you mean (?:one of )?(.*?)\?\)/.exec(message)?.[1];
  let hint = similar === undefined ? `see armor ${definition ? `${definition.name} ` : ""}--help` : `did you mean ${similar}?`;
  if (definition?.takesProgram && !separated) hint = 'options of the program come after "--"';
  const usage = definition ? usageOf(definition.name) : "armor COMMAND";
  switch (error.code) {
    case "commander.unknownOption":
      return `unknown option "${printable(named)}": ${hint}`;
    case "commander.unknownCommand":
      return `unknown command "${printable(named)}": ${hint}`;
    case "commander.missingArgument":
      return `${named} is missing: ${usage}`;
    case "commander.excessArguments":
      return `too many arguments: ${usage}`;
    case "commander.optionMissingArgument":
      return `option "${named.replace(/^-\w, /, "").replace(/ .*/, "")}" needs a value: ${named.replace(/[<>]/g, "")}`;
    default:
      return printable(message);
  }
}

/** Print what went wrong. @returns The exit status. */
function report(error: unknown, json: boolean, terminal: Terminal): number {
  const expected = error instanceof ArmorError;
  const code = expected ? error.code : (errorCode(error) ?? "internal");
  const text = error instanceof Error ? error.message || error.name : String(error);
  const line = printable(/^[A-Z][a-z]/.test(text) ? text.slice(0, 1).toLowerCase() + text.slice(1) : text, 2_000);
  terminal.error(`armor: ${line}\n`);
  if (json) {
    try {
      // On one line, so that it may also end a stream of lines.
      terminal.out(`${JSON.stringify({ ok: false, error: line, code })}\n`);
    } catch {
      // Nobody reads it.
    }
  }
  return error instanceof UsageError ? 2 : 1;
}
