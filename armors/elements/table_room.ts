/**
 * Room in the application table. The whole of it travels in one message, and so
 * does what one node may have to run: everything, where all others have failed.
 * Two halves of a cluster that were apart may each have filled their own.
 *
 * @module
 */
import { encode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { OperationError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import type { ApplicationEntry } from "../shapes.ts";

/** Entries are never altered, only replaced. */
const sizes = new WeakMap<object, number>();

/** Bytes of an entry; of an application once for each of its instances, as in orders. */
function sizeOf(key: string, entry: Data): number {
  if (typeof entry !== "object" || entry === null) return 0;
  let bytes = sizes.get(entry);
  if (bytes === undefined) sizes.set(entry, bytes = encode(entry).length + key.length);
  return key.startsWith("app:") ? bytes * (entry as unknown as ApplicationEntry).application.instances : bytes;
}

/**
 * Refuse what would make the table too large to be carried.
 *
 * @param table Its entries as they are.
 * @param added Those that are to be added.
 * @throws {OperationError} `refused`, with the line the operator sees.
 */
export function refuseOverfull(table: { readonly [key: string]: Data }, added: { readonly [key: string]: Data }): void {
  let bytes = 0;
  for (const [key, entry] of Object.entries({ ...table, ...added })) bytes += sizeOf(key, entry);
  if (bytes <= limits.tableBytesMax) return;
  const [what] = Object.keys(added);
  throw new OperationError(
    "refused",
    `the cluster keeps ${limits.tableBytesMax} bytes of specifications at most, each counted once for every instance: with "${what?.slice(what.indexOf(":") + 1)}" these would be ${bytes}`,
  );
}
