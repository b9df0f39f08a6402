/**
 * Ports of a node's processes, each in a file of the run-time folder.
 *
 * @module
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import type { ArmorId } from "../../core/micro_operation.ts";
import { fileName } from "./data_dir.ts";
import type { RunDir } from "./run_dir.ts";

/** Publish the loopback UDP port of an armor's heartbeat socket (or of `guard`); readers see the old one or the new one. */
export function writePort(run: RunDir, id: ArmorId | "guard", port: number): void {
  const path = join(run.path, "ports", fileName(id));
  writeFileSync(`${path}.${process.pid}`, `${port}\n`, { mode: 0o600 });
  renameSync(`${path}.${process.pid}`, path);
}

/** @returns The port last published for an armor, or `undefined`. */
export function readPort(run: RunDir, id: ArmorId | "guard"): number | undefined {
  try {
    const port = Number(readFileSync(join(run.path, "ports", fileName(id)), "latin1"));
    return Number.isInteger(port) && port > 0 && port < 65_536 ? port : undefined;
  } catch {
    return undefined;
  }
}

/** Forget the port of an armor that has ended for good. */
export function removePort(run: RunDir, id: ArmorId | "guard"): void {
  rmSync(join(run.path, "ports", fileName(id)), { force: true });
}
