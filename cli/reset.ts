/**
 * `armor reset ARMOR`
 *
 * @module
 */
import { armorName, armorOperand } from "./armor_name.ts";
import type { CommandDefinition } from "./command.ts";

/** Begins an armor anew. */
export const resetCommand: CommandDefinition = {
  name: "reset",
  group: "Cluster:",
  summary: "begin an armor anew, without its state",
  description:
    "Ends an armor and starts it with an empty state and a new generation. Nothing else ever throws state away: use it when an armor stays failed because its state is bad. Messages it has not handled stay with their senders; those it has handled are forgotten with their effects, which counts as a rewind and is an event. The old state is kept beside the new one, in before-reset, until the next reset. The FTM and daemons cannot be reset.",
  operands: [armorOperand],
  options: [],
  connects: true,
  examples: ["armor reset execution@n1"],
  async run(input, terminal) {
    const { operate } = await import("./operation.ts");
    const armor = armorName(input);
    await operate(input, terminal, { operation: "armor.reset", armor }, {
      changed: `"${armor}" begins anew`,
      unchanged: `"${armor}" is as it was`,
    });
  },
};
