/**
 * Getting an HTTP/2 connection, and saying precisely why one was not to be had.
 *
 * @module
 */
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { formatAddress, type HostPort } from "./address.ts";
import { connectionWindowBytes, describe, http2Settings, unref } from "./stream_link.ts";
import { serverName, type TlsIdentity } from "./tls_identity.ts";
import { TransportError } from "./transport_error.ts";

/** Silence after which the system asks whether the other machine is still there. */
const keepAliveMs = 5_000;

/** Where a server listens. */
export type Address = HostPort | { readonly path: string };

/** How to reach a server. */
export interface Destination {
  readonly address: Address;
  /** Required with TCP. */
  readonly tls?: TlsIdentity;
  /** From the first packet to the end of both handshakes; default 2,000. */
  readonly connectTimeoutMs?: number;
  /** Gives up; the error is `"aborted"`. */
  readonly signal?: AbortSignal;
}

/** A connection that has spoken HTTP/2 in both directions. */
export interface OpenSession {
  readonly session: ClientHttp2Session;
  /** End it at once; may be called again. */
  destroy(): void;
}

/** Text of an address in errors. */
export function nameAddress(address: Address): string {
  return "path" in address ? address.path : formatAddress(address);
}

/**
 * Connect and wait for the server's settings: a server that refuses our
 * certificate does so after our side of the TLS 1.3 handshake has finished, and
 * only what comes after tells that it did not.
 *
 * @throws {TransportError} `unreachable`, `wrong_secret`, `protocol` or `aborted`.
 */
export async function openSession(destination: Destination): Promise<OpenSession> {
  try {
    return await attempt(destination);
  } catch (error) {
    // A server that refuses a certificate may just hang up, and so does one that
    // dies at that moment. Only the first does it twice.
    if (!(error instanceof HungUp)) throw error;
  }
  try {
    return await attempt(destination);
  } catch (error) {
    if (!(error instanceof HungUp)) throw error;
    throw failure(destination, "wrong_secret", "the server refused our certificate; is it the same cluster secret?", error);
  }
}

/** The server ended the connection between the TLS handshake and its first HTTP/2 frame. */
class HungUp extends Error {}

function attempt(destination: Destination): Promise<OpenSession> {
  const { address, tls, connectTimeoutMs = 2_000, signal } = destination;
  return new Promise((done, failed) => {
    if (signal?.aborted) return failed(failure(destination, "aborted", "the caller gave up"));
    const socket = openSocket(address, tls);
    let session: ClientHttp2Session | undefined;
    let connected = false;
    let firstError: unknown;
    // Not session.destroy(): on Deno 2.9 that now and then ends the process in native code.
    const destroy = (): void => void socket.destroy();
    const settle = (error?: Error): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", abort);
      if (error === undefined) return done({ session: session!, destroy });
      destroy();
      failed(error);
    };
    const abort = (): void => settle(failure(destination, "aborted", "the caller gave up"));
    const timer = unref(setTimeout(() => {
      settle(connected && firstError === undefined && session !== undefined
        ? failure(destination, "protocol", "it takes connections but does not speak HTTP/2")
        : failure(destination, "unreachable", `no answer within ${connectTimeoutMs} ms`));
    }, connectTimeoutMs));
    signal?.addEventListener("abort", abort);

    socket.on("error", (error) => {
      firstError ??= error;
    });
    socket.on("close", () => {
      // Errors that explain the end may be reported just after it.
      setImmediate(() => settle(explain(destination, firstError, connected)));
    });
    socket.on(tls === undefined ? "connect" : "secureConnect", () => {
      connected = true;
      session = connect("https://" + serverName, { createConnection: () => socket, settings: http2Settings });
      session.on("error", (error) => {
        firstError ??= error;
      });
      session.once("close", () => socket.destroy());
      session.once("remoteSettings", () => {
        try {
          session?.setLocalWindowSize(connectionWindowBytes);
        } catch { /* only slower */ }
        settle();
      });
    });
  });
}

function openSocket(address: Address, tls: TlsIdentity | undefined): Socket {
  if ("path" in address) return connectPlain({ path: address.path });
  if (tls === undefined) throw new RangeError("A TCP connection needs a TLS identity");
  const socket = connectTls({
    host: address.host,
    port: address.port,
    ...tls,
    servername: serverName,
    ALPNProtocols: ["h2"],
    minVersion: "TLSv1.3",
    rejectUnauthorized: true,
  });
  socket.setNoDelay(true);
  // A stream that only listens would never hear that the other machine is gone.
  socket.setKeepAlive(true, keepAliveMs);
  return socket;
}

/** Codes of a certificate refused: by us (OpenSSL's names), or by the server (its alerts). */
const certificateRefused = /CERT|ISSUER|SELF_SIGNED|LEAF_SIGNATURE|ALTNAME|UNKNOWN_CA|DECRYPT_ERROR|ALERT_BAD|ALERT_HANDSHAKE_FAILURE/;
const tlsFailed = /SSL|TLS|HTTP2/;

function explain(destination: Destination, cause: unknown, connected: boolean): Error {
  const code = describe(cause ?? "");
  if (certificateRefused.test(code)) {
    return failure(destination, "wrong_secret", "a certificate was refused; is it the same cluster secret?", cause);
  }
  if (tlsFailed.test(code)) return failure(destination, "protocol", `it does not speak HTTP/2 over TLS as we do: ${code}`, cause);
  if (!connected) return failure(destination, "unreachable", code === "" ? "the connection ended" : code, cause);
  if ("path" in destination.address) return failure(destination, "unreachable", "the server hung up", cause);
  return new HungUp("hung up", { cause });
}

function failure(
  { address }: Destination,
  code: "unreachable" | "wrong_secret" | "protocol" | "aborted",
  why: string,
  cause?: unknown,
): TransportError {
  return new TransportError(code, `Cannot connect to ${nameAddress(address)}: ${why}`, { cause });
}
