/**
 * The form of a record in a file: the CBOR array `[crc32, bytes]` with heads of
 * fixed width, `82 1A crc 5A length content`. Length and checksum are verified
 * before anything is decoded, and any CBOR tool reads the file as a sequence
 * (RFC 8742).
 *
 * @module
 */
import { crc32 } from "node:zlib";

const headBytes = 11;

/** Put content, at least one byte, into its form. */
export function frameRecord(content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(headBytes + content.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, 0x821a);
  view.setUint32(2, crc32(content));
  view.setUint8(6, 0x5a);
  view.setUint32(7, content.length);
  bytes.set(content, headBytes);
  return bytes;
}

/** The records at the beginning of a file. */
export interface FrameScan {
  readonly contents: readonly Uint8Array[];
  /** Bytes they take: a torn file is cut to this length. */
  readonly length: number;
  /**
   * What follows: `torn` if nothing valid does, the mark of a crash while
   * writing; `damaged` if a valid record does.
   */
  readonly rest: "nothing" | "torn" | "damaged";
}

/**
 * Split a file into records, as far as they are whole.
 *
 * @param isRecord Tells a record after damage from bytes that look like one.
 * @returns Contents are parts of `bytes`.
 */
export function scanFrames(bytes: Uint8Array, isRecord: (content: Uint8Array) => boolean = () => true): FrameScan {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const contents: Uint8Array[] = [];
  let length = 0;
  while (length < bytes.length) {
    const content = contentAt(bytes, view, length);
    if (content === undefined) return { contents, length, rest: isFollowed(bytes, view, length + 1, isRecord) ? "damaged" : "torn" };
    contents.push(content);
    length += headBytes + content.length;
  }
  return { contents, length, rest: "nothing" };
}

function contentAt(bytes: Uint8Array, view: DataView, start: number): Uint8Array | undefined {
  const left = bytes.length - start - headBytes;
  if (left < 1 || view.getUint16(start) !== 0x821a || view.getUint8(start + 6) !== 0x5a) return undefined;
  const length = view.getUint32(start + 7);
  if (length < 1 || length > left) return undefined;
  const content = bytes.subarray(start + headBytes, start + headBytes + length);
  return crc32(content) === view.getUint32(start + 2) ? content : undefined;
}

function isFollowed(bytes: Uint8Array, view: DataView, from: number, isRecord: (content: Uint8Array) => boolean): boolean {
  for (let at = bytes.indexOf(0x82, from); at >= 0; at = bytes.indexOf(0x82, at + 1)) {
    const content = contentAt(bytes, view, at);
    if (content !== undefined && isRecord(content)) return true;
  }
  return false;
}
