/**
 * Exclusive locks between processes. The kernel releases one when its holder
 * ends, however it ends; children do not inherit it, so a program that outlives
 * its armor never keeps a lock.
 *
 * A POSIX record lock also ends when its process closes *any* descriptor of the
 * file: a locked file is opened through this module only.
 *
 * @module
 */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, realpathSync, writeSync } from "node:fs";
import process from "node:process";
import { ArmorError } from "../../core/errors.ts";
import { systemCalls } from "./ffi.ts";

/** A lock that this process holds. */
export interface Lock {
  readonly path: string;
  /** Give it up; the file stays. */
  release(): void;
}

/** Files locked by this process: the kernel does not keep a process from its own locks. */
const held = new Set<string>();

/**
 * Take the lock on `path`, making the file if needed, and write this process's
 * pid into it for error texts.
 *
 * @returns `undefined` if another process, or this one, holds it.
 * @throws {ArmorError} `"lock_failed"` if the file cannot be opened or the system has no locks.
 */
export function tryLock(path: string): Lock | undefined {
  const name = JSON.stringify(path);
  let descriptor: number;
  try {
    if (held.has(realpathSync(path))) return undefined;
  } catch {
    // not there yet
  }
  try {
    descriptor = openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (cause) {
    throw new ArmorError("lock_failed", `Cannot lock ${name}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
  const result = systemCalls()?.lockFile(descriptor) ?? "failed";
  if (result !== "locked") {
    closeSync(descriptor);
    if (result === "busy") return undefined;
    throw new ArmorError("lock_failed", `Cannot lock ${name}: the file system or the C library refuses`);
  }
  const real = realpathSync(path);
  held.add(real);
  try {
    // Written over what is there before it is cut: on a full disk a block that is given back is gone.
    ftruncateSync(descriptor, writeSync(descriptor, `${process.pid}\n`, 0));
  } catch {
    // a full disk: only the error text of others is poorer
  }
  let released = false;
  return {
    path,
    release() {
      if (released) return;
      released = true;
      held.delete(real);
      closeSync(descriptor);
    },
  };
}

/** @returns The pid that the last holder of a lock wrote, for error texts; `undefined` if it cannot be read. */
export function lockHolder(path: string): number | undefined {
  try {
    if (held.has(realpathSync(path))) return process.pid;
    const pid = Number.parseInt(readFileSync(path, "latin1"), 10);
    return pid > 0 ? pid : undefined;
  } catch {
    return undefined;
  }
}
