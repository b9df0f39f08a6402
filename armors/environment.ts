/**
 * Environment variables that change how the runtime under Armor behaves. Armor
 * refuses to start with them and never passes them on: a program that keeps others
 * running must be the program its operator thinks it is.
 *
 * @module
 */

/** Environment of a process, as `process.env` has it. */
export type Environment = { readonly [name: string]: string | undefined };

/** Whether the JavaScript runtime would obey this variable at start. */
function changesRuntime(name: string): boolean {
  return name === "BUN_OPTIONS" || name === "BUN_BE_BUN" || name.startsWith("BUN_INSPECT");
}

/**
 * Find the first variable Armor refuses to start with. An empty value is as good
 * as none.
 *
 * @returns The variable's name, or `undefined` if the environment is clean.
 */
export function hostileVariable(environment: Environment): string | undefined {
  return Object.keys(environment)
    .filter((name) => changesRuntime(name) && environment[name])
    .sort()[0];
}

/**
 * Copy an environment for a child process, without what would change its runtime:
 * the refused variables and `NODE_OPTIONS`. `LD_PRELOAD` stays: it is the
 * operator's choice for every program of the machine.
 */
export function cleanEnvironment(environment: Environment): Record<string, string> {
  const clean: Record<string, string> = {};
  for (const [name, value] of Object.entries(environment)) {
    if (value !== undefined && name !== "NODE_OPTIONS" && !changesRuntime(name)) clean[name] = value;
  }
  return clean;
}

/**
 * The environment of another process of Armor. Its allocator gives memory back at once: otherwise it has
 * a thread wake several times a second for as long as anything is freed, in every process of the node.
 * What the operator has set goes before. Programs of applications never get it: theirs is made anew.
 *
 * @param environment Of this process.
 */
export function armorEnvironment(environment: Environment): Record<string, string> {
  return { MIMALLOC_PURGE_DELAY: "0", ...cleanEnvironment(environment) };
}
