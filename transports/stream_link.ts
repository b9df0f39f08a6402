/**
 * A {@link FrameLink} over one HTTP/2 stream: what server and client have in common.
 *
 * @module
 */
import type { ClientHttp2Stream, ServerHttp2Stream } from "node:http2";
import { type FrameLink, FrameReader, FrameWriter, type LinkEnd, type LinkHandlers } from "./frame_link.ts";
import { TransportError } from "./transport_error.ts";

/** Settings of both sides: windows as large as throughput on a fast network needs. */
export const http2Settings = {
  initialWindowSize: 16 * 1024 * 1024,
  maxFrameSize: 256 * 1024,
  enablePush: false,
} as const;

/** Flow-control window of the whole connection; the protocol starts it at 64 KiB. */
export const connectionWindowBytes = 16 * 1024 * 1024;

/** The route of links; everything else is an ordinary request. */
export const linkPath = "/v1/stream";

/** Header in which a server that declines a link says why, percent-encoded. */
export const refusalHeader = "armor-refusal";

/** Header of a refusal for good. */
export const finalHeader = "armor-refusal-final";

/** A stream that was ended waits this long for the peer before it is destroyed. */
const lingerMs = 1_000;

/** What the side that made the link can do to it besides. */
export interface StreamLink extends FrameLink {
  /** End now, dropping what is on its way. Only the first call counts. */
  finish(end: LinkEnd, error?: TransportError): void;
}

/**
 * Run a link over `stream`.
 *
 * @param handlers Asked at every event, so that they may be set a little later.
 * @param onGone The stream is of no further use; called once.
 */
export function linkOverStream(
  stream: ClientHttp2Stream | ServerHttp2Stream,
  handlers: () => LinkHandlers | undefined,
  onGone: () => void,
): StreamLink {
  const reader = new FrameReader();
  const writer = new FrameWriter(stream, () => finish("backlog"));
  let over = false;
  let linger: ReturnType<typeof setTimeout> | undefined;

  const gone = (): void => {
    clearTimeout(linger);
    onGone();
  };
  /** Tell the owner, once and in a turn of its own. */
  const report = (end: LinkEnd, error?: TransportError): void => {
    over = true;
    queueMicrotask(() => handlers()?.onClose(end, error));
  };
  const finish = (end: LinkEnd, error?: TransportError): void => {
    if (over) return;
    report(end, error);
    writer.stop();
    stream.destroy();
    gone();
  };

  stream.on("data", (chunk: Uint8Array) => {
    if (over) return;
    let frames: Uint8Array[];
    try {
      frames = reader.push(chunk);
    } catch (error) {
      return finish("protocol", error as TransportError);
    }
    if (frames.length > 0) handlers()?.onFrames(frames);
  });
  stream.on("end", () => {
    if (over) return;
    if (connectionGone(stream)) return finish("lost");
    report("ended");
    writer.end();
    linger ??= unref(setTimeout(gone, lingerMs));
  });
  stream.on("aborted", () => finish("lost"));
  stream.on("error", (cause: Error) => {
    finish("lost", new TransportError("lost", `Connection lost: ${describe(cause)}`, { cause }));
  });
  stream.on("close", () => {
    finish("lost");
    gone();
  });

  return {
    send(frame) {
      if (!over) writer.send(frame);
    },
    get backlogBytes() {
      return writer.backlogBytes;
    },
    close() {
      if (over) return;
      report("closed");
      writer.end();
      linger ??= unref(setTimeout(() => {
        stream.destroy();
        gone();
      }, lingerMs));
    },
    finish,
  };
}

/** Whether an `end` of the stream is only that of its connection, which looks the same. */
export function connectionGone(stream: ClientHttp2Stream | ServerHttp2Stream): boolean {
  const { session } = stream;
  return stream.aborted || session === undefined || session.closed || session.destroyed || session.socket?.destroyed !== false;
}

/** A timer that does not keep the process alive. */
export function unref<Timer extends { unref(): unknown }>(timer: Timer): Timer {
  timer.unref();
  return timer;
}

/** The code of a system error, else its text. */
export function describe(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  return typeof code === "string" ? code : String(message ?? error);
}
