/**
 * All processes of a node, as somebody outside sees them: those that have its
 * data dir in their arguments, and the programs named in its launch records.
 *
 * @module
 */
import { lstatSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { type DataDir, dataDir } from "../../armors/host/data_dir.ts";
import { listLaunches, readLaunchRecord } from "../../armors/host/launch_record.ts";
import { isGroupAlive, signalGroup } from "../../armors/host/process_group.ts";
import { confirmGone, findNodeProcesses, kill, readArguments } from "../../armors/host/process_table.ts";
import { removeRunFolders } from "../../armors/host/run_dir.ts";

/** Roles in the order in which a node must lose them, so that none is started again by another. */
const order = ["daemon", "guard", "daemon-process", "execution"];

/** Pids of the processes that have this data dir in their arguments: guard and daemon first. */
export function armorPids(folder: string): number[] {
  const rank = (pid: number): number => {
    const argv = readArguments(pid);
    const at = order.indexOf(argv[argv.indexOf("--role") + 1] ?? "");
    return at < 0 ? order.length : at;
  };
  return findNodeProcesses(folder).map((pid) => [pid, rank(pid)] as const).sort((a, b) => a[1] - b[1]).map(([pid]) => pid);
}

/** Programs that the node launched and that live, or have left children. */
export function programs(data: DataDir): ProcessIdentity[] {
  const folder = join(data.path, "launches");
  const found: ProcessIdentity[] = [];
  for (const instance of listed(folder)) {
    for (const number of listLaunches(join(folder, instance))) {
      const { program } = readLaunchRecord(data.launch(instance, number)) ?? {};
      if (program !== undefined && isGroupAlive(program)) found.push(program);
    }
  }
  return found;
}

/**
 * What a power cut does: SIGKILL to everything at once.
 *
 * @returns Whether all is dead within `timeoutMs`.
 */
export async function killNode(folder: string, timeoutMs = 5_000): Promise<boolean> {
  const data = openExisting(folder);
  if (data === undefined) return true;
  return await confirmGone(() => {
    const armors = armorPids(data.path);
    const launched = programs(data);
    for (const pid of armors) kill(pid, "SIGKILL");
    for (const program of launched) signalGroup(program, "SIGKILL");
    // The dead are still listed until somebody collects them: arguments are gone then.
    return armors.length === 0 && launched.length === 0;
  }, timeoutMs);
}

/** Delete a dead node's folder and its run-time folder. */
export function removeNode(folder: string): void {
  const data = openExisting(folder);
  if (data === undefined) return;
  removeRunFolders(data);
  rmSync(data.path, { recursive: true, force: true });
}

function openExisting(folder: string): DataDir | undefined {
  return lstatSync(folder, { throwIfNoEntry: false })?.isDirectory() ? dataDir(folder) : undefined;
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
