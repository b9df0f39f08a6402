/**
 * HTTP/2 server: a link of frames at `POST /v1/stream`, everything else to an
 * application. Mutual TLS on TCP, plain on a Unix socket, whose folder is its
 * protection. Sole importer of @hono/node-server.
 *
 * @module
 */
import { getRequestListener } from "@hono/node-server";
import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import {
  createSecureServer,
  createServer,
  type Http2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import { connect, type Socket } from "node:net";
import type { TLSSocket } from "node:tls";
import { AddressError, cannotListen, formatAddress, type HostPort } from "./address.ts";
import type { FrameLink, LinkHandlers } from "./frame_link.ts";
import { connectionWindowBytes, finalHeader, http2Settings, linkOverStream, linkPath, refusalHeader, unref } from "./stream_link.ts";
import type { TlsIdentity } from "./tls_identity.ts";

/** Who opened a link. */
export interface LinkPeer {
  readonly headers: IncomingHttpHeaders;
  /** Common name of the peer's certificate; `undefined` over the Unix socket. */
  readonly peerName: string | undefined;
}

/** Declines a link; the other side is told why. */
export interface LinkRefusal {
  readonly refuse: string;
  /** It need not try again: there must be no such peer. */
  readonly final?: boolean;
}

/** What to serve and where. */
export interface Http2ServerOptions {
  /** TCP (`tls` is then required), or the path of a Unix socket of at most 107 bytes. */
  readonly listen: HostPort | { readonly path: string };
  readonly tls?: TlsIdentity;
  /** Answers requests; `app.fetch` of a Hono application. */
  readonly fetch: (request: Request, bindings: { peerName: string | undefined }) => Response | Promise<Response>;
  /** Takes a link, or declines it. Frames may be sent at once. */
  readonly onLink: (link: FrameLink, peer: LinkPeer) => LinkHandlers | LinkRefusal;
}

/** A running server. */
export interface RunningHttp2Server {
  /** The port bound; 0 on a Unix socket. */
  readonly port: number;
  /** End every connection at once, whatever is on its way, and stop listening. */
  close(): Promise<void>;
}

/** An unfinished TLS handshake is cut off after this. */
const handshakeTimeoutMs = 5_000;
/** Longest path of a Unix socket on Linux. */
const socketPathBytesMax = 107;

/**
 * Listen.
 *
 * @throws {AddressError} `"address_in_use"` or `"bad_address"`.
 */
export async function startHttp2Server(options: Http2ServerOptions): Promise<RunningHttp2Server> {
  const { listen, tls } = options;
  const where = "path" in listen ? listen.path : formatAddress(listen);
  let server: Http2Server;
  if ("path" in listen) {
    await removeStaleSocket(listen.path);
    server = createServer({ settings: http2Settings });
  } else {
    if (tls === undefined) throw new RangeError("A TCP server needs a TLS identity");
    server = createSecureServer({
      ...tls,
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: "TLSv1.3",
      allowHTTP1: false,
      handshakeTimeout: handshakeTimeoutMs,
      settings: http2Settings,
    }) as unknown as Http2Server;
  }
  const sockets = trackSockets(server);
  serveRequests(server, options);

  await new Promise<void>((done, failed) => {
    server.once("error", (cause) => failed(cannotListen(where, cause)));
    server.listen("path" in listen ? { path: listen.path } : { host: listen.host, port: listen.port, exclusive: true }, done);
  });
  server.on("error", () => {});
  if ("path" in listen) chmodSync(listen.path, 0o600);
  const bound = server.address();
  return {
    port: bound !== null && typeof bound === "object" ? bound.port : 0,
    close: () =>
      new Promise((done) => {
        server.close(() => done());
        sockets.destroyAll();
        // A runtime that has missed the end of a connection must not hold the shutdown.
        unref(setTimeout(done, 500));
      }),
  };
}

/** Remember connections, so that they can be ended, and keep their errors from ending the process. */
function trackSockets(server: Http2Server): { destroyAll(): void } {
  const sockets = new Set<Socket>();
  server.on("session", (session: ServerHttp2Session) => {
    session.on("error", () => {});
    try {
      session.setLocalWindowSize(connectionWindowBytes);
    } catch { /* only slower */ }
  });
  server.on("sessionError", () => {});
  server.on("tlsClientError" as "error", () => {});
  for (const event of ["connection", "secureConnection"]) {
    server.on(event, (socket: Socket) => {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => sockets.delete(socket));
    });
  }
  return {
    destroyAll() {
      // Not the sessions: one that is destroyed sends what looks like the proper end of its
      // streams, and on Deno 2.9 now and then ends the process in native code.
      for (const socket of sockets) socket.destroy();
    },
  };
}

function serveRequests(server: Http2Server, { fetch, onLink }: Http2ServerOptions): void {
  const peerNames = new WeakMap<object, string | undefined>();
  const answer = getRequestListener(
    (request, { incoming }) => fetch(request, { peerName: peerNames.get(incoming) }),
    // Without a word on standard error: applications answer their own errors.
    { overrideGlobalObjects: false, errorHandler: () => new Response(null, { status: 500 }) },
  );
  server.on("request", (request: Http2ServerRequest, response: Http2ServerResponse) => {
    const { stream } = request;
    stream.on("error", () => {});
    const peerName = peerNameOf(stream);
    if (request.method === "POST" && request.url === linkPath) {
      openLink(stream, { headers: request.headers, peerName }, onLink);
      return;
    }
    peerNames.set(request, peerName);
    void answer(request, response);
  });
}

function openLink(stream: ServerHttp2Stream, peer: LinkPeer, onLink: Http2ServerOptions["onLink"]): void {
  let handlers: LinkHandlers | undefined;
  const link = linkOverStream(stream, () => handlers, () => {});
  const taken = onLink(link, peer);
  if ("refuse" in taken) {
    const words = encodeURIComponent(taken.refuse);
    stream.respond({ ":status": 403, [refusalHeader]: words, ...(taken.final && { [finalHeader]: "1" }) });
    stream.end();
    return;
  }
  handlers = taken;
  stream.respond({ ":status": 200, "content-type": "application/cbor-seq" });
}

/** Whose certificate the connection shows; verification has already happened. */
function peerNameOf(stream: ServerHttp2Stream): string | undefined {
  const socket = stream.session?.socket as Partial<TLSSocket> | undefined;
  const name: unknown = socket?.getPeerCertificate?.()?.subject?.CN;
  return typeof name === "string" ? name : undefined;
}

/** Remove the socket file of a server that is no more. One that still answers is left. */
async function removeStaleSocket(path: string): Promise<void> {
  if (Buffer.byteLength(path) > socketPathBytesMax) {
    throw new AddressError("bad_address", `Cannot listen on ${path}: a socket's path has at most ${socketPathBytesMax} bytes`);
  }
  const found = await new Promise<string>((done) => {
    const socket = connect({ path });
    socket.once("connect", () => {
      socket.destroy();
      done("alive");
    });
    socket.once("error", (error: Error & { code?: string }) => done(error.code ?? ""));
  });
  if (found === "alive") throw new AddressError("address_in_use", `Cannot listen on ${path}: another process listens there`);
  if (found !== "ECONNREFUSED") return;
  try {
    if (lstatSync(path).isSocket()) unlinkSync(path);
  } catch { /* gone meanwhile */ }
}
