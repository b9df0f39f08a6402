/**
 * Every command, in the order of the help. Commands import what they need when
 * they run, so that listing them costs next to nothing.
 *
 * @module
 */
import { checkpointCommand } from "./checkpoint.ts";
import type { CommandDefinition } from "./command.ts";
import { deadLettersCommand } from "./dead_letters.ts";
import { demoCommand } from "./demo.ts";
import { downCommand } from "./down.ts";
import { elementCommand } from "./element.ts";
import { eventsCommand } from "./events.ts";
import { initCommand } from "./init.ts";
import { injectCommand } from "./inject.ts";
import { installCommand } from "./install.ts";
import { logsCommand } from "./logs.ts";
import { removeCommand } from "./remove.ts";
import { resetCommand } from "./reset.ts";
import { restartCommand } from "./restart.ts";
import { runCommand } from "./run.ts";
import { sendCommand } from "./send.ts";
import { startCommand } from "./start.ts";
import { statusCommand } from "./status.ts";
import { stopCommand } from "./stop.ts";
import { submitCommand } from "./submit.ts";

/** Names are unique; an option that several share has the same shape in all. */
export const commands: readonly CommandDefinition[] = [
  runCommand,
  submitCommand,
  stopCommand,
  startCommand,
  restartCommand,
  removeCommand,
  logsCommand,
  installCommand,
  elementCommand,
  sendCommand,
  initCommand,
  statusCommand,
  eventsCommand,
  deadLettersCommand,
  resetCommand,
  downCommand,
  checkpointCommand,
  injectCommand,
  demoCommand,
];
