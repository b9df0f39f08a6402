/**
 * The operand NAME of commands about one application.
 *
 * @module
 */
import { namePattern, nameRule } from "../armors/name_rule.ts";
import { UsageError } from "../core/errors.ts";
import type { CommandInput, OperandDefinition } from "./command.ts";

/** For the help. */
export const applicationOperand: OperandDefinition = { name: "NAME", description: "name of the application" };

/** @throws {UsageError} If it cannot be a name: no daemon needs to be asked. */
export function applicationName(input: CommandInput): string {
  const name = input.operands[0] ?? "";
  if (!namePattern.test(name)) throw new UsageError(`NAME ${JSON.stringify(name.slice(0, 80))} is not a name: ${nameRule}`);
  return name;
}
