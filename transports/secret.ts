/**
 * The cluster secret: 32 random bytes, kept as one line of base64url in a file
 * that only its owner can read. Everything else (heartbeat keys, the
 * certificate authority) is derived from it, so it is all a node needs to be given.
 *
 * @module
 */
import { hkdfSync, randomBytes } from "node:crypto";
import { closeSync, constants, fchmodSync, fstatSync, fsyncSync, openSync, readSync, writeSync } from "node:fs";
import { ArmorError } from "../core/errors.ts";

/** Bytes of a secret. */
export const secretBytes = 32;

/** Why a secret file was refused. */
export class SecretError extends ArmorError<
  "secret_missing" | "secret_unreadable" | "secret_malformed" | "secret_exposed" | "secret_exists" | "secret_unwritable"
> {
  override readonly name = "SecretError";
}

/** A new secret from the system's random source. */
export function createSecret(): Uint8Array {
  return Uint8Array.from(randomBytes(secretBytes));
}

/** Text of a secret file: 43 letters of base64url and a line feed. */
export function encodeSecretFile(secret: Uint8Array): string {
  if (secret.length !== secretBytes) throw new RangeError(`A secret has ${secretBytes} bytes`);
  return `${Buffer.from(secret).toString("base64url")}\n`;
}

/**
 * Create the secret file, mode 0600. An existing file is never overwritten.
 *
 * @throws {SecretError} `"secret_exists"` or `"secret_unwritable"`.
 */
export function writeSecretFile(path: string, secret: Uint8Array): void {
  const text = encodeSecretFile(secret);
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600);
  } catch (cause) {
    if (errorCode(cause) === "EEXIST") {
      throw new SecretError("secret_exists", `Cannot create secret file ${JSON.stringify(path)}: it exists already`, { cause });
    }
    throw unwritable(path, cause);
  }
  try {
    fchmodSync(descriptor, 0o600);
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } catch (cause) {
    throw unwritable(path, cause);
  } finally {
    closeSync(descriptor);
  }
}

/**
 * Read a secret file. The mode is read from the open file, so what is checked is
 * what is read.
 *
 * @throws {SecretError} `"secret_missing"`, `"secret_unreadable"`, `"secret_malformed"`, or
 *   `"secret_exposed"` when group or others have any right to it.
 */
export function readSecretFile(path: string): Uint8Array {
  const name = JSON.stringify(path);
  let text: string;
  try {
    // Without O_NONBLOCK a named pipe would hold us for ever.
    const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const found = fstatSync(descriptor);
      if (!found.isFile()) throw new SecretError("secret_unreadable", `Cannot read secret file ${name}: it is not a regular file`);
      if ((found.mode & 0o077) !== 0) {
        throw new SecretError("secret_exposed", `Cannot use secret file ${name}: others can reach it; run chmod 600 ${path}`);
      }
      const bytes = Buffer.alloc(256);
      text = bytes.toString("latin1", 0, readSync(descriptor, bytes, 0, bytes.length, 0));
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    if (cause instanceof SecretError) throw cause;
    if (errorCode(cause) === "ENOENT") {
      throw new SecretError("secret_missing", `Cannot read secret file ${name}: no such file; armor init creates one`, { cause });
    }
    throw new SecretError("secret_unreadable", `Cannot read secret file ${name}: ${errorCode(cause)}`, { cause });
  }
  const line = /^([A-Za-z0-9_-]{43})\s*$/.exec(text)?.[1];
  const secret = line === undefined ? undefined : Uint8Array.from(Buffer.from(line, "base64url"));
  // The last letter has two unused bits: only the form that we write is accepted.
  if (secret === undefined || encodeSecretFile(secret).trimEnd() !== line) {
    throw new SecretError("secret_malformed", `Cannot use secret file ${name}: it must hold one line of 43 base64url letters`);
  }
  return secret;
}

/**
 * A key of its own for every purpose, by HKDF-SHA256 (RFC 5869).
 *
 * @param label What the key is for; equal labels give equal keys.
 * @param lengthBytes Default 32.
 */
export function deriveKey(secret: Uint8Array, label: string, lengthBytes = 32): Uint8Array {
  return new Uint8Array(hkdfSync("sha256", secret, "armor-v1", label, lengthBytes));
}

function unwritable(path: string, cause: unknown): SecretError {
  return new SecretError("secret_unwritable", `Cannot create secret file ${JSON.stringify(path)}: ${errorCode(cause)}`, { cause });
}

function errorCode(error: unknown): string {
  return (error as { code?: string }).code ?? String(error);
}
