/**
 * `HOST:PORT` as the operator writes it.
 *
 * @module
 */
import { isIP, isIPv6 } from "node:net";
import { ArmorError } from "../core/errors.ts";

/** Where a node listens. IPv6 literals carry no brackets here. */
export interface HostPort {
  readonly host: string;
  /** 0 only where a free port is wanted. */
  readonly port: number;
}

/** An address that cannot be parsed, resolved or bound. */
export class AddressError extends ArmorError<"bad_address" | "address_in_use"> {
  override readonly name = "AddressError";
}

/** Letters, digits, inner hyphens, labels of at most 63: RFC 1123, and `_` as many networks use it. */
const hostName = /^(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*\.?$/i;

/**
 * Parse `HOST:PORT`; HOST is a name, an IPv4 literal or a bracketed IPv6 literal.
 *
 * @throws {AddressError} `"bad_address"`, naming the part that is wrong.
 * @example
 * ```ts
 * import { parseAddress } from "./address.ts";
 * console.assert(parseAddress("[::1]:7000").host === "::1");
 * ```
 */
export function parseAddress(text: string): HostPort {
  const wrong = (why: string): AddressError =>
    new AddressError("bad_address", `Cannot use address ${JSON.stringify(text)}: ${why}`);
  const example = "write HOST:PORT, such as 10.0.0.1:7000 or [::1]:7000";
  const split = /^(?:\[([^\]]*)\]|([^[\]]*)):([^:]*)$/.exec(text);
  if (!split) throw wrong(example);
  const [, bracketed, bare = "", portText = ""] = split;
  if (!/^[0-9]{1,5}$/.test(portText) || Number(portText) > 65_535) {
    throw wrong(`the port must be a number from 0 to 65535; ${example}`);
  }
  const port = Number(portText);
  if (bracketed !== undefined) {
    if (!isIPv6(bracketed)) throw wrong(`${JSON.stringify(bracketed)} is not an IPv6 address`);
    return { host: bracketed, port };
  }
  if (bare === "") throw wrong(`the host is missing; ${example}`);
  if (bare.includes(":")) throw wrong(`an IPv6 address needs brackets; ${example}`);
  if (/^[0-9.]+$/.test(bare) && isIP(bare) === 0) {
    throw wrong(`${JSON.stringify(bare)} is not an IPv4 address`);
  }
  if (!hostName.test(bare)) throw wrong(`${JSON.stringify(bare)} is not a host name`);
  return { host: bare, port };
}

/** The inverse of {@link parseAddress}. */
export function formatAddress({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** Whether `host` means every interface, so that peers cannot dial it. */
export function isWildcard(host: string): boolean {
  return host === "0.0.0.0" || (isIPv6(host) && /^[0:]+$/.test(host));
}

/** Why the system did not let us listen at `where`. */
export function cannotListen(where: string, cause: Error & { readonly code?: string }): AddressError {
  return cause.code === "EADDRINUSE"
    ? new AddressError("address_in_use", `Cannot listen on ${where}: address in use`, { cause })
    : new AddressError("bad_address", `Cannot listen on ${where}: ${cause.code ?? cause.message}`, { cause });
}
