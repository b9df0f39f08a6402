/**
 * Entry of `--role daemon`.
 *
 * @module
 */

/** @throws {Error} Always: not written yet. */
export function startNode(_argv: readonly string[]): Promise<number | undefined> {
  throw new Error("Cannot run startNode: it is not written yet");
}
