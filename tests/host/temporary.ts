/**
 * Folders and processes of one test, cleaned up after it.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { killGroup } from "../../armors/host/process_group.ts";

/** What a test left to be cleaned up. */
export class Temporary {
  readonly #undo: (() => unknown)[] = [];

  /** A new folder. */
  folder(): string {
    const path = mkdtempSync(join(tmpdir(), "armor-test-"));
    this.#undo.push(() => rmSync(path, { recursive: true, force: true }));
    return path;
  }

  /** Run at the end, the latest first. */
  defer(undo: () => unknown): void {
    this.#undo.push(undo);
  }

  /** Kill this program's group at the end. */
  program(identity: ProcessIdentity): void {
    this.defer(() => killGroup(identity, 2_000));
  }

  /** For `afterEach`. */
  async clean(): Promise<void> {
    for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) await undo();
  }
}

/** Poll until `condition` holds, for a state of the outside that gives no event. */
export async function until(condition: () => boolean | Promise<boolean>, what: string, timeoutMs = 5_000): Promise<void> {
  for (let waited = 0; !(await condition()); waited += 2) {
    if (waited > timeoutMs) throw new Error(`Timed out waiting until ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** @returns The path of a compiled C program (or, with `-shared`, library), or `undefined` where there is no compiler. */
export function compileC(folder: string, name: string, source: string, flags: readonly string[] = []): string | undefined {
  const path = join(folder, name);
  writeFileSync(`${path}.c`, source);
  const result = spawnSync("gcc", ["-O1", ...flags, "-o", path, `${path}.c`, "-pthread"], { encoding: "utf8" });
  return result.status === 0 && existsSync(path) ? path : undefined;
}
