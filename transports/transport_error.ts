/**
 * Failures of a connection that callers treat differently.
 *
 * @module
 */
import { ArmorError } from "../core/errors.ts";

/**
 * - `unreachable`: nobody answers there (refused, no such socket, no route, connect timeout); nothing was sent.
 * - `lost`: the connection ended before the answer; whether the request was carried out is unknown.
 * - `timeout`: connected, but no answer in time; likewise unknown.
 * - `wrong_secret`: one side refused the other's certificate.
 * - `protocol`: what answers does not speak as we do.
 * - `refused`: the peer declined the link and said why.
 * - `expelled`: the same, for good: there must be no such peer.
 * - `aborted`: the caller's signal.
 */
export type TransportErrorCode =
  | "unreachable"
  | "lost"
  | "timeout"
  | "wrong_secret"
  | "protocol"
  | "refused"
  | "expelled"
  | "aborted";

/** A connection that could not be had or kept. */
export class TransportError extends ArmorError<TransportErrorCode> {
  override readonly name = "TransportError";
}
