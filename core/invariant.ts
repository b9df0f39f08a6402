/**
 * Broken invariants end the process: an armor is fail-silent, a crash is
 * detected and recovered.
 *
 * @module
 */

/**
 * Our own mistake, never an expected failure. The host lets it end the process.
 *
 * @example
 * ```ts
 * import { invariant, InvariantError } from "./invariant.ts";
 * try {
 *   invariant(1 + 1 === 3, "arithmetic holds");
 * } catch (error) {
 *   console.assert(error instanceof InvariantError);
 * }
 * ```
 */
export class InvariantError extends Error {
  /** Name of the class. */
  override readonly name = "InvariantError";
}

/**
 * Assert what must always hold. Enabled in production.
 *
 * @throws {InvariantError} If `condition` is false.
 * @example
 * ```ts
 * import { invariant } from "./invariant.ts";
 * invariant(1 + 1 === 2, "arithmetic holds");
 * ```
 */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
