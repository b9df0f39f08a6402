/**
 * Log rotation without loss while the program keeps its descriptor: the oldest
 * part of the live file is copied to NAME.1, then taken off the file's front by
 * `fallocate`: collapsed, or where the file system cannot do that, punched out.
 * (Copying and truncating loses what is written in between; renaming leaves the
 * program writing to the old file: that is for the time before it starts.)
 *
 * A crash at any point leaves enough on disk for the next life to finish.
 *
 * @module
 */
import { closeSync, constants, fsyncSync, ftruncateSync, openSync, renameSync, rmSync, statSync, writeSync } from "node:fs";
import { type FileHandle, open, statfs } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import type { LogLimits } from "../application.ts";
import { systemCalls } from "./ffi.ts";
import { type CutMeans, type Cutting, type LogState, olderFilesMax, readLogState, sizeOf, type Turning, writeLogState } from "./log_chain.ts";

/** `fallocate` modes. */
const keepSize = 1;
const punchHole = 2;
const collapseRange = 8;

/** A multiple of every file system's block in use; ranges must be. */
export const cutBlockBytes = 65_536;
const chunkBytes = 262_144;
/** A disk so full is not filled further by copies. */
const freeBytesMin = 16 * 1024 * 1024;

/** `fallocate(2)`. */
export type Allocate = (descriptor: number, mode: number, offset: number, length: number) => boolean;

/** The machine's; always fails where the C library cannot be reached. */
export const systemAllocate: Allocate = (...args) => systemCalls()?.allocate(...args) ?? false;

/** What the file system of a folder can do; tried on a file of its own. */
export function cutMeans(folder: string, allocate: Allocate = systemAllocate): CutMeans | "none" {
  const path = join(folder, `.cut-${process.pid}`);
  const file = openSync(path, "w", 0o600);
  try {
    ftruncateSync(file, 2 * cutBlockBytes);
    writeSync(file, "x", 0);
    fsyncSync(file);
    if (allocate(file, collapseRange, 0, cutBlockBytes)) return "collapse";
    return allocate(file, punchHole | keepSize, 0, cutBlockBytes) ? "punch" : "none";
  } finally {
    closeSync(file);
    rmSync(path, { force: true });
  }
}

/**
 * Move the oldest part of a log that is larger than its limit to NAME.1, once.
 *
 * @returns Whether it was larger.
 * @throws If files cannot be written; nothing is lost then.
 */
export async function rotate(path: string, limits: LogLimits, means: CutMeans, allocate: Allocate = systemAllocate): Promise<boolean> {
  let state = readLogState(path);
  if (state.cutting) state = await finishCut(path, limits, allocate);
  const size = sizeOf(path);
  if (size === undefined) return false;
  if (size < state.hole) writeLogState(path, state = { ...state, hole: 0 }); // emptied by hand
  const bytes = Math.floor(Math.min(limits.maxBytes, size - state.hole - 1) / cutBlockBytes) * cutBlockBytes;
  if (size - state.hole <= limits.maxBytes || bytes === 0) return false;
  const live = await open(path, "r+");
  try {
    if (limits.keep > 0) await copyOut(live, state.hole, bytes, `${path}.1.new`);
    // A collapse waits for what is not on disk yet: that is done here, where nobody waits.
    await live.datasync();
    writeLogState(path, { ...state, cutting: { bytes, means } });
    if (limits.keep > 0) admit(path, limits.keep);
    cut(live.fd, path, state, { bytes, means }, allocate);
  } finally {
    await live.close();
  }
  return true;
}

/**
 * While nobody writes to a log that is too large: rename it, however large it
 * is. One with a hole at its front would bring the hole along: that is cut,
 * where it can be.
 *
 * @throws If files cannot be written; nothing is lost then.
 */
export function turnOver(path: string, limits: LogLimits): void {
  const size = sizeOf(path) ?? 0;
  const { base, hole } = readLogState(path);
  const bytes = size < hole ? size : size - hole;
  if (bytes <= limits.maxBytes) return;
  const turning: Turning = { bytes, means: "rename", inode: inodeOf(path)! };
  writeLogState(path, { base, hole, cutting: turning });
  renameSync(path, `${path}.1.new`);
  finishTurn(path, limits, { base, hole }, turning);
}

