/**
 * `armor element add|replace|remove ARMOR NAME`
 *
 * @module
 */
import { resolve } from "node:path";
import { UsageError } from "../core/errors.ts";
import { type CommandDefinition, printable } from "./command.ts";

const verbs = ["add", "replace", "remove"];
const done: { readonly [verb: string]: string } = { add: "added to", replace: "replaced in", remove: "removed from" };

/** Changes the elements of a running armor. */
export const elementCommand: CommandDefinition = {
  name: "element",
  group: "Armors of your own:",
  summary: "add, replace or remove an element of a running armor",
  description:
    "Changes what a running armor is made of, without stopping it. A replacement keeps the element's state if its version is the same; otherwise its migrate turns the old state into the new. Refused, with nothing changed, while a waiting message needs an op that would lose its last element, when a check fails on the new state, or when the armor's node does not run with --allow-elements. Elements that came with Armor can be replaced by ones that take the same ops; the basic five stay.",
  operands: [
    { name: "VERB", description: "add, replace or remove" },
    { name: "ARMOR", description: "name or id of an armor of your own; ftm, heartbeat, daemon@NODE or execution@NODE" },
    { name: "NAME", description: "name of the element" },
  ],
  options: [{ flags: "--elements FILE", description: "file that makes the element, for add and replace" }],
  connects: true,
  examples: [
    "armor element add ping audit --elements audit.ts",
    "armor element replace ping counter --elements counter_v2.ts",
    "armor element remove ping audit",
  ],
  async run(input, terminal) {
    const [verb = "", armor = "", name = ""] = input.operands;
    if (!verbs.includes(verb)) throw new UsageError(`"${printable(verb)}" is not a change of an element: give ${verbs.join(", ")}`);
    const file = input.text("elements");
    if (verb === "remove" && file !== undefined) throw new UsageError("--elements has no meaning with remove: leave it out");
    if (verb !== "remove" && file === undefined) throw new UsageError(`--elements is missing: give the file that makes element "${printable(name)}"`);
    const source = file === undefined ? {} : { source: await sourceOf(resolve(terminal.directory, file), name) };
    const { operate } = await import("./operation.ts");
    await operate(input, terminal, { operation: "elements.change", verb, armor, name, ...source }, {
      changed: `element "${name}" ${done[verb]} "${armor}"`,
      unchanged: `nothing changed: element "${name}" of "${armor}" is so already`,
      detail: ({ version }) => (version === undefined ? "" : `, version ${String(version)}`),
    });
  },
};

async function sourceOf(path: string, name: string): Promise<string> {
  const { readElementFile } = await import("../armors/host/element_file.ts");
  const { source, names } = await readElementFile(path);
  if (names.includes(name)) return source;
  throw new UsageError(`--elements ${JSON.stringify(path)}: it makes no element "${printable(name)}", but ${names.map((one) => `"${one}"`).join(", ")}`);
}
