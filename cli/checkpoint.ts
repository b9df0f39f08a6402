/**
 * `armor checkpoint FILE`
 *
 * @module
 */
import type { CommandDefinition } from "./command.ts";

/** Prints a checkpoint file. */
export const checkpointCommand: CommandDefinition = {
  name: "checkpoint",
  group: "Tools:",
  summary: "print a checkpoint file",
  description:
    "Reads a snapshot (*.cbor) or a commit log (*.cborseq) from a node's data folder and prints what it holds. Reads only the file: no daemon is needed, and nothing is changed.",
  operands: [{ name: "FILE", description: "checkpoint file, such as DIR/armors/heartbeat/00000001.cbor" }],
  options: [],
  examples: ["armor checkpoint /var/lib/armor/armors/heartbeat/00000001.cborseq"],
  async run(input, terminal) {
    const { printCheckpoint } = await import("./checkpoint_print.ts");
    return await printCheckpoint(input.operands[0] ?? "", input.json, terminal);
  },
};
