/**
 * CBOR: values to bytes and back. Equal values give equal bytes on every engine:
 * keys are sorted by code unit at every depth, integers and lengths take their
 * shortest form, byte strings are untagged, NaN has one form.
 *
 * Writing is left to cbor-x, whose only importer this is; reading is done in
 * `codec_reader.ts`, which says why.
 *
 * @module
 */
import { Encoder } from "cbor-x/encode";
import { CodecError, codecLimits } from "./codec_reader.ts";

export { CodecError, codecLimits, decode } from "./codec_reader.ts";

/** Options of cbor-x's `encode`: return the shared buffer as a whole; start over at its beginning. */
const wholeBuffer = 512;
const resetBuffer = 1024;
/** A shared buffer that has grown past this is given up. */
const keptBufferBytes = 1 << 18;

const options = { useRecords: false, variableMapSize: true, tagUint8Array: false, useTag259ForMaps: false };
const writer = new Encoder(options) as unknown as {
  encode(value: unknown, mode: number): Uint8Array;
  useBuffer(buffer: Uint8Array): void;
};
const smallBuffer = writer.encode(0, wholeBuffer);

/**
 * Encode plain data. Properties that are `undefined` are left out, as in JSON;
 * lone surrogates become U+FFFD, for UTF-8 has no form for them.
 *
 * @returns Bytes of the caller's own.
 * @throws {CodecError} `"unencodable"` for anything else that is not plain data
 *   (functions, classes, bigints, `undefined` in arrays, a key `__proto__`), and
 *   for nesting beyond `codecLimits.depthMax`, cycles included.
 * @example
 * ```ts
 * import { decode, encode } from "./codec.ts";
 * decode(encode({ b: 1, a: [true, null] })); // { a: [true, null], b: 1 }
 * ```
 */
export function encode(value: unknown): Uint8Array {
  const shared = writer.encode(canonical(value, 0), resetBuffer);
  const bytes = new Uint8Array(shared);
  if (shared.buffer.byteLength > keptBufferBytes) writer.useBuffer(smallBuffer);
  return bytes;
}

/** The value with sorted keys and nothing that could be written in two ways. */
function canonical(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case "string":
      return value.isWellFormed() ? value : value.toWellFormed();
    case "boolean":
      return value;
    case "number":
      return value === value ? value : NaN; // the sign of a computed NaN differs between engines
    case "object":
      break;
    default:
      return unencodable(`a value of type ${typeof value} is not plain data`);
  }
  if (value === null) return null;
  if (value instanceof Uint8Array) {
    return value.constructor === Uint8Array ? value : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  if (depth >= codecLimits.depthMax) return unencodable(`it is nested deeper than ${codecLimits.depthMax}`);
  if (Array.isArray(value)) {
    const items = new Array(value.length);
    for (let i = 0; i < value.length; i++) items[i] = canonical(value[i], depth + 1);
    return items;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return unencodable("an instance of a class is not plain data");
  return canonicalRecord(value as { readonly [key: string]: unknown }, depth + 1);
}

function canonicalRecord(record: { readonly [key: string]: unknown }, depth: number): unknown {
  const shape = shapeOf(Object.keys(record));
  const { sorted, names } = shape;
  if (shape.digits) {
    const map = new Map<string, unknown>();
    for (let i = 0; i < sorted.length; i++) {
      const item = record[sorted[i] as string];
      if (item !== undefined) map.set(names[i] as string, canonical(item, depth));
    }
    return map;
  }
  const object: Record<string, unknown> = {};
  for (let i = 0; i < sorted.length; i++) {
    const item = record[sorted[i] as string];
    if (item !== undefined) object[names[i] as string] = canonical(item, depth);
  }
  return object;
}

/** The keys of objects made alike. */
interface Shape {
  readonly keys: readonly string[];
  readonly sorted: readonly string[];
  /** `sorted` as they are written. */
  readonly names: readonly string[];
  /** An object puts keys like "12" first whatever the order of insertion; a Map does not. */
  readonly digits: boolean;
}

/** Shapes seen, by first key: comparing keys is quicker than sorting them. */
const shapes = new Map<string, Shape[]>();
let shapeCount = 0;
const shapesMax = 1_024;
const shapesAlikeMax = 16;
const shapeKeysMax = 24;

function shapeOf(keys: string[]): Shape {
  if (keys.length === 0 || keys.length > shapeKeysMax) return makeShape(keys);
  const first = keys[0] as string;
  let known = shapes.get(first);
  if (known !== undefined) {
    next: for (let i = 0; i < known.length; i++) {
      const shape = known[i] as Shape;
      if (shape.keys.length !== keys.length) continue;
      for (let j = 1; j < keys.length; j++) if (shape.keys[j] !== keys[j]) continue next;
      return shape;
    }
  }
  if (known !== undefined && known.length >= shapesAlikeMax) {
    shapeCount -= known.length;
    known.length = 0;
  }
  if (++shapeCount > shapesMax) {
    shapes.clear();
    shapeCount = 1;
    known = undefined;
  }
  if (known === undefined) shapes.set(first, known = []);
  const shape = makeShape(keys);
  known.push(shape);
  return shape;
}

function makeShape(keys: readonly string[]): Shape {
  const sorted = keys.slice().sort();
  if (sorted.includes("__proto__")) unencodable("the key `__proto__` is reserved");
  const digits = sorted.some((key) => key.charCodeAt(0) >= 48 && key.charCodeAt(0) <= 57);
  return { keys, sorted, names: sorted.map((key) => key.toWellFormed()), digits };
}

function unencodable(reason: string): never {
  throw new CodecError("unencodable", `Cannot encode value: ${reason}`);
}
