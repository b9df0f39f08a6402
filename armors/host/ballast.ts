/**
 * Ballast: a file of a node that only takes room. When the disk is full, what
 * must be written for recovery (commits, promises, launch records) gives up a
 * part of it and is written then; the daemon makes it whole again when there is
 * room, and takes nothing new until then.
 *
 * @module
 */
import { closeSync, ftruncateSync, openSync, statfsSync, statSync, truncateSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { limits } from "../../core/limits.ts";
import { systemCalls } from "./ffi.ts";

/** Whether a system error says that there is no room. */
export function isDiskFull(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG";
}

/** The file; every process of a node may give up a part of it, its daemon makes it whole. */
export class Ballast {
  constructor(readonly path: string) {}

  /** Make room by a part of it. @returns `false`: there is nothing left to give. */
  giveUp(): boolean {
    try {
      const { size } = statSync(this.path);
      if (size === 0) return false;
      truncateSync(this.path, Math.max(0, size - limits.ballastStepBytes));
      return true;
    } catch {
      return false;
    }
  }

  /**
   * Do something that writes; while the disk is full, with a part less of ballast.
   *
   * @param run Has no effect if it throws.
   */
  relieve<T>(run: () => T): T {
    for (;;) {
      try {
        return run();
      } catch (error) {
        if (!isDiskFull(error) || !this.giveUp()) throw error;
      }
    }
  }

  /** Make it whole if there is room for that and as much again. @returns Whether there is room and it is whole. */
  refill(): boolean {
    try {
      const free = freeBytes(dirname(this.path));
      if (this.#size() >= limits.ballastBytes) return free >= limits.ballastStepBytes;
      return free >= 2 * limits.ballastBytes && this.#make();
    } catch {
      return false;
    }
  }

  #size(): number {
    return statSync(this.path, { throwIfNoEntry: false })?.size ?? 0;
  }

  #make(): boolean {
    const file = openSync(this.path, "a+", 0o600);
    const before = this.#size();
    try {
      const length = limits.ballastBytes - before;
      if (systemCalls()?.allocate(file, 0, before, length) === true) return true;
      const zeros = new Uint8Array(64 * 1024);
      for (let at = before; at < limits.ballastBytes;) at += writeSync(file, zeros, 0, Math.min(zeros.length, limits.ballastBytes - at));
      return true;
    } catch {
      ftruncateSync(file, before);
      return false;
    } finally {
      closeSync(file);
    }
  }
}

function freeBytes(folder: string): number {
  const { bavail, bsize } = statfsSync(folder);
  return bavail * bsize;
}
