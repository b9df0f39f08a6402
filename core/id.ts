/**
 * Short random names for nodes, instances and armors of one's own: lower-case
 * letters and digits, so that they need no quoting in paths, shells and URLs.
 *
 * The only importer of nanoid.
 *
 * @module
 */
import { customRandom } from "nanoid";
import type { RandomSource } from "./random.ts";

const letters = "abcdefghijklmnopqrstuvwxyz";

/**
 * Make an id that starts with a letter.
 *
 * @param size Characters. The default, 8, has 2 × 10^12 values: the chance that
 *   two of a thousand ids are equal is below one in a million.
 * @example
 * ```ts
 * import { newId } from "./id.ts";
 * import { seededRandom } from "./random.ts";
 * newId(seededRandom(1)).length; // 8
 * ```
 */
export function newId(random: RandomSource, size = 8): string {
  const bytes = (count: number): Uint8Array => random.bytes(count);
  return customRandom(letters, 1, bytes)() + customRandom(`${letters}0123456789`, size - 1, bytes)();
}
