/**
 * Restore attempts: an armor that dies twice before its first commit after a
 * restore would die for ever; it ends with a status of its own instead, and its
 * daemon reports it as failed.
 *
 * @module
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/** Exit status of an armor that died twice before its first commit. */
export const poisonedStatus = 71;

const attemptsMax = 2;

/** Counts starts without a commit, in a small file. */
export class RestoreAttempts {
  #settled = false;

  constructor(readonly path: string) {}

  /** @returns `false` if this armor has died too often: do not start it. */
  begin(): boolean {
    let attempts = 0;
    try {
      attempts = Number.parseInt(readFileSync(this.path, "latin1"), 10) || 0;
    } catch {
      // none yet
    }
    if (attempts >= attemptsMax) return false;
    try {
      mkdirSync(dirname(this.path), { recursive: true, mode: 0o700 });
      writeFileSync(this.path, `${attempts + 1}\n`);
    } catch {
      // a full disk must not keep an armor from starting
    }
    return true;
  }

  /** The armor has committed something: it works. */
  settle(): void {
    if (this.#settled) return;
    this.#settled = true;
    rmSync(this.path, { force: true });
  }
}
