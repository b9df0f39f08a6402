/**
 * `armor remove NAME`
 *
 * @module
 */
import { applicationName, applicationOperand } from "./application_name.ts";
import type { CommandDefinition } from "./command.ts";

/** Ends an application and forgets it. */
export const removeCommand: CommandDefinition = {
  name: "remove",
  group: "Applications:",
  summary: "end an application, or an armor of your own, and forget it",
  description:
    "Ends every instance of an application as armor stop does, and forgets the application. The name is free afterwards. Its log files stay on the nodes. An armor of your own is ended at once and its state is deleted; what others still had to send to it is dropped.",
  operands: [applicationOperand],
  options: [],
  connects: true,
  examples: ["armor remove web"],
  async run(input, terminal) {
    const { operate } = await import("./operation.ts");
    const name = applicationName(input);
    await operate(input, terminal, { operation: "application.remove", name }, {
      changed: `application "${name}" will be removed`,
      unchanged: `application "${name}" is not there; nothing changed`,
    });
  },
};