/** There may be a new live file already: the inode tells whether the old one was moved. */
function finishTurn(path: string, { keep }: LogLimits, { base, hole }: Pick<LogState, "base" | "hole">, { bytes, inode }: Turning): void {
  if (inodeOf(path) === inode) return writeLogState(path, { base, hole, cutting: null });
  if (keep === 0) rmSync(`${path}.1.new`, { force: true });
  else if (inodeOf(`${path}.1.new`) === inode) admit(path, keep);
  writeLogState(path, { base: base + bytes, hole: 0, cutting: null });
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

/** Finish a cut under which the armor died. */
export async function finishCut(path: string, limits: LogLimits, allocate: Allocate = systemAllocate): Promise<LogState> {
  const state = readLogState(path);
  const { cutting } = state;
  if (!cutting) return state;
  if (cutting.means === "rename") {
    finishTurn(path, limits, state, cutting);
    return readLogState(path);
  }
  const { bytes, means } = cutting;
  const live = await open(path, "r+").catch(() => undefined);
  if (!live) {
    writeLogState(path, { ...state, cutting: null });
    return readLogState(path);
  }
  try {
    const copied = sizeOf(`${path}.1.new`) === bytes;
    if (copied) admit(path, Math.max(1, limits.keep));
    // Punching again does no harm; collapsing again would take what is not copied.
    if (copied || means === "punch" || state.hole > 0 || await beginsWith(live, `${path}.1`, bytes)) cut(live.fd, path, state, cutting, allocate);
    else writeLogState(path, { base: state.base + bytes, hole: 0, cutting: null });
  } finally {
    await live.close();
  }
  return readLogState(path);
}

/** Take the part off and say where the file begins now. */
function cut(file: number, path: string, { base, hole }: Pick<LogState, "base" | "hole">, { bytes, means }: Cutting, allocate: Allocate): void {
  if (means === "collapse" && hole === 0 && allocate(file, collapseRange, 0, bytes)) {
    return writeLogState(path, { base: base + bytes, hole: 0, cutting: null });
  }
  if (means === "collapse") writeLogState(path, { base, hole, cutting: { bytes, means: "punch" } });
  if (allocate(file, punchHole | keepSize, 0, hole + bytes)) {
    return writeLogState(path, { base: base + bytes, hole: hole + bytes, cutting: null });
  }
  // It stays where it is; the copy goes.
  rmSync(`${path}.1`, { force: true });
  writeLogState(path, { base, hole, cutting: null });
  throw new Error(`cannot cut ${path}`);
}

/** Copy a part of the live file, complete and on disk. */
async function copyOut(live: FileHandle, offset: number, bytes: number, target: string): Promise<void> {
  const { bavail, bsize } = await statfs(target.slice(0, target.lastIndexOf("/")));
  if (bavail * bsize < bytes + freeBytesMin) throw new Error(`no space to rotate ${target}`);
  const { uid, gid } = await live.stat();
  const copy = await open(target, constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW, 0o640);
  try {
    if (process.geteuid?.() === 0) await copy.chown(uid, gid);
    const chunk = Buffer.alloc(Math.min(chunkBytes, bytes));
    for (let done = 0; done < bytes;) {
      const { bytesRead } = await live.read(chunk, 0, Math.min(chunk.length, bytes - done), offset + done);
      if (bytesRead === 0) throw new Error(`${target} ended early`);
      for (let written = 0; written < bytesRead;) {
        written += (await copy.write(chunk, written, bytesRead - written, done + written)).bytesWritten;
      }
      done += bytesRead;
    }
    await copy.datasync();
  } finally {
    await copy.close();
  }
}

/** Make NAME.1.new NAME.1 and move the older ones on; after a crash half-way, go on with the rest. */
function admit(path: string, keep: number): void {
  let free = 1;
  while (free < keep && sizeOf(`${path}.${free}`) !== undefined) free += 1;
  for (let number = free; number > 1; number--) renameSync(`${path}.${number - 1}`, `${path}.${number}`);
  renameSync(`${path}.1.new`, `${path}.1`);
  for (let number = keep + 1; number <= olderFilesMax && sizeOf(`${path}.${number}`) !== undefined; number++) rmSync(`${path}.${number}`, { force: true });
}

/** Whether the live file still begins with what was copied: then it was not collapsed. */
async function beginsWith(live: FileHandle, copyPath: string, bytes: number): Promise<boolean> {
  if (sizeOf(copyPath) !== bytes) return false;
  const copy = await open(copyPath, "r");
  try {
    const [ours, theirs] = [Buffer.alloc(chunkBytes), Buffer.alloc(chunkBytes)];
    for (let done = 0; done < bytes;) {
      const count = Math.min(chunkBytes, bytes - done);
      const { bytesRead } = await copy.read(ours, 0, count, done);
      const { bytesRead: found } = await live.read(theirs, 0, bytesRead, done);
      if (bytesRead === 0 || found !== bytesRead || ours.compare(theirs, 0, found, 0, bytesRead) !== 0) return false;
      done += bytesRead;
    }
    return true;
  } finally {
    await copy.close();
  }
}
