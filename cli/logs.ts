/**
 * `armor logs NAME`
 *
 * @module
 */
import { UsageError } from "../core/errors.ts";
import { applicationName, applicationOperand } from "./application_name.ts";
import { type CommandDefinition, parseInteger } from "./command.ts";

/** Prints what an application wrote. */
export const logsCommand: CommandDefinition = {
  name: "logs",
  group: "Applications:",
  summary: "show what an application wrote to its output",
  description:
    "Prints standard output and standard error of an application, as written, from whichever node holds them. With --json one JSON object a line: application and line.",
  operands: [applicationOperand],
  options: [
    { flags: "-f, --follow", description: "go on with new output until Ctrl-C" },
    { flags: "-n, --lines COUNT", description: "begin with the last COUNT lines, 0 to 1000000 (default: all there are)" },
    { flags: "--instance ID", description: "only this instance; armor status lists them (default: the newest)" },
  ],
  connects: true,
  streams: true,
  examples: ["armor logs web", "armor logs --follow --lines 20 web"],
  async run(input, terminal) {
    const name = applicationName(input);
    const query = new URLSearchParams();
    const instance = input.text("instance");
    if (instance !== undefined) {
      if (!/^[\w.@:-]{1,128}$/.test(instance)) {
        throw new UsageError(`--instance ${JSON.stringify(instance.slice(0, 80))} is not an id: armor status lists them`);
      }
      query.set("instance", instance);
    }
    const lines = input.text("lines");
    if (lines !== undefined) query.set("lines", String(parseInteger(lines, "--lines", 0, 1_000_000)));
    if (input.flag("follow")) query.set("follow", "1");
    const path = `/v1/applications/${encodeURIComponent(name)}/logs${query.size > 0 ? `?${query}` : ""}`;
    const { streamBytes, streamLines } = await import("./stream.ts");
    if (!input.json) return streamBytes(input, terminal, path);
    await streamLines(input, terminal, path, (line) => JSON.stringify({ application: name, ...(instance && { instance }), line }));
  },
};
