/**
 * Payload: the general area of a message for storing data. Each thread has a
 * payload of its own; elements exchange information through it.
 *
 * @module
 */
import type { Data } from "./data.ts";

/** Mutable while a thread runs; never shared between threads. */
export type Payload = { [field: string]: Data };
