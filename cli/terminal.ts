/**
 * Where a command writes and what it may know of its surroundings. Commands
 * get a {@link Terminal} and touch no global, so tests run them in-process.
 *
 * @module
 */
import { writeSync } from "node:fs";
import process from "node:process";

/** Everything a command sees of the outside, the daemon excepted. */
export interface Terminal {
  /** Write to standard output. @throws {OutputClosedError} Once nobody reads it. */
  out(text: string | Uint8Array): void;
  /** Write to standard error. */
  error(text: string): void;
  /** Environment variables. */
  readonly environment: { readonly [name: string]: string | undefined };
  /** Current directory, absolute. */
  readonly directory: string;
  /** Width of help texts, in columns. */
  readonly columns: number;
  /** Shortens every wait for a daemon, in tests; absent: as the command says. */
  readonly waitMsMax?: number;
  /** From now on Ctrl-C ends the process quietly with status 130: for streams. */
  endOnInterrupt(): void;
}

/** Nobody reads standard output any more (`armor events | head -1`): end quietly. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";
}

/**
 * The process's own terminal. Writes are synchronous, so nothing is lost at
 * exit and a slow reader slows the command instead of filling its memory.
 */
export function processTerminal(): Terminal {
  return {
    out: (text) => {
      try {
        writeAll(1, text);
      } catch (error) {
        if (errorCode(error) === "EPIPE") throw new OutputClosedError("standard output is closed");
        throw error;
      }
    },
    error: (text) => {
      try {
        writeAll(2, text);
      } catch {
        // Standard error is the last place to complain at.
      }
    },
    environment: process.env,
    directory: currentDirectory(),
    columns: Math.min(process.stdout.isTTY ? process.stdout.columns || 80 : 80, 100),
    endOnInterrupt: () => {
      process.once("SIGINT", () => process.exit(130));
    },
  };
}

/** Write all bytes; waits while a non-blocking pipe is full. */
function writeAll(descriptor: number, text: string | Uint8Array): void {
  const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
  let offset = 0;
  while (offset < bytes.length) {
    try {
      offset += writeSync(descriptor, bytes, offset);
    } catch (error) {
      if (errorCode(error) !== "EAGAIN") throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
  }
}

/** The current directory; `/` if it was deleted meanwhile. */
function currentDirectory(): string {
  try {
    return process.cwd();
  } catch {
    return "/";
  }
}

/** The stable `code` of a system error, if it has one. */
export function errorCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}
