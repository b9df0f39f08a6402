/**
 * What the lists of elements are told.
 *
 * @module
 */
import type { ElementSupply } from "./elements/reconfiguration.ts";

/** Where an armor runs, and where its elements from outside come from. */
export type ArmorOptions = { readonly node: string; readonly supply?: ElementSupply };
