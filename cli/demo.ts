/**
 * `armor demo`
 *
 * @module
 */
import { CommandError, type CommandDefinition } from "./command.ts";

/** Shows three nodes recovering from everything; not available yet. */
export const demoCommand: CommandDefinition = {
  name: "demo",
  group: "Tools:",
  summary: "show three nodes recovering from failures (not available yet)",
  description: "Will start three nodes on this machine, break things and show each recovery. Not available in this version.",
  operands: [],
  options: [],
  examples: ["armor demo"],
  run() {
    return Promise.reject(new CommandError("unavailable", "demo is not available in this version; README shows how to start nodes by hand"));
  },
};
