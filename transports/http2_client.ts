/**
 * HTTP/2 client: links of frames and single requests, each over a connection of
 * its own, by mutual TLS to another node or plainly over a Unix socket.
 *
 * @module
 */
import type { IncomingHttpHeaders } from "node:http2";
import { type FrameLink, linkLimits, type LinkHandlers } from "./frame_link.ts";
import { type Destination, nameAddress, openSession } from "./http2_session.ts";
import { ResponseBody } from "./response_body.ts";
import { describe, finalHeader, linkOverStream, linkPath, refusalHeader, type StreamLink, unref } from "./stream_link.ts";
import { TransportError, type TransportErrorCode } from "./transport_error.ts";

/** A link to open. */
export interface LinkOptions extends Destination, LinkHandlers {
  /** Sent with the request; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** The server has taken the link. Frames may be sent before; they wait. */
  onOpen?(): void;
}

/**
 * Open a link. Nothing is thrown: a failure to connect is `onClose("lost", error)` with the code `unreachable`,
 * `wrong_secret` or `protocol`; a server that declined is `onClose("refused", error)` with its words.
 */
export function connectLink(options: LinkOptions): FrameLink {
  const abort = new AbortController();
  let link: StreamLink | undefined;
  /** Sent before there is a stream. */
  let waiting: Uint8Array[] = [];
  let waitingBytes = 0;
  let over = false;
  const report: LinkHandlers["onClose"] = (end, error) => {
    if (over) return;
    over = true;
    waiting = [];
    waitingBytes = 0;
    abort.abort();
    queueMicrotask(() => options.onClose(end, error));
  };

  openSession({ ...options, signal: abort.signal }).then(({ session, destroy }) => {
    if (over) return destroy();
    const stream = session.request({ ":method": "POST", ":path": linkPath, ...options.headers }, { endStream: false });
    link = linkOverStream(stream, () => options, destroy);
    stream.on("response", (headers) => {
      const status = headers[":status"];
      if (status === 200) return options.onOpen?.();
      const words = headers[refusalHeader];
      if (typeof words === "string") {
        const code = headers[finalHeader] === undefined ? "refused" : "expelled";
        link?.finish("refused", new TransportError(code, decodeURIComponent(words)));
      } else {
        const why = `Cannot open link to ${nameAddress(options.address)}: HTTP status ${status}`;
        link?.finish("protocol", new TransportError("protocol", why));
      }
    });
    for (const frame of waiting) link.send(frame);
    waiting = [];
    waitingBytes = 0;
  }, (error: TransportError) => report("lost", error));

  return {
    send(frame) {
      if (link !== undefined) return link.send(frame);
      if (frame.length > linkLimits.frameBytesMax) throw new RangeError(`A frame has at most ${linkLimits.frameBytesMax} bytes`);
      if (over) return;
      waitingBytes += frame.length;
      if (waitingBytes > linkLimits.backlogBytesMax) return report("backlog");
      waiting.push(frame);
    },
    get backlogBytes() {
      return link?.backlogBytes ?? waitingBytes;
    },
    close() {
      if (link !== undefined) link.close();
      else report("closed");
    },
  };
}

/** A request to send. */
export interface RequestOptions extends Destination {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** With the query. */
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** The body; `undefined` for none. */
  readonly json?: unknown;
  /** Until the head of the response, and again until the end of its body where `json` or `text` reads it; default 10,000. */
  readonly timeoutMs?: number;
}

/** A response whose head has arrived. Its body is read once, in one of the three ways, or given up by `close`. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  json(): Promise<unknown>;
  text(): Promise<string>;
  /** Parts of the body as they come, for as long as they do. Leaving the loop ends the connection. */
  readonly stream: AsyncIterable<Uint8Array>;
  close(): void;
}

/**
 * Send one request.
 *
 * @throws {TransportError} See {@link TransportErrorCode} for what each code leaves known. Any HTTP status is a response, not an error.
 */
export async function request(options: RequestOptions): Promise<ResponseHead> {
  const { method, path, timeoutMs = 10_000, signal } = options;
  const name = nameAddress(options.address);
  const content = options.json === undefined ? undefined : Buffer.from(JSON.stringify(options.json));
  const { session, destroy } = await openSession(options);
  const stream = session.request({
    ":method": method,
    ":path": path,
    ...(content === undefined ? {} : { "content-type": "application/json", "content-length": String(content.length) }),
    ...options.headers,
  }, { endStream: content === undefined });

  const body = new ResponseBody(stream);
  let onFailure: (error: TransportError) => void = () => {};
  const fail = (code: TransportErrorCode, why: string, cause?: unknown): void => {
    const error = new TransportError(code, `Cannot get an answer from ${name}: ${why}`, { cause });
    body.finish(error);
    onFailure(error);
    close();
  };
  const abort = (): void => fail("aborted", "the caller gave up");
  const close = (): void => {
    signal?.removeEventListener("abort", abort);
    stream.destroy();
    destroy();
  };
  signal?.addEventListener("abort", abort);
  stream.on("error", (cause) => fail("lost", describe(cause), cause));
  stream.on("aborted", () => fail("lost", "the connection ended"));
  stream.on("close", () => fail("lost", "the connection ended"));
  if (content !== undefined) stream.end(content);

  const withinTime = async <T>(work: Promise<T>): Promise<T> => {
    const timer = unref(setTimeout(() => fail("timeout", `silent for ${timeoutMs} ms`), timeoutMs));
    return await work.finally(() => clearTimeout(timer));
  };
  const headers = await withinTime(
    new Promise<IncomingHttpHeaders & { ":status"?: number }>((done, failed) => {
      onFailure = failed;
      stream.once("response", done);
      if (signal?.aborted) abort();
    }),
  );
  const text = (): Promise<string> => withinTime(body.text()).finally(close);
  return {
    status: headers[":status"] ?? 0,
    headers,
    text,
    async json() {
      const found = await text();
      try {
        return JSON.parse(found);
      } catch (cause) {
        throw new TransportError("protocol", `Cannot read the answer of ${name}: it is not JSON`, { cause });
      }
    },
    stream: {
      async *[Symbol.asyncIterator]() {
        try {
          for (let part = await body.next(); part !== undefined; part = await body.next()) yield part;
        } finally {
          close();
        }
      },
    },
    close,
  };
}
