/**
 * `armor stop NAME`
 *
 * @module
 */
import { applicationName, applicationOperand } from "./application_name.ts";
import type { CommandDefinition } from "./command.ts";

/** Ends an application and keeps it registered. */
export const stopCommand: CommandDefinition = {
  name: "stop",
  group: "Applications:",
  summary: "end an application; it stays registered",
  description:
    "Ends every instance of an application: SIGTERM, then SIGKILL after 10 s. It stays registered and stopped, also through crashes and reboots, until armor start. Returns when the cluster has acknowledged, which may be before the programs have ended; armor status shows them.",
  operands: [applicationOperand],
  options: [],
  connects: true,
  examples: ["armor stop web"],
  async run(input, terminal) {
    const { operate } = await import("./operation.ts");
    const name = applicationName(input);
    await operate(input, terminal, { operation: "application.stop", name }, {
      changed: `application "${name}" will be stopped`,
      unchanged: `application "${name}" is stopped already; nothing changed`,
    });
  },
};
