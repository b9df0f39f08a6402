/**
 * Frames on a byte stream. Each frame is a CBOR byte string with a length of four
 * bytes, `5A length32 content`, so its length is known before anything is decoded
 * and a recorded stream is a CBOR sequence (RFC 8742).
 *
 * @module
 */
import type { Duplex } from "node:stream";
import { TransportError } from "./transport_error.ts";

/** Bounds of a link. */
export const linkLimits = {
  /** Content of one frame; a longer one closes the link. */
  frameBytesMax: 8 * 1024 * 1024,
  /** Sent but not yet taken by the connection; beyond it the link is closed: the peer is not reading. */
  backlogBytesMax: 64 * 1024 * 1024,
  /** Handed to the connection at a time. */
  writeBytesMax: 1024 * 1024,
} as const;

/**
 * Why a link ended: `closed` here, `ended` by the peer, `lost` connection (or none was had), `backlog` too
 * long, broken `protocol`, or `refused` by the peer's `onLink`.
 */
export type LinkEnd = "closed" | "ended" | "lost" | "backlog" | "protocol" | "refused";

/** A connection on which frames travel in order, until it ends. */
export interface FrameLink {
  /**
   * Send a frame with all others of this turn in one write. The bytes must not be
   * changed afterwards. On an ended link nothing happens.
   *
   * @throws {RangeError} If the frame is longer than `linkLimits.frameBytesMax`.
   */
  send(frame: Uint8Array): void;
  /** Bytes sent but not yet taken by the connection. */
  readonly backlogBytes: number;
  /** End the link after what has been sent; `onClose("closed")` follows in a later turn. */
  close(): void;
}

/** What the owner of a link is told. */
export interface LinkHandlers {
  /** @param frames At least one, in order; the callee's own. */
  onFrames(frames: Uint8Array[]): void;
  /**
   * Called exactly once, never from within `send` or `close`.
   *
   * @param error Says more for `lost`, `protocol` and `refused`.
   */
  onClose(reason: LinkEnd, error?: TransportError): void;
}

const lead = 0x5a;
const headBytes = 5;

/** Cuts a byte stream into frames; copies every byte once, however it is chopped. */
export class FrameReader {
  readonly #head = new Uint8Array(headBytes);
  #headFill = 0;
  #body: Uint8Array | undefined;
  #bodyFill = 0;

  /**
   * @returns The frames completed by `chunk`, as copies.
   * @throws {TransportError} `"protocol"`; the reader is then of no further use.
   */
  push(chunk: Uint8Array): Uint8Array[] {
    const frames: Uint8Array[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#body === undefined) {
        if (this.#headFill === 0 && chunk.length - at >= headBytes) {
          const length = frameLength(chunk, at);
          at += headBytes;
          if (chunk.length - at >= length) {
            frames.push(copyOf(chunk, at, at + length));
            at += length;
            continue;
          }
          this.#body = new Uint8Array(length);
        } else {
          while (this.#headFill < headBytes && at < chunk.length) this.#head[this.#headFill++] = chunk[at++]!;
          if (this.#head[0] !== lead) frameLength(this.#head, 0);
          if (this.#headFill < headBytes) break;
          this.#headFill = 0;
          this.#body = new Uint8Array(frameLength(this.#head, 0));
        }
        this.#bodyFill = 0;
      }
      const body: Uint8Array = this.#body;
      const taken = Math.min(body.length - this.#bodyFill, chunk.length - at);
      body.set(chunk.subarray(at, at + taken), this.#bodyFill);
      this.#bodyFill += taken;
      at += taken;
      if (this.#bodyFill === body.length) {
        frames.push(body);
        this.#body = undefined;
      }
    }
    return frames;
  }
}

function frameLength(bytes: Uint8Array, at: number): number {
  const length = ((bytes[at + 1]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 8) | bytes[at + 4]!) >>> 0;
  if (bytes[at] !== lead) throw new TransportError("protocol", "Cannot read frame: it does not start with 5A");
  if (length > linkLimits.frameBytesMax) {
    throw new TransportError("protocol", `Cannot read frame: it has ${length} bytes, at most ${linkLimits.frameBytesMax}`);
  }
  return length;
}

/** `Buffer.prototype.slice` is a view; this is not. */
function copyOf(bytes: Uint8Array, start: number, end: number): Uint8Array {
  return Uint8Array.prototype.slice.call(bytes, start, end);
}

/** Collects frames and writes them batch by batch, no further ahead than the connection takes them. */
export class FrameWriter {
  readonly #stream: Duplex;
  readonly #onOverflow: () => void;
  #frames: Uint8Array[] = [];
  #next = 0;
  #queuedBytes = 0;
  #takenBytes = 0;
  #scheduled = false;
  #ending = false;
  #ended = false;
  #stopped = false;

  constructor(stream: Duplex, onOverflow: () => void) {
    this.#stream = stream;
    this.#onOverflow = onOverflow;
  }

  get backlogBytes(): number {
    return this.#queuedBytes + this.#takenBytes;
  }

  send(frame: Uint8Array): void {
    if (frame.length > linkLimits.frameBytesMax) {
      throw new RangeError(`A frame has at most ${linkLimits.frameBytesMax} bytes, not ${frame.length}`);
    }
    if (this.#ending || this.#stopped) return;
    if (this.backlogBytes + frame.length + headBytes > linkLimits.backlogBytesMax) {
      this.stop();
      this.#onOverflow();
      return;
    }
    this.#frames.push(frame);
    this.#queuedBytes += frame.length + headBytes;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  /** End the stream after everything sent so far. */
  end(): void {
    this.#ending = true;
    this.#flush();
  }

  /** Forget what has not been written. */
  stop(): void {
    this.#stopped = true;
    this.#frames = [];
    this.#next = 0;
    this.#queuedBytes = 0;
  }

  #flush(): void {
    while (!this.#stopped && this.#next < this.#frames.length && this.#takenBytes < linkLimits.writeBytesMax) {
      const batch = this.#nextBatch();
      this.#queuedBytes -= batch.length;
      this.#takenBytes += batch.length;
      this.#stream.write(batch, () => {
        this.#takenBytes -= batch.length;
        this.#flush();
      });
    }
    if (this.#ending && !this.#ended && !this.#stopped && this.#next >= this.#frames.length) {
      this.#ended = true;
      this.#stream.end();
    }
  }

  /** The next frames with their heads, at least one, at most about `writeBytesMax`. */
  #nextBatch(): Uint8Array {
    let end = this.#next;
    let length = 0;
    do {
      length += headBytes + this.#frames[end]!.length;
      end++;
    } while (end < this.#frames.length && length + headBytes + this.#frames[end]!.length <= linkLimits.writeBytesMax);
    const batch = Buffer.allocUnsafeSlow(length);
    let at = 0;
    for (; this.#next < end; this.#next++) {
      const frame = this.#frames[this.#next]!;
      batch[at] = lead;
      batch.writeUInt32BE(frame.length, at + 1);
      batch.set(frame, at + headBytes);
      at += headBytes + frame.length;
    }
    if (this.#next === this.#frames.length) {
      this.#frames = [];
      this.#next = 0;
    }
    return batch;
  }
}
