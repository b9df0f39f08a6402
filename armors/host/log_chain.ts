/**
 * A log as one stream of bytes in several files: NAME is the live one, which a
 * program appends to; NAME.1, NAME.2, … hold what was cut off its front, the
 * newest first. Positions count all bytes ever written, so they stay what they
 * are while bytes move from file to file.
 *
 * Readers and the one who cuts are different processes. NAME.state says where
 * the live file begins, and that a cut is under way; a reader that finds the
 * state changed after it has read, reads again.
 *
 * @module
 */
import { closeSync, openSync, readFileSync, readSync, renameSync, statSync, writeFileSync } from "node:fs";
import process from "node:process";

/** What NAME.state holds, as JSON. */
export type LogState = {
  /** Position of the first byte of the live file. */
  readonly base: number;
  /** Bytes at the front of the live file that were punched out: the file's own offset of `base`. */
  readonly hole: number;
  /** A cut is under way. */
  readonly cutting: Cutting | Turning | null;
};

/** So many bytes are taken off the front of the live file. */
export type Cutting = { readonly bytes: number; readonly means: CutMeans };
/** The live file, which has this inode, becomes an older one as a whole. */
export type Turning = { readonly bytes: number; readonly means: "rename"; readonly inode: number };

/** How bytes are taken off the front of a file that somebody writes to. */
export type CutMeans = "collapse" | "punch";

/** Most older files; the bound of `keep`. */
export const olderFilesMax = 100;

const fresh: LogState = { base: 0, hole: 0, cutting: null };

/** A log nobody has cut yet has no state. */
export function readLogState(path: string): LogState {
  try {
    return JSON.parse(readFileSync(`${path}.state`, "utf8")) as LogState;
  } catch {
    return fresh;
  }
}

/** Readers see the old state or the new one. */
export function writeLogState(path: string, state: LogState): void {
  const temporary = `${path}.state.${process.pid}`;
  writeFileSync(temporary, JSON.stringify(state), { mode: 0o600 });
  renameSync(temporary, `${path}.state`);
}

/** Size of a file; `undefined` if there is none. */
export function sizeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.size;
}

/** One file of a log. */
export type LogPart = {
  readonly path: string;
  /** Positions that it holds. */
  readonly from: number;
  readonly to: number;
  /** Offset in the file of `from`. */
  readonly offset: number;
};

/** The files of a log, oldest first; the last is the live one. */
export function logParts(path: string, state: LogState = readLogState(path)): readonly LogPart[] {
  const size = sizeOf(path) ?? 0;
  // Somebody emptied it by hand: what follows is at its front.
  const offset = size < state.hole ? 0 : state.hole;
  const parts: LogPart[] = [{ path, from: state.base, to: state.base + size - offset, offset }];
  for (let number = 1, missing = 0; number <= olderFilesMax && missing < 2; number++) {
    const older = `${path}.${number}`;
    const bytes = sizeOf(older);
    if (bytes === undefined) {
      missing += 1;
      continue;
    }
    const to = parts[0]!.from;
    parts.unshift({ path: older, from: to - bytes, to, offset: 0 });
  }
  return parts;
}

/** What a read found. */
export type LogRead =
  | { readonly kind: "bytes"; readonly position: number; readonly count: number }
  /** Bytes are being moved: read again a moment later. */
  | { readonly kind: "moving" };

/**
 * Read at a position. One that has been dropped is taken as the oldest there is;
 * one past the end of a file that was emptied as its beginning.
 */
export function readLog(path: string, position: number, buffer: Uint8Array): LogRead {
  const state = readLogState(path);
  if (state.cutting) return { kind: "moving" };
  const parts = logParts(path, state);
  const live = parts.at(-1)!;
  let at = Math.max(position, parts[0]!.from);
  if (at > live.to) at = live.from;
  const part = parts.find(({ to }) => at < to) ?? live;
  const count = readPart(part, at, buffer);
  const after = readLogState(path);
  if (after.cutting || after.base !== state.base || after.hole !== state.hole) return { kind: "moving" };
  return { kind: "bytes", position: at, count };
}

/** Read from one file. */
export function readPart({ path, from, to, offset }: LogPart, at: number, buffer: Uint8Array): number {
  let file: number;
  try {
    file = openSync(path, "r");
  } catch {
    return 0; // not there yet, or dropped meanwhile
  }
  try {
    return readSync(file, buffer, 0, Math.max(0, Math.min(buffer.length, to - at)), offset + at - from);
  } finally {
    closeSync(file);
  }
}
