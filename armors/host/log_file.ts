/**
 * Log files. Programs write to them directly, so their lines survive every
 * armor; a file is only ever appended to, and turned over when a program starts.
 *
 * @module
 */
import { closeSync, constants, fchmodSync, fchownSync, mkdirSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname } from "node:path";

/** How large logs get. */
export interface LogOptions {
  /** A file larger than this is turned over at the next opening: NAME becomes NAME.1. Default 10 MiB. */
  readonly limitBytes?: number;
  /** Older files kept: NAME.1 (newest) to NAME.3 by default. */
  readonly keep?: number;
  /** Who may reopen it (`/dev/stdout`), if the program runs as another user. */
  readonly owner?: { readonly uid: number; readonly gid: number } | undefined;
}

/**
 * Open a log for appending, mode 0640, making its folder if needed. The lines of
 * the program's predecessor stay.
 *
 * @returns A descriptor the caller closes.
 */
export function openLog(path: string, options: LogOptions = {}): number {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  rotateLog(path, options);
  const descriptor = openSync(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW, 0o640);
  try {
    fchmodSync(descriptor, 0o640);
    if (options.owner !== undefined) fchownSync(descriptor, options.owner.uid, options.owner.gid);
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
  return descriptor;
}

/** Turn a log over if it is larger than its limit. A program that still has it open keeps writing to NAME.1. */
export function rotateLog(path: string, options: LogOptions = {}): void {
  const { limitBytes = 10 * 1024 * 1024, keep = 3 } = options;
  if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) <= limitBytes) return;
  rmSync(`${path}.${keep}`, { force: true });
  for (let number = keep - 1; number >= 1; number--) {
    const older = `${path}.${number}`;
    if (statSync(older, { throwIfNoEntry: false }) !== undefined) renameSync(older, `${path}.${number + 1}`);
  }
  if (keep > 0) renameSync(path, `${path}.1`);
  else rmSync(path);
}
