/**
 * The command line of `armor`: everything except `--role` and `--version`.
 *
 * @module
 */
import process from "node:process";
import { runProgram } from "./program.ts";
import { processTerminal } from "./terminal.ts";

/**
 * Run one command and end the process with its status: 0 done, 1 what the
 * machine or the cluster had to know, 2 wrong by the command line alone.
 *
 * @param argv Everything after `armor`.
 */
export async function runCli(argv: string[]): Promise<void> {
  process.exit(await runProgram(argv, processTerminal()));
}
