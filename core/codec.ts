/**
 * CBOR: values to bytes and back. Equal values give equal bytes on every engine:
 * keys are sorted by code unit at every depth, integers and lengths take their
 * shortest form, a byte string is untagged, NaN has one form.
 *
 * Bytes are judged before anything is built from them: structure, depth and
 * every claimed length are checked in one pass that allocates nothing, so that
 * a few hostile bytes can neither exhaust memory nor reach the decoder's
 * extensions (tags are refused).
 *
 * The only importer of cbor-x.
 *
 * @module
 */
import { Encoder } from "cbor-x/encode";
import { ArmorError } from "./errors.ts";

/** Bounds of encoded values. */
export const codecLimits = {
  /** Nested arrays and maps: state and payloads are shallow, recursion must end. */
  depthMax: 64,
} as const;

/** `unencodable`: the value is not plain data. `undecodable`: the bytes are not a value of ours. */
export class CodecError extends ArmorError<"unencodable" | "undecodable"> {
  override readonly name = "CodecError";
}

/** Numbers of cbor-x: hand out the shared buffer as a whole; start again at its beginning. */
const wholeBuffer = 512;
const resetBuffer = 1024;
/** A shared buffer that has grown past this is given up. */
const keptBufferBytes = 1 << 18;

const coder = new Encoder({
  useRecords: false,
  variableMapSize: true,
  mapsAsObjects: true,
  copyBuffers: true,
  tagUint8Array: false,
  // @ts-expect-error options that cbor-x reads but does not declare
  useTag259ForMaps: false,
  int64AsNumber: true,
}) as unknown as {
  encode(value: unknown, mode: number): Uint8Array;
  decode(bytes: Uint8Array): unknown;
  useBuffer(buffer: Uint8Array): void;
};
const smallBuffer = coder.encode(0, wholeBuffer);

/**
 * Encode plain data. Object properties that are `undefined` are left out, as in
 * JSON; lone surrogates become U+FFFD, for UTF-8 has no form for them.
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
  const shared = coder.encode(canonical(value, 0), resetBuffer);
  const bytes = new Uint8Array(shared);
  if (shared.buffer.byteLength > keptBufferBytes) coder.useBuffer(smallBuffer);
  return bytes;
}

/**
 * Decode one value. Byte strings are copies; maps become plain objects.
 *
 * @throws {CodecError} `"undecodable"` unless the bytes are exactly one value as
 *   {@link encode} could have written it: definite lengths, text keys, no tags, integers within ±(2^53 − 1).
 */
export function decode(bytes: Uint8Array): unknown {
  const marks: number[] = [];
  const end = check(bytes, 0, 0, marks);
  if (end !== bytes.length) refuse(bytes.length - end + " bytes follow the value");
  // A view of our own: the decoder caches a DataView on it, and a Buffer would make byte strings Buffers.
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    return coder.decode(marks.length === 0 ? view : doubleMarks(view, marks));
  } catch (cause) {
    throw new CodecError("undecodable", "Cannot decode bytes: malformed CBOR", { cause });
  }
}

/** A copy of `value` with sorted keys and nothing that encodes in two ways; the value itself where it is that already. */
function canonical(value: unknown, depth: number): unknown {
  switch (typeof value) {
    case "string":
      return value.isWellFormed() ? value : value.toWellFormed();
    case "boolean":
      return value;
    case "number":
      return value === value ? value : NaN; // the sign of NaN differs between engines
    case "object":
      break;
    default:
      return unencodable(`a ${typeof value} is not plain data`);
  }
  if (value === null) return null;
  if (value instanceof Uint8Array) {
    return value.constructor === Uint8Array ? value : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  if (depth >= codecLimits.depthMax) return unencodable(`nested deeper than ${codecLimits.depthMax}`);
  if (Array.isArray(value)) {
    const items = new Array(value.length);
    for (let i = 0; i < value.length; i++) items[i] = canonical(value[i], depth + 1);
    return items;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return unencodable("an instance of a class is not plain data");
  return canonicalMap(value as { readonly [key: string]: unknown }, depth + 1);
}

function canonicalMap(record: { readonly [key: string]: unknown }, depth: number): unknown {
  const keys = sortKeys(Object.keys(record));
  // Objects put keys like "12" first whatever the order of insertion; a Map keeps the order.
  const map = keys.some(startsWithDigit) ? new Map<string, unknown>() : undefined;
  const object: Record<string, unknown> = {};
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i] as string;
    if (key === "__proto__") return unencodable("the key `__proto__` is reserved");
    const item = record[key];
    if (item === undefined) continue;
    const name = key.isWellFormed() ? key : key.toWellFormed();
    if (map === undefined) object[name] = canonical(item, depth);
    else map.set(name, canonical(item, depth));
  }
  return map ?? object;
}

