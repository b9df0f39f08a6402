/**
 * Cleans up after a test process, however that ends: it waits in a session of
 * its own for the end of its input, then ends what is left of the nodes.
 *
 * Usage: bun janitor.ts FOLDER [NAMESPACE…]
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { readArguments } from "../../armors/host/process_table.ts";
import { removeNamespaces } from "./network.ts";
import { endNode, signal } from "./processes.ts";

/** End every node whose data dir is in `folder`, and remove folder and namespaces. */
export async function cleanUp(folder: string, namespaces: readonly string[]): Promise<void> {
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch {
    // Cleaned up already.
  }
  await Promise.all(names.map((name) => endNode(join(folder, name))));
  // Programs of tests that were started under a boot id of the test's making.
  for (const pid of readdirSync("/proc").map(Number)) if (pid > 0 && readArguments(pid)[0]?.startsWith(`${folder}/`)) signal(pid, "SIGKILL");
  removeNamespaces(namespaces);
  // A data dir that is a file system of its own.
  for (const name of names) {
    const path = join(folder, name);
    if (statSync(path).dev !== statSync(folder).dev) spawnSync("umount", ["-l", path]);
  }
  rmSync(folder, { recursive: true, force: true });
}

if (import.meta.main) {
  const [folder = "", ...namespaces] = process.argv.slice(2);
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => {});
  process.stdin.resume().on("end", async () => {
    if (folder.includes("/armor-e2e-")) await cleanUp(folder, namespaces);
    process.exit(0);
  });
}
