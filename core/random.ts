/**
 * Randomness is injected, so that a run is a function of its inputs.
 *
 * @module
 */

/** Source of random numbers. */
export interface RandomSource {
  /** An integer from 0 to `bound` − 1; `bound` at most 2^32. */
  below(bound: number): number;
  /** `count` random bytes. */
  bytes(count: number): Uint8Array;
}

/**
 * A seeded generator (xorshift128 by Marsaglia): fast and equal on every engine,
 * not for secrets.
 *
 * @example
 * ```ts
 * import { seededRandom } from "./random.ts";
 * seededRandom(1).below(6) === seededRandom(1).below(6); // true
 * ```
 */
export function seededRandom(seed: number): RandomSource {
  let x = (seed ^ 0x9e3779b9) >>> 0 || 1;
  let y = 0x243f6a88;
  let z = 0xb7e15162;
  let w = (seed * 2654435761) >>> 0;
  const next = (): number => {
    const t = (x ^ (x << 11)) >>> 0;
    x = y;
    y = z;
    z = w;
    w = (w ^ (w >>> 19) ^ t ^ (t >>> 8)) >>> 0;
    return w;
  };
  for (let warm = 0; warm < 16; warm++) next();
  return {
    below: (bound) => next() % bound,
    bytes: (count) => Uint8Array.from({ length: count }, () => next() & 0xff),
  };
}
