/**
 * `armor start NAME`
 *
 * @module
 */
import { applicationName, applicationOperand } from "./application_name.ts";
import type { CommandDefinition } from "./command.ts";

/** Starts an application that was stopped. */
export const startCommand: CommandDefinition = {
  name: "start",
  group: "Applications:",
  summary: "start an application that was stopped",
  description:
    "Starts an application again after armor stop, as it was submitted. Returns when the cluster has acknowledged; armor status shows when it runs.",
  operands: [applicationOperand],
  options: [],
  connects: true,
  examples: ["armor start web"],
  async run(input, terminal) {
    const { operate } = await import("./operation.ts");
    const name = applicationName(input);
    await operate(input, terminal, { operation: "application.start", name }, {
      changed: `application "${name}" will be started`,
      unchanged: `application "${name}" is started already; nothing changed`,
    });
  },
};
