/**
 * Versions of the application table: which copy is fresher, and how one is told
 * to daemons.
 *
 * @module
 */
import type { Data } from "../core/data.ts";
import { compareEpochs } from "../core/generation.ts";
import type { TableVersion } from "./shapes.ts";

/** Payload field `store`: the whole table, or the difference from version `base`. */
export type TableStore = {
  readonly version: TableVersion;
  readonly base: TableVersion | null;
  readonly set: { readonly [key: string]: Data };
  readonly unset: readonly string[];
};

/** Version order: epoch of writing, then sequence. */
export function compareVersions(a: TableVersion, b: TableVersion): number {
  return compareEpochs(a.epoch, b.epoch) || a.sequence - b.sequence;
}

/** The entries without the version. */
export function tableEntries(state: { readonly [key: string]: Data }): { [key: string]: Data } {
  const { version: _version, ...entries } = state;
  return entries;
}
