/**
 * Launch records: what a launch shim leaves about its program. Lines of
 * `key value`, each complete once it ends in a newline; a record grows and is
 * never rewritten.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs";
import type { ProcessIdentity } from "../../core/process_identity.ts";

/** What is known of one launch. */
export interface LaunchRecord {
  /**
   * `starting`: the program's identity is not written yet. `running`: it is, and
   * no exit status. `ended`: the exit status is written.
   */
  readonly state: "starting" | "running" | "ended";
  /** What it was launched for: equal for launches by the same order. */
  readonly task?: string;
  /** Pid of the shim. */
  readonly shim?: number;
  readonly program?: ProcessIdentity;
  /** Exit status; above 128 it is a signal's number + 128. */
  readonly exit?: number;
  /** Why the program was not started. */
  readonly reason?: string;
}

/** @returns `undefined` if there is no record of this name, or it cannot be read now. */
export function readLaunchRecord(path: string): LaunchRecord | undefined {
  try {
    return parseLaunchRecord(readFileSync(path, "utf8"));
  } catch {
    return undefined;
  }
}

/** Parse as much as has been written; lines of other kinds are ignored. */
export function parseLaunchRecord(text: string): LaunchRecord {
  const lines = text.split("\n").slice(0, -1);
  const values = new Map(lines.map((line): [string, string] => {
    const space = line.indexOf(" ");
    return [line.slice(0, space), line.slice(space + 1)];
  }));
  const number = (key: string): number | undefined => {
    const value = values.get(key) ?? "";
    return /^\d{1,15}$/.test(value) ? Number(value) : undefined;
  };
  const [shim, pid, startTicks, exit] = [number("shim"), number("pid"), number("start"), number("exit")];
  const [bootId, reason, task] = [values.get("boot"), values.get("reason"), values.get("task")];
  const program = pid !== undefined && startTicks !== undefined && bootId ? { pid, startTicks, bootId } : undefined;
  return {
    state: exit !== undefined ? "ended" : program !== undefined ? "running" : "starting",
    ...(task !== undefined && { task }),
    ...(shim !== undefined && { shim }),
    ...(program !== undefined && { program }),
    ...(exit !== undefined && { exit }),
    ...(reason !== undefined && { reason }),
  };
}

/** Numbers of the launches recorded in a folder, newest last. */
export function listLaunches(folder: string): number[] {
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    return [];
  }
  return names.flatMap((name) => /^\d{1,15}\.launch$/.test(name) ? [Number.parseInt(name, 10)] : []).sort((a, b) => a - b);
}
