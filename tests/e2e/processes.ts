/**
 * Processes of a node, found by their arguments in `/proc`: every process that
 * Armor starts for itself names its data dir there.
 *
 * @module
 */
import { readdirSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { listLaunches, readLaunchRecord } from "../../armors/host/launch_record.ts";
import { isGroupAlive, killGroup } from "../../armors/host/process_group.ts";
import { isAlive, readArguments, readProcess } from "../../armors/host/process_table.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";

/** Roles as they are told apart here: `daemon` is the daemon proper, `shim` a launch shim. */
export type ProcessRole = "guard" | "daemon" | "ftm" | "heartbeat" | "execution" | "own" | "shim";

/** One process of Armor. */
export interface ArmorProcess {
  readonly role: ProcessRole;
  readonly pid: number;
}

const roles: { readonly [argument: string]: ProcessRole } = {
  daemon: "guard",
  guard: "guard",
  "daemon-process": "daemon",
  ftm: "ftm",
  heartbeat: "heartbeat",
  execution: "execution",
  own: "own",
};

/** Every living process of Armor on a data dir, the stopped ones too. */
export function armorProcesses(dataDir: string): ArmorProcess[] {
  return readdirSync("/proc").flatMap((name) => {
    const pid = Number(name);
    if (!(pid > 0)) return [];
    const argv = readArguments(pid);
    const at = argv.indexOf("--data-dir");
    if (at < 0 || argv[at + 1] !== dataDir || !isLiving(pid)) return [];
    const role = argv[0]?.endsWith("/sh") ? "shim" : roles[argv[argv.indexOf("--role") + 1] ?? ""];
    return role === undefined ? [] : [{ role, pid }];
  });
}

/** Is there a process of this pid that has not ended? */
export function isLiving(pid: number): boolean {
  const entry = readProcess(pid);
  return entry !== undefined && entry.state !== "X" && !(entry.state === "Z" && entry.threads <= 1);
}

/** Send a signal; `false` if there is no such process. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** Programs on record that still run, or whose children do. */
export function livingPrograms(dataDir: string): (ProcessIdentity & { readonly instance: string })[] {
  const folder = join(dataDir, "launches");
  return names(folder).flatMap((instance) =>
    listLaunches(join(folder, instance)).flatMap((number) => {
      const program = readLaunchRecord(join(folder, instance, `${number}.launch`))?.program;
      return program !== undefined && isGroupAlive(program) ? [{ ...program, instance }] : [];
    })
  );
}

/** Those of {@link livingPrograms} that are the program itself, by pid. */
export function runningPids(dataDir: string): number[] {
  return livingPrograms(dataDir).flatMap((program) => (isAlive(program) ? [program.pid] : []));
}

/** End every process of a node, its programs too, whatever state they are in. */
export async function endNode(dataDir: string): Promise<void> {
  for (let quiet = 0; quiet < 2;) {
    const found = armorProcesses(dataDir);
    // Nobody restarts anybody while the others die.
    for (const { role, pid } of found) if (role !== "shim") signal(pid, "SIGSTOP");
    for (const { pid } of found) signal(pid, "SIGKILL");
    const programs = livingPrograms(dataDir);
    await Promise.all(programs.map((program) => killGroup(program, 2_000)));
    quiet = found.length + programs.length === 0 ? quiet + 1 : 0;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  for (const link of ["run", "api"]) {
    try {
      rmSync(readlinkSync(join(dataDir, link)), { recursive: true, force: true });
    } catch {
      // It never had one.
    }
  }
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
