/**
 * `armor send ARMOR OP [JSON]`
 *
 * @module
 */
import { UsageError } from "../core/errors.ts";
import { type CommandDefinition, CommandError, printable } from "./command.ts";

const answerTimeoutMs = 7_000;

/** Sends a message to an armor and shows what comes back. */
export const sendCommand: CommandDefinition = {
  name: "send",
  group: "Armors of your own:",
  summary: "send a message to an armor and print its payload when it is back",
  description:
    "Sends a message whose itinerary is OP at ARMOR and then back, and prints the payload it brings back as JSON. JSON is the payload it starts with, an object. An op that fails, or that no element takes, has had no effect: exit 1 with the reason. Without an answer in 5 s the outcome is unknown: the message may yet take effect, once.",
  operands: [
    { name: "ARMOR", description: "name or id of an armor of your own; ftm, heartbeat, daemon@NODE or execution@NODE" },
    { name: "OP", description: "micro-operation to run there" },
    { name: "JSON", description: "payload (default: {})", optional: true },
  ],
  options: [],
  connects: true,
  examples: ["armor send ping count.read", 'armor send ping count.add \'{"by": 2}\''],
  async run(input, terminal) {
    const [armor = "", op = "", text = "{}"] = input.operands;
    const { connectDaemon } = await import("./daemon_client.ts");
    const payload = parse(text);
    const daemon = await connectDaemon(input, terminal);
    const answer = (await daemon.json({
      method: "POST",
      path: "/v1/operations",
      body: { operation: "armor.send", armor, op, payload },
      timeoutMs: answerTimeoutMs,
      silence: "no answer; the message may yet take effect",
    })) as { readonly ok?: unknown; readonly payload?: unknown };
    if (answer?.ok !== true) throw new CommandError("unavailable", `${daemon.place} gave an answer that is none: ${JSON.stringify(answer)}`);
    terminal.out(`${JSON.stringify(answer.payload ?? {}, null, input.json ? undefined : 2)}\n`);
  },
};

function parse(text: string): object {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new UsageError(`JSON "${printable(text)}" is not JSON: write an object such as '{"by": 2}'`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new UsageError(`JSON "${printable(text)}" is not an object: write one such as '{"by": 2}'`);
}
