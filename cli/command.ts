/**
 * What a command is: its words for the help, its options, and what it does.
 * Command files declare; `program.ts` alone knows the library that parses.
 *
 * @module
 */
import { ArmorError, UsageError } from "../core/errors.ts";
import type { Terminal } from "./terminal.ts";

/** One option of a command. */
export interface OptionDefinition {
  /** As in the help: `-n, --lines N`; without a value name it is a switch. */
  readonly flags: string;
  /** Starts lower-case; says unit and default. */
  readonly description: string;
  /** May be given several times. */
  readonly repeatable?: boolean;
}

/** A word a command takes besides its options. */
export interface OperandDefinition {
  /** Upper-case, as shown: `NAME`. */
  readonly name: string;
  readonly description: string;
  /** May be left out; only the last. */
  readonly optional?: boolean;
}

/** One command of `armor`. */
export interface CommandDefinition {
  readonly name: string;
  /** Heading it stands under in `armor --help`. */
  readonly group: "Applications:" | "Armors of your own:" | "Cluster:" | "Tools:";
  /** One line for `armor --help`. */
  readonly summary: string;
  /** For `armor NAME --help`: what it does, when it returns, what it changes. */
  readonly description: string;
  readonly operands: readonly OperandDefinition[];
  readonly options: readonly OptionDefinition[];
  /** Takes a program and its arguments after `--`. */
  readonly takesProgram?: boolean;
  /** Talks to a daemon: adds `--data-dir`, `--address` and `--secret-file`. */
  readonly connects?: boolean;
  /** Prints as it goes: `--json` means one object a line. */
  readonly streams?: boolean;
  readonly examples: readonly string[];
  /** @returns The exit status; nothing is 0. */
  run(input: CommandInput, terminal: Terminal): Promise<number | void>;
}

/** What was on the command line, already checked against the definition. */
export interface CommandInput {
  readonly operands: readonly string[];
  /** Words after `--`; `undefined` without a `--`. */
  readonly program: readonly string[] | undefined;
  readonly json: boolean;
  /** Value of `--NAME`, if it was given. */
  text(name: string): string | undefined;
  /** Whether the switch `--NAME` was given. */
  flag(name: string): boolean;
  /** Values of a repeatable option, in order. */
  list(name: string): readonly string[];
}

/** Why a command failed, for the exit status 1; stable, part of `--json`. */
export type CommandFailureCode =
  | "refused"
  | "absent"
  | "unknown"
  | "stale"
  | "no-daemon"
  | "unavailable"
  | "file"
  | "closed";

/** A failure that the machine or the cluster had to know: one line, exit status 1. */
export class CommandError extends ArmorError<CommandFailureCode> {
  override readonly name = "CommandError";
}

/**
 * Read a whole number.
 *
 * @param field Named in the error: `--lines`.
 * @throws {UsageError} If it is not an integer from `min` to `max`.
 */
export function parseInteger(text: string, field: string, min: number, max: number): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= min && value <= max) return value;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  throw new UsageError(`${field} "${printable(text)}": give a whole number ${range}`);
}

/** Make a text safe for one line of a terminal: control characters become `?`, and it is cut after `max` characters. */
export function printable(text: string, max = 500): string {
  // deno-lint-ignore no-control-regex
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, "?");
  return line.length > max ? `${line.slice(0, max - 1)}…` : line;
}

/** `--json` output: one document, indented so that people can read it too. */
export function jsonDocument(document: unknown): string {
  return `${JSON.stringify(document, null, 2)}\n`;
}
