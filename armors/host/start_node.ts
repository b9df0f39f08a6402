/**
 * Start a node: `armor --role daemon` as the operator gives it. Checks what only
 * the machine knows, makes the node's identity, and becomes the guard.
 *
 * @module
 */
import { resolve } from "node:path";
import { ArmorError } from "../../core/errors.ts";
import { newId } from "../../core/id.ts";
import { parseAddress } from "../../transports/address.ts";
import { checkFree } from "../../transports/free_address.ts";
import { readSecretFile } from "../../transports/secret.ts";
import { parseRoleFlags, type RoleOptions } from "./role_flags.ts";
import { openDataDir } from "./data_dir.ts";
import { readIdentity, writeIdentity } from "./identity.ts";
import { readConfiguration, storeConfiguration } from "./initial_configuration.ts";
import { lockHolder, tryLock } from "./lock_file.ts";
import { kill, readArguments } from "./process_table.ts";
import { openRunDir } from "./run_dir.ts";
import { runGuard } from "./run_guard.ts";
import { nowMs } from "./system_clock.ts";
import { systemRandom } from "./system_random.ts";

/** A guard that a daemon has started gives way to an operator's within this time. */
const yieldWithinMs = 2_000;

/** Run the node in the foreground. */
export async function startNode(argv: readonly string[]): Promise<number> {
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
export async function becomeGuard(options: RoleOptions, operator: boolean): Promise<number> {
  const { listen, secretFile, node } = options;
  if (!listen || !secretFile || !node) throw new ArmorError("usage", "a guard is started by --role daemon");
  readSecretFile(secretFile);
  const configuration = await readConfiguration(options);
  const data = openDataDir(options.dataDir);
  const name = JSON.stringify(options.dataDir);
  const until = nowMs() + (operator ? yieldWithinMs : 0);
  while (!tryLock(data.guardLock)) {
    const holder = lockHolder(data.guardLock);
    const replacement = operator && holder !== undefined && roleOf(holder) === "guard";
    if (!replacement || nowMs() > until) {
      throw new ArmorError("locked", `cannot start: a node runs on data dir ${name} already${holder ? ` (pid ${holder})` : ""}`);
    }
    kill(holder, "SIGUSR2");
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  const run = openRunDir(data);
  let identity = readIdentity(data.identity);
  if (identity && identity.name !== node) {
    throw new ArmorError("refused", `cannot start: data dir ${name} belongs to node "${identity.name}", not "${node}"`);
  }
  if (!identity) {
    // Before anything is decided: another start on this folder may still join instead.
    await checkFree(parseAddress(listen));
    const bootstrap = options.join.length === 0;
    if (configuration) storeConfiguration(data, configuration);
    identity = { format: 1, id: newId(systemRandom), name: node, cluster: bootstrap ? newId(systemRandom, 12) : "", bootstrap };
    writeIdentity(data.identity, identity);
  }
  return await runGuard({ options, data, run, identity, address: parseAddress(listen), operator });
}

/** Role in the arguments of a process. */
function roleOf(pid: number): string | undefined {
  const argv = readArguments(pid);
  const at = argv.indexOf("--role");
  return at < 0 ? undefined : argv[at + 1];
}

