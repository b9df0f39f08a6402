/**
 * Byte layout of a heartbeat, the only thing that travels by UDP. Numbers are
 * big-endian, texts are UTF-8 behind one byte of length:
 *
 * ```text
 *  0  2  "AH"
 *  2  1  version, 1
 *  3  1  type: 1 ask, 2 reply
 *  4  2  bytes of the whole datagram
 *  6 16  nonce: chosen by the asker, echoed in the reply
 * 22  …  cluster, from, to
 *        reply only: progress, turnAgeMs, epoch (8 bytes each, IEEE 754), detail
 *  … 32  HMAC-SHA256 of all before it
 * ```
 *
 * Nothing but the names is looked at before the HMAC has been verified.
 *
 * @module
 */
import { createHmac, timingSafeEqual } from "node:crypto";
import { deriveKey } from "./secret.ts";

/** "Are you alive?" */
export interface HeartbeatAsk {
  readonly type: "ask";
  /** Cluster id. */
  readonly cluster: string;
  /** Who asks. */
  readonly from: string;
  /** Whose liveness is asked for. */
  readonly to: string;
  /** Fresh in every ask. */
  readonly nonce: Uint8Array;
}

/** The answer; it counts only when it echoes the nonce of an open ask. */
export interface HeartbeatReply {
  readonly type: "reply";
  readonly cluster: string;
  /** Who answers. */
  readonly from: string;
  /** The asker. */
  readonly to: string;
  readonly nonce: Uint8Array;
  /** Grows while the answerer gets work done. */
  readonly progress: number;
  /** Age of the answerer's last turn of its main loop, ms. */
  readonly turnAgeMs: number;
  /** Highest epoch number the answerer has promised. */
  readonly epoch: number;
  /** Free text; what does not fit in `heartbeatLimits.detailBytesMax` is cut. */
  readonly detail: string;
}

/** What both directions have in common, known before the HMAC is verified: good only to choose the key. */
export interface HeartbeatHeader {
  readonly type: "ask" | "reply";
  readonly cluster: string;
  readonly from: string;
  readonly to: string;
}

/** Bounds of the layout. A full reply is 489 bytes: it fits every network's packet. */
export const heartbeatLimits = {
  datagramBytesMax: 512,
  nonceBytes: 16,
  /** Of `cluster`, `from` and `to` each. */
  nameBytesMax: 64,
  detailBytesMax: 200,
} as const;

const magic = 0x4148;
const version = 1;
const nonceAt = 6;
const namesAt = nonceAt + heartbeatLimits.nonceBytes;
const macBytes = 32;
/** Anybody may claim to be anybody: what is kept of that has a bound. */
const keysMax = 4_096;
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The key under which datagrams to and from `id` are signed. */
export function heartbeatKey(secret: Uint8Array, id: string): Uint8Array {
  return deriveKey(secret, `heartbeat:${id}`);
}

/** Those keys for one who needs many of them: each is derived once. */
export function heartbeatKeys(secret: Uint8Array): (id: string) => Uint8Array {
  const keys = new Map<string, Uint8Array>();
  return (id) => {
    let key = keys.get(id);
    if (!key) {
      if (keys.size > keysMax) keys.clear();
      keys.set(id, key = heartbeatKey(secret, id));
    }
    return key;
  };
}

/**
 * Write a datagram and sign it.
 *
 * @throws {RangeError} If a name is empty or too long, the nonce has another length or a number is not finite.
 */
export function encodeHeartbeat(datagram: HeartbeatAsk | HeartbeatReply, key: Uint8Array): Uint8Array {
  if (datagram.nonce.length !== heartbeatLimits.nonceBytes) throw new RangeError("A nonce has 16 bytes");
  const bytes = Buffer.allocUnsafe(heartbeatLimits.datagramBytesMax);
  bytes.writeUInt16BE(magic, 0);
  bytes[2] = version;
  bytes[3] = datagram.type === "ask" ? 1 : 2;
  bytes.set(datagram.nonce, nonceAt);
  let at = namesAt;
  for (const name of [datagram.cluster, datagram.from, datagram.to]) {
    const length = Buffer.byteLength(name);
    if (length === 0 || length > heartbeatLimits.nameBytesMax) {
      throw new RangeError(`A name in a heartbeat has 1 to ${heartbeatLimits.nameBytesMax} bytes, not ${length}`);
    }
    bytes[at] = length;
    bytes.write(name, at + 1);
    at += 1 + length;
  }
  if (datagram.type === "reply") {
    for (const value of [datagram.progress, datagram.turnAgeMs, datagram.epoch]) {
      if (!Number.isFinite(value)) throw new RangeError("Numbers in a heartbeat are finite");
      at = bytes.writeDoubleBE(value, at);
    }
    // `write` stops before a character that does not fit.
    const written = bytes.write(datagram.detail, at + 1, heartbeatLimits.detailBytesMax);
    bytes[at] = written;
    at += 1 + written;
  }
  bytes.writeUInt16BE(at + macBytes, 4);
  const signed = bytes.subarray(0, at);
  return new Uint8Array(Buffer.concat([signed, createHmac("sha256", key).update(signed).digest()]));
}

/**
 * Read a datagram from anybody.
 *
 * @param keyFor The key of the one this claims to be from or for; `undefined` refuses it.
 * @returns `undefined` for everything that is not a well-formed datagram signed
 *   with that key. Throws nothing of its own.
 */
export function decodeHeartbeat(
  bytes: Uint8Array,
  keyFor: (header: HeartbeatHeader) => Uint8Array | undefined,
): HeartbeatAsk | HeartbeatReply | undefined {
  const length = bytes.length;
  if (length < namesAt + 3 + macBytes || length > heartbeatLimits.datagramBytesMax) return undefined;
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, length);
  if (view.readUInt16BE(0) !== magic || view[2] !== version || view.readUInt16BE(4) !== length) return undefined;
  const type = view[3] === 1 ? "ask" : view[3] === 2 ? "reply" : undefined;
  if (type === undefined) return undefined;
  const end = length - macBytes;
  let at = namesAt;
  const readText = (bytesMax: number): string | undefined => {
    const size = at < end ? view[at]! : Infinity;
    if (size > bytesMax || at + 1 + size > end) return undefined;
    at += 1 + size;
    try {
      return strictUtf8.decode(view.subarray(at - size, at));
    } catch {
      return undefined;
    }
  };
  const cluster = readText(heartbeatLimits.nameBytesMax);
  const from = readText(heartbeatLimits.nameBytesMax);
  const to = readText(heartbeatLimits.nameBytesMax);
  if (!cluster || !from || !to) return undefined;
  const key = keyFor({ type, cluster, from, to });
  if (key === undefined) return undefined;
  const mac = createHmac("sha256", key).update(view.subarray(0, end)).digest();
  if (!timingSafeEqual(mac, view.subarray(end))) return undefined;

  const nonce = new Uint8Array(view.subarray(nonceAt, namesAt));
  if (type === "ask") return at === end ? { type, cluster, from, to, nonce } : undefined;
  if (at + 24 > end) return undefined;
  const progress = view.readDoubleBE(at);
  const turnAgeMs = view.readDoubleBE(at + 8);
  const epoch = view.readDoubleBE(at + 16);
  at += 24;
  const detail = readText(heartbeatLimits.detailBytesMax);
  if (detail === undefined || at !== end) return undefined;
  if (!Number.isFinite(progress) || !Number.isFinite(turnAgeMs) || !Number.isFinite(epoch)) return undefined;
  return { type, cluster, from, to, nonce, progress, turnAgeMs, epoch, detail };
}
