/**
 * The operand ARMOR of commands about one armor.
 *
 * @module
 */
import { UsageError } from "../core/errors.ts";
import type { CommandInput, OperandDefinition } from "./command.ts";

/** For the help. */
export const armorOperand: OperandDefinition = {
  name: "ARMOR",
  description: "name or id of an armor of your own; ftm, heartbeat, daemon@NODE or execution@NODE",
};

/** @throws {UsageError} If it cannot name an armor: no daemon needs to be asked. */
export function armorName(input: CommandInput): string {
  const name = input.operands[0] ?? "";
  if (!/^[\w.@-]{1,64}$/.test(name)) {
    throw new UsageError(`ARMOR ${JSON.stringify(name.slice(0, 80))} is not the name of an armor: armor status lists them`);
  }
  return name;
}
