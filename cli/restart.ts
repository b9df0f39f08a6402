/**
 * `armor restart NAME`
 *
 * @module
 */
import { applicationName, applicationOperand } from "./application_name.ts";
import type { CommandDefinition } from "./command.ts";

/** Ends and starts an application. */
export const restartCommand: CommandDefinition = {
  name: "restart",
  group: "Applications:",
  summary: "end every instance of an application and start it again",
  description:
    "Ends every instance of an application (SIGTERM, then SIGKILL after 10 s) and starts it again where it was. Returns when the cluster has acknowledged; armor status shows the progress.",
  operands: [applicationOperand],
  options: [],
  connects: true,
  examples: ["armor restart web"],
  async run(input, terminal) {
    const { operate } = await import("./operation.ts");
    const name = applicationName(input);
    await operate(input, terminal, { operation: "application.restart", name }, {
      changed: `application "${name}" will be restarted`,
      unchanged: `application "${name}" needs no restart; nothing changed`,
    });
  },
};
