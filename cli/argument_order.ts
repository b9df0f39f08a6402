/**
 * Options may stand anywhere before `--`, also before the command. This puts the
 * command first and finds what the parsing library cannot: options of another
 * command, and options given twice.
 *
 * @module
 */
import { UsageError } from "../core/errors.ts";
import { type CommandDefinition, type OptionDefinition, printable } from "./command.ts";

/** The command line, put in order. */
export interface ArrangedArguments {
  /** The first word that is no option and no option's value. */
  readonly command: string | undefined;
  /** Everything else before `--`, in its order. */
  readonly words: readonly string[];
  /** Everything after the first `--`; `undefined` without one. */
  readonly program: readonly string[] | undefined;
}

/** Names and shape of one option, taken from its flags. */
export interface OptionShape {
  /** `["-n", "--lines"]` */
  readonly names: readonly string[];
  /** `lines` */
  readonly key: string;
  readonly takesValue: boolean;
}

/** Read `-n, --lines N`. */
export function optionShape(definition: OptionDefinition): OptionShape {
  const words = definition.flags.split(/[ ,]+/);
  const names = words.filter((word) => word.startsWith("-"));
  const long = names.find((name) => name.startsWith("--")) ?? names[0] ?? "";
  return { names, key: long.replace(/^-+/, ""), takesValue: words.length > names.length };
}

/**
 * Find the command and put it first.
 *
 * @param options Options of every command: needed to know which words are values.
 * @throws {UsageError} For an option without meaning before the command, or one given twice.
 */
export function arrangeArguments(
  argv: readonly string[],
  options: readonly OptionDefinition[],
  roleFlags: ReadonlySet<string>,
): ArrangedArguments {
  const separator = argv.indexOf("--");
  const before = separator < 0 ? argv : argv.slice(0, separator);
  const shapes = new Map<string, OptionShape & { readonly repeatable: boolean }>();
  for (const option of options) {
    const shape = { ...optionShape(option), repeatable: option.repeatable === true };
    for (const name of shape.names) shapes.set(name, shape);
  }
  const seen = new Set<string>();
  const words: string[] = [];
  let command: string | undefined;
  for (let index = 0; index < before.length; index++) {
    const word = before[index] as string;
    if (!word.startsWith("-") || word === "-") {
      if (command === undefined) command = word;
      else words.push(word);
      continue;
    }
    words.push(word);
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    const name = equals < 0 ? word : word.slice(0, equals);
    const shape = shapes.get(name) ?? (word.startsWith("--") ? undefined : clusterShape(word, shapes));
    if (shape === undefined) {
      if (roleFlags.has(name)) {
        throw new UsageError(`option "${name}" belongs to a node's processes: add --role daemon, or see armor --help`);
      }
      if (command === undefined) throw new UsageError(`unknown option "${printable(name)}"`);
      continue;
    }
    if (!shape.takesValue) continue;
    if (seen.has(shape.key) && !shape.repeatable) {
      throw new UsageError(`option "--${shape.key}" is given twice: give it once`);
    }
    seen.add(shape.key);
    if (equals < 0 && name === word && shapes.has(word) && index + 1 < before.length) {
      index++;
      words.push(before[index] as string);
    }
  }
  return { command, words, program: separator < 0 ? undefined : argv.slice(separator + 1) };
}

/** `-n5` and `-fn`: the shape that decides is that of the first letter. */
function clusterShape<S>(word: string, shapes: ReadonlyMap<string, S>): S | undefined {
  return shapes.get(word.slice(0, 2));
}

/** Options of all commands, without repetition. */
export function allOptions(
  commands: readonly CommandDefinition[],
  common: readonly OptionDefinition[],
): readonly OptionDefinition[] {
  return [...common, ...commands.flatMap((command) => command.options)];
}
