/**
 * `armor dead-letters [ARMOR]`
 *
 * @module
 */
import type { DeadLetterDocument } from "../armors/host/dead_letter_collection.ts";
import { armorName, armorOperand } from "./armor_name.ts";
import { type CommandDefinition, jsonDocument, printable } from "./command.ts";

/** Shows messages that could not be handled. */
export const deadLettersCommand: CommandDefinition = {
  name: "dead-letters",
  group: "Cluster:",
  summary: "show messages that no armor could handle",
  description:
    "Prints the dead letters of all nodes in reach: messages under which an armor died again and again (poison), and reports of failures that could themselves not be handled. An armor keeps its last 1,000. With --json one document: letters, each with node, at, armor, failure and message; silent names the nodes that did not answer.",
  operands: [{ ...armorOperand, optional: true }],
  options: [],
  connects: true,
  examples: ["armor dead-letters", "armor dead-letters execution@n1 --json"],
  async run(input, terminal) {
    const armor = input.operands[0] === undefined ? undefined : armorName(input);
    const { connectDaemon } = await import("./daemon_client.ts");
    const daemon = await connectDaemon(input, terminal);
    const path = `/v1/dead-letters${armor === undefined ? "" : `?armor=${encodeURIComponent(armor)}`}`;
    const document = (await daemon.json({ method: "GET", path, timeoutMs: 7_000 })) as DeadLetterDocument;
    terminal.out(input.json ? jsonDocument(document) : renderDeadLetters(document));
  },
};

/** The letters for people: a line on what happened, a line on the message. */
export function renderDeadLetters({ letters = [], silent = [] }: Partial<DeadLetterDocument>): string {
  const lines = letters.flatMap(({ at, node, armor, message, failure }) => {
    const { id, ops, from, payload } = (message ?? {}) as { id?: unknown; ops?: { name?: unknown }[]; from?: unknown; payload?: unknown };
    const { code, text } = (failure ?? { code: "outbox-full", text: "there was no room to send it" }) as { code?: unknown; text?: unknown };
    const names = (ops ?? []).map((one) => String(one?.name)).join(" ");
    return [
      `${at}  ${armor} on ${node}  ${String(code)}: ${String(text)}`,
      `  message ${String(id)} from ${String(from)}  ops ${names || "-"}  payload ${JSON.stringify(payload ?? null)}`,
    ];
  });
  if (lines.length === 0) lines.push("no dead letters");
  if (silent.length > 0) lines.push(`no answer from ${silent.join(", ")}: what they hold is missing here`);
  return lines.map((line) => `${printable(line, 1_000)}\n`).join("");
}
