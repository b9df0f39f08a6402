/**
 * The environment of a process that Armor did not start: the first guard of a node comes from a person or a
 * service manager, who does not know what the runtime is to be told.
 *
 * @module
 */
import process from "node:process";
import { armorEnvironment } from "../environment.ts";
import { selfArgv } from "./child_process.ts";

/**
 * Begin again in the environment that every other process of Armor has: the same process, with the same arguments.
 * Returns where it has that already, or cannot be had.
 */
export function takeArmorEnvironment(): void {
  // Other runtimes have other settings.
  if (process.versions["bun"] === undefined || process.execve === undefined) return;
  const environment = armorEnvironment(process.env);
  if (Object.keys(environment).every((name) => process.env[name] !== undefined)) return;
  try {
    process.execve(process.execPath, [...selfArgv(), ...process.argv.slice(2)], environment);
  } catch {
    // It costs more as it is, and does the same.
  }
}
