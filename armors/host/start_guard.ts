/**
 * Entry of a guard process.
 *
 * @module
 */

/** @throws {Error} Always: not written yet. */
export function startGuard(_argv: readonly string[]): Promise<number | undefined> {
  throw new Error("Cannot run startGuard: it is not written yet");
}
