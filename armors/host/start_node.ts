/**
 * Start a node: `armor --role daemon` as the operator gives it. Checks what only
 * the machine knows, makes the node's identity, and becomes the guard.
 *
 * @module
 */
import { resolve } from "node:path";
import { ArmorError } from "../../core/errors.ts";
import { parseAddress } from "../../transports/address.ts";
import { checkFree } from "../../transports/free_address.ts";
import { readSecretFile } from "../../transports/secret.ts";
import { parseRoleFlags, type RoleOptions } from "./role_flags.ts";
import { openDataDir } from "./data_dir.ts";
import { takeGuardLock } from "./guard_lock.ts";
import { newIdentity, readIdentity, writeIdentity } from "./identity.ts";
import { readConfiguration, storeConfiguration } from "./initial_configuration.ts";
import { lockHolder, tryLock } from "./lock_file.ts";
import { kill, readArguments } from "./process_table.ts";
import { openRunDir } from "./run_dir.ts";
import { runGuard } from "./run_guard.ts";
import { systemRandom } from "./system_random.ts";

/** Run the node in the foreground; returns while it runs. */
export async function startNode(argv: readonly string[]): Promise<undefined> {
  return await becomeGuard(withAbsolutePaths(parseRoleFlags(argv)), true);
}

/** The other processes of the node run in `/`, not where the operator is. */
function withAbsolutePaths(options: RoleOptions): RoleOptions {
  const { dataDir, secretFile, config } = options;
  return {
    ...options,
    dataDir: resolve(dataDir),
    ...(secretFile !== undefined && { secretFile: resolve(secretFile) }),
    ...(config !== undefined && { config: resolve(config) }),
  };
}

/** Become the guard of the node, as an operator's or as a replacement. */
export async function becomeGuard(options: RoleOptions, operator: boolean): Promise<undefined> {
  const { listen, secretFile, node } = options;
  if (!listen || !secretFile || !node) throw new ArmorError("usage", "a guard is started by --role daemon");
  readSecretFile(secretFile);
  const configuration = await readConfiguration(options);
  const data = openDataDir(options.dataDir);
  const name = JSON.stringify(options.dataDir);
  const held = await takeGuardLock({
    take: () => tryLock(data.guardLock) !== undefined,
    holder: () => {
      const pid = lockHolder(data.guardLock);
      return pid === undefined ? undefined : { pid, replacement: roleOf(pid) === "guard" };
    },
    yield: (pid) => kill(pid, "SIGUSR2"),
    pause: (delayMs) => new Promise((resolve) => setTimeout(resolve, delayMs)),
  }, operator);
  if (held !== undefined) throw new ArmorError("locked", `cannot start: a node runs on data dir ${name} already${held > 0 ? ` (pid ${held})` : ""}`);
  const run = openRunDir(data);
  let identity = readIdentity(data.identity);
  if (identity && identity.name !== node) {
    throw new ArmorError("refused", `cannot start: data dir ${name} belongs to node "${identity.name}", not "${node}"`);
  }
  if (!identity) {
    // Before anything is decided: another start on this folder may still join instead.
    await checkFree(parseAddress(listen));
    if (configuration) storeConfiguration(data, configuration);
    identity = newIdentity(node, options.join, systemRandom);
    writeIdentity(data.identity, identity);
  }
  return await runGuard({ options, data, run, identity, listen: parseAddress(listen), operator });
}

/** Role in the arguments of a process. */
function roleOf(pid: number): string | undefined {
  const argv = readArguments(pid);
  const at = argv.indexOf("--role");
  return at < 0 ? undefined : argv[at + 1];
}

