/**
 * The body of an HTTP/2 response, read part by part without running ahead of its reader.
 *
 * @module
 */
import type { ClientHttp2Stream } from "node:http2";
import { connectionGone } from "./stream_link.ts";

/** Parts waiting for their reader beyond this pause the stream. */
const waitingBytesMax = 1024 * 1024;

/** Reads a body once. */
export class ResponseBody {
  readonly #stream: ClientHttp2Stream;
  readonly #parts: Uint8Array[] = [];
  #waitingBytes = 0;
  #outcome: { readonly error?: Error } | undefined;
  #wake: () => void = () => {};

  constructor(stream: ClientHttp2Stream) {
    this.#stream = stream;
    stream.on("data", (part: Uint8Array) => {
      this.#parts.push(Uint8Array.prototype.slice.call(part));
      this.#waitingBytes += part.length;
      if (this.#waitingBytes > waitingBytesMax) stream.pause();
      this.#wake();
    });
    stream.on("end", () => {
      if (!connectionGone(stream)) this.finish();
    });
  }

  /** Nothing more will come; only the first call counts. */
  finish(error?: Error): void {
    this.#outcome ??= error === undefined ? {} : { error };
    this.#wake();
  }

  /**
   * @returns The next part; `undefined` at the end.
   * @throws The error given to `finish`, after all parts that came before it.
   */
  async next(): Promise<Uint8Array | undefined> {
    while (this.#parts.length === 0) {
      if (this.#outcome !== undefined) {
        if (this.#outcome.error !== undefined) throw this.#outcome.error;
        return undefined;
      }
      await new Promise<void>((wake) => {
        this.#wake = wake;
      });
    }
    const part = this.#parts.shift()!;
    this.#waitingBytes -= part.length;
    if (this.#waitingBytes <= waitingBytesMax && this.#stream.isPaused()) this.#stream.resume();
    return part;
  }

  /** All that is left, as UTF-8. */
  async text(): Promise<string> {
    const parts: Uint8Array[] = [];
    for (let part = await this.next(); part !== undefined; part = await this.next()) parts.push(part);
    return Buffer.concat(parts).toString("utf8");
  }
}
