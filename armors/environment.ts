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

/** What the runtime of every process of Armor is told: one that idles is to compute as little as can be. */
const runtimeSettings = {
  // No thread of the allocator's own: it wakes several times a second for as long as anything is freed.
  MIMALLOC_SCAVENGER: "0",
  // Memory that is freed is often needed again in the same turn.
  MIMALLOC_PURGE_DELAY: "1000",
  // The optimizing compiler starts 50 times later still (see the build): in one that idles it would work for minutes, for nothing.
  BUN_JSC_thresholdForOptimizeAfterWarmUp: "50000",
};

/**
 * The environment of another process of Armor. What the operator has set goes before. Programs of applications never
 * get it: theirs is made anew.
 *
 * @param environment Of this process.
 * @param small Before it sleeps its allocator is to look for unused pages in what is used in part. It saves some
 *   2 MiB and is a tenth of what an idle process computes: for the largest, the daemon. Here the operator has no say,
 *   since the others get what the daemon has.
 */
export function armorEnvironment(environment: Environment, small: boolean = false): Record<string, string> {
  return { ...runtimeSettings, ...cleanEnvironment(environment), MIMALLOC_PURGE_HOLES: small ? "1" : "0" };
}
