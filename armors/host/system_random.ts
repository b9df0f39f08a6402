/**
 * The system's randomness as the core wants it.
 *
 * @module
 */
import { randomBytes, randomInt } from "node:crypto";
import type { RandomSource } from "../../core/random.ts";

/** Cryptographic random numbers. */
export const systemRandom: RandomSource = {
  below: (bound) => randomInt(bound),
  bytes: (count) => new Uint8Array(randomBytes(count)),
};
