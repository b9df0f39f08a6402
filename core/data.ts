/**
 * Plain data: what may stand in element state, payloads and checkpoints. It
 * survives CBOR unchanged: no classes, no `undefined`, no functions, no cycles.
 *
 * @module
 */

/** A value that CBOR carries unchanged. Integers up to 2^53 − 1 stay exact. */
export type Data =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly Data[]
  | { readonly [key: string]: Data };

/** A plain object of {@link Data}. */
export type DataRecord = { readonly [key: string]: Data };

/**
 * Compare two values by content, in depth. Same reference is equal at once, so
 * unchanged state costs one comparison.
 */
export function dataEqual(a: Data | undefined, b: Data | undefined): boolean {
  if (a === b) return true;
  if (a === null || b === null || typeof a !== "object" || typeof b !== "object") return false;
  if (a instanceof Uint8Array || b instanceof Uint8Array) {
    return a instanceof Uint8Array && b instanceof Uint8Array && a.length === b.length &&
      a.every((byte, index) => byte === b[index]);
  }
  if (Array.isArray(a) || Array.isArray(b)) {
    return Array.isArray(a) && Array.isArray(b) && a.length === b.length &&
      a.every((item, index) => dataEqual(item, b[index]));
  }
  const left = a as DataRecord;
  const right = b as DataRecord;
  const keys = Object.keys(left);
  return keys.length === Object.keys(right).length &&
    keys.every((key) => Object.hasOwn(right, key) && dataEqual(left[key], right[key]));
}
