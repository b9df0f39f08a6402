/**
 * `armor install`
 *
 * @module
 */
import { resolve } from "node:path";
import { namePattern, nameRule } from "../armors/name_rule.ts";
import { UsageError } from "../core/errors.ts";
import { type CommandDefinition, printable } from "./command.ts";

/** Creates an armor of one's own. */
export const installCommand: CommandDefinition = {
  name: "install",
  group: "Armors of your own:",
  summary: "create an armor from elements of your own",
  description:
    "Creates an armor (a process built of elements) from a file and returns once the cluster has acknowledged that it will keep it running. It is watched and recovered like the armors that come with Armor: after a crash or a hang with its state, after the loss of its node anew on another. FILE is one file of TypeScript or JavaScript that exports a factory and imports nothing but types. Only nodes whose daemon runs with --allow-elements take it. The same name with the same file again changes nothing.",
  operands: [],
  options: [
    { flags: "--name NAME", description: "name of the armor" },
    { flags: "--elements FILE", description: "file that makes its elements" },
    { flags: "--node NAME", description: "node to place it on if possible (default: the cluster chooses)" },
  ],
  connects: true,
  examples: ["armor install --name ping --elements counter_pair.ts --node n1"],
  async run(input, terminal) {
    const name = input.text("name");
    const file = input.text("elements");
    if (name === undefined) throw new UsageError("--name is missing: give the armor a name");
    if (!namePattern.test(name)) throw new UsageError(`--name "${printable(name)}" is not a name: ${nameRule}`);
    if (file === undefined) throw new UsageError("--elements is missing: give the file that makes the elements");
    const { readElementFile } = await import("../armors/host/element_file.ts");
    const { operate } = await import("./operation.ts");
    const { source, names } = await readElementFile(resolve(terminal.directory, file));
    const body = { operation: "own.install", name, node: input.text("node") ?? null, source, elements: names };
    await operate(input, terminal, body, {
      changed: `armor "${name}" accepted`,
      unchanged: `armor "${name}" is there already, the same; nothing changed`,
      detail: ({ id }) => (id === undefined ? "" : `, id ${String(id)}`),
    });
  },
};
