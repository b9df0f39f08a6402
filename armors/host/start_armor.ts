/**
 * Entry of an armor's process.
 *
 * @module
 */

/** @throws {Error} Always: not written yet. */
export function startArmor(_role: string, _argv: readonly string[]): Promise<number | undefined> {
  throw new Error("Cannot run startArmor: it is not written yet");
}
