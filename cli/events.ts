/**
 * `armor events`
 *
 * @module
 */
import { CommandError, type CommandDefinition, parseInteger, printable } from "./command.ts";

/** Prints what happened in the cluster. */
export const eventsCommand: CommandDefinition = {
  name: "events",
  group: "Cluster:",
  summary: "show what happened: crashes, recoveries, moves",
  description:
    "Prints the events a daemon holds (the last 10,000 at most), oldest first: time, kind, subject, node, cause and, for recoveries, how long they took. With --json one JSON object a line; its seq is what --since takes.",
  operands: [],
  options: [
    { flags: "-f, --follow", description: "go on with new events until Ctrl-C" },
    { flags: "--since SEQ", description: "only events numbered above SEQ (default: all)" },
  ],
  connects: true,
  streams: true,
  examples: ["armor events --follow", "armor events --json --since 4294967300"],
  async run(input, terminal) {
    const since = input.text("since");
    const query = new URLSearchParams();
    if (since !== undefined) query.set("since", String(parseInteger(since, "--since", 0, Number.MAX_SAFE_INTEGER)));
    if (input.flag("follow")) query.set("follow", "1");
    const { streamLines } = await import("./stream.ts");
    await streamLines(input, terminal, `/v1/events${query.size > 0 ? `?${query}` : ""}`, (line) =>
      input.json ? line : eventLine(line),
    );
    // Events never come to an end: whoever follows must not take this for one.
    if (input.flag("follow")) throw new CommandError("closed", "the daemon ended the stream of events: repeat the command with --since");
  },
};

/** Narrowest columns; a longer text pushes the rest of its own line only. */
const widths = { kind: 22, subject: 20, node: 10 };

/**
 * One event for people. Columns are padded, not laid out, so that a line can be
 * printed when it happens.
 *
 * @param line NDJSON from a daemon; what is no event is shown as it came.
 */
export function eventLine(line: string): string {
  let event: Record<string, unknown>;
  try {
    event = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return printable(line);
  }
  const text = (value: unknown): string => (value === undefined || value === null || value === "" ? "-" : printable(String(value), 200));
  const took = typeof event.durationMs === "number" ? `(${Math.round(event.durationMs)} ms)` : "";
  const columns = [
    localTime(text(event.at)),
    text(event.kind).padEnd(widths.kind),
    text(event.subject).padEnd(widths.subject),
    text(event.node).padEnd(widths.node),
    event.cause === undefined || event.cause === null ? "" : printable(String(event.cause), 200),
    took,
  ];
  return columns.filter((column) => column !== "").join("  ").trimEnd();
}

/** `2026-01-31 14:05:09.123`, in the time zone of the machine that shows it. */
function localTime(iso: string): string {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return iso.padEnd(23);
  const shifted = new Date(at.getTime() - at.getTimezoneOffset() * 60_000);
  return shifted.toISOString().replace("T", " ").replace("Z", "");
}
