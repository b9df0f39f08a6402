/**
 * Run a guard on the real machine: sockets, and the daemon as its child.
 *
 * @module
 */
import { readFileSync, realpathSync } from "node:fs";
import process from "node:process";
import type { HostPort } from "../../transports/address.ts";
import { heartbeatKeys } from "../../transports/heartbeat_datagram.ts";
import { readSecretFile } from "../../transports/secret.ts";
import { armorEnvironment } from "../environment.ts";
import { Ballast } from "./ballast.ts";
import { selfArgv, spawnDetached } from "./child_process.ts";
import { readDaemonEnd } from "./daemon_end.ts";
import type { DataDir } from "./data_dir.ts";
import { runGuardProcess } from "./guard_process.ts";
import { identityFile, type NodeIdentity } from "./identity.ts";
import { lockHolder } from "./lock_file.ts";
import { nodeFlags } from "./node_flags.ts";
import { onParentEnd } from "./parent_watch.ts";
import { findByArguments, identify, isAlive, isStopped, kill, killAndConfirm, readArguments } from "./process_table.ts";
import type { RoleOptions } from "./role_flags.ts";
import type { RunDir } from "./run_dir.ts";
import { systemMachine } from "./system_machine.ts";

/** What a guard is given. */
export interface GuardStart {
  readonly options: RoleOptions;
  readonly data: DataDir;
  readonly run: RunDir;
  readonly identity: NodeIdentity;
  /** Where it listens. */
  readonly listen: HostPort;
  /** Started by an operator, not by a daemon. */
  readonly operator: boolean;
}

/** Returns while it runs. */
export async function runGuard({ options, data, run, identity, listen, operator }: GuardStart): Promise<undefined> {
  const daemonLog = `${data.path}/daemon.log`;
  const self = `guard@${identity.id}`;
  const seams = options.allowInjection ? new (await import("./seams.ts")).Seams(data.path, self, process.pid) : undefined;
  process.on("SIGHUP", () => {});
  await runGuardProcess(
    {
      ...systemMachine(run, seams),
      identity: identityFile(data.identity, new Ballast(data.ballast)),
      keyOf: heartbeatKeys(readSecretFile(options.secretFile!)),
      startDaemon: (restarts, ownEnd) =>
        spawnDetached({
          argv: [...selfArgv(), "--role", "daemon-process", ...nodeFlags(options), "--incarnation", String(restarts), ...(ownEnd ? ["--ended", "own"] : [])],
          env: armorEnvironment(process.env, true),
          logFile: daemonLog,
        }),
      findDaemon: () => {
        // The lock file of a copied data dir names the daemon of another one.
        const holder = lockHolder(data.daemonLock);
        const isOurs = (argv: readonly string[]): boolean => isDaemonOf(data, argv);
        const pid = holder !== undefined && isOurs(readArguments(holder)) ? holder : findByArguments(isOurs)[0];
        const found = pid === undefined ? undefined : identify(pid);
        return found && isAlive(found) ? found : undefined;
      },
      daemonEnd: (daemon) => readDaemonEnd(run, daemon),
      lastWords: () => lastLine(daemonLog),
      isAlive,
      onParentEnd,
      isStopped,
      signal: ({ pid }, signal) => kill(pid, signal),
      killAndConfirm,
      onYield: (asked) => void process.on("SIGUSR2", asked),
    },
    identity,
    { listen, address: options.advertise ?? options.listen ?? "", operator },
  );
}

/** Arguments of a daemon on this data dir, however its path was written. */
function isDaemonOf(data: DataDir, argv: readonly string[]): boolean {
  const at = argv.indexOf("--data-dir");
  if (at < 0 || !argv.includes("daemon-process")) return false;
  try {
    return realpathSync(argv[at + 1] ?? "") === data.path;
  } catch {
    return false;
  }
}

/** What a daemon said last; it has told the reason in one line. */
function lastLine(path: string): string {
  try {
    const lines = readFileSync(path, "utf8").trimEnd().split("\n");
    return (lines.at(-1) ?? "").replace(/^armor: /, "");
  } catch {
    return "the daemon cannot start";
  }
}