/** By code unit. Keys are few and mostly in order, where insertion is the quickest. */
function sortKeys(keys: string[]): string[] {
  if (keys.length > 24) return keys.sort();
  for (let i = 1; i < keys.length; i++) {
    const key = keys[i] as string;
    let at = i;
    while (at > 0 && (keys[at - 1] as string) > key) keys[at] = keys[--at] as string;
    keys[at] = key;
  }
  return keys;
}

function startsWithDigit(key: string): boolean {
  const first = key.charCodeAt(0);
  return first >= 48 && first <= 57;
}

/**
 * Walk one value without building it.
 *
 * @param marks Receives the places of long texts that begin with U+FEFF, see {@link doubleMarks}.
 * @returns The offset after the value.
 */
function check(bytes: Uint8Array, start: number, depth: number, marks: number[]): number {
  if (start >= bytes.length) refuse("they end inside a value");
  const first = bytes[start] as number;
  const major = first >> 5;
  let length = first & 31;
  let at = start + 1;
  if (length >= 24) {
    const width = length === 24 ? 1 : length === 25 ? 2 : length === 26 ? 4 : length === 27 ? 8 : 0;
    if (width === 0) refuse("indefinite or reserved length");
    if (width > bytes.length - at) refuse("they end inside a value");
    length = 0;
    for (const end = at + width; at < end; at++) length = length * 256 + (bytes[at] as number);
    if (major !== 7 && length > Number.MAX_SAFE_INTEGER) refuse("number beyond 2^53 - 1");
    if (major === 7 && width === 1) refuse("unknown simple value");
  } else if (major === 7 && (length < 20 || length > 22)) {
    refuse("unknown simple value");
  }
  switch (major) {
    case 0:
    case 7:
      return at;
    case 1:
      if (length === Number.MAX_SAFE_INTEGER) refuse("number beyond 2^53 - 1");
      return at;
    case 2:
    case 3:
      if (length > bytes.length - at) refuse("they end inside a string");
      if (major === 3 && length > 64 && hasMark(bytes, at)) marks.push(start);
      return at + length;
    case 4:
    case 5:
      if (depth >= codecLimits.depthMax) refuse(`nested deeper than ${codecLimits.depthMax}`);
      if (length * (major - 3) > bytes.length - at) refuse("they end inside a collection");
      for (let i = 0; i < length; i++) {
        if (major === 5) at = checkKey(bytes, at, marks);
        at = check(bytes, at, depth + 1, marks);
      }
      return at;
    default:
      return refuse("tags are not used");
  }
}

const prototypeKey = [0x69, ...Array.from("__proto__", (letter) => letter.charCodeAt(0))];

function checkKey(bytes: Uint8Array, start: number, marks: number[]): number {
  const first = bytes[start] as number;
  if (first >> 5 !== 3) refuse("a key is not text");
  const end = check(bytes, start, 0, marks);
  // Only the shortest form is compared: cbor-x reads longer forms of the length, so they are refused.
  if (first === 0x69 && prototypeKey.every((byte, index) => bytes[start + index] === byte)) refuse("a key is `__proto__`");
  if (first === 0x78 ? (bytes[start + 1] as number) < 24 : first > 0x78 && end - start < 256) refuse("a key's length is not in its shortest form");
  return end;
}

function hasMark(bytes: Uint8Array, at: number): boolean {
  return bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf;
}

/**
 * cbor-x reads texts of more than 64 bytes by a TextDecoder, which swallows a
 * leading U+FEFF; so such a text gets two.
 */
function doubleMarks(bytes: Uint8Array, starts: readonly number[]): Uint8Array {
  const parts: number[] = [];
  let from = 0;
  for (const start of starts) {
    const width = bytes[start] === 0x78 ? 1 : bytes[start] === 0x79 ? 2 : bytes[start] === 0x7a ? 4 : 8;
    let length = 3;
    for (let i = 1, scale = 256 ** (width - 1); i <= width; i++, scale /= 256) length += (bytes[start + i] as number) * scale;
    for (; from < start; from++) parts.push(bytes[from] as number);
    parts.push(0x7a, length >>> 24, (length >>> 16) & 255, (length >>> 8) & 255, length & 255, 0xef, 0xbb, 0xbf);
    from = start + 1 + width;
  }
  for (; from < bytes.length; from++) parts.push(bytes[from] as number);
  return Uint8Array.from(parts);
}

function unencodable(reason: string): never {
  throw new CodecError("unencodable", `Cannot encode value: ${reason}`);
}

function refuse(reason: string): never {
  throw new CodecError("undecodable", `Cannot decode bytes: ${reason}`);
}
