/**
 * The lock of a node: one guard at a time. A guard that a daemon has started
 * gives way to one that an operator or a service manager starts.
 *
 * @module
 */

/** The lock, and who holds it. */
export interface GuardLock {
  take(): boolean;
  /** Whoever holds it; `replacement`: a daemon has started it. */
  holder(): { readonly pid: number; readonly replacement: boolean } | undefined;
  /** Tell a replacement to give way. */
  yield(pid: number): void;
  pause(delayMs: number): Promise<void>;
}

const yieldWithinMs = 2_000;
const againMs = 10;

/**
 * Take it.
 *
 * @param operator This guard is started by an operator or a service manager.
 * @returns Pid of the one that keeps it, 0 if unknown; `undefined`: it is ours.
 */
export async function takeGuardLock(lock: GuardLock, operator: boolean): Promise<number | undefined> {
  for (let waitedMs = 0; !lock.take(); waitedMs += againMs) {
    const holder = lock.holder();
    if (!operator || !holder?.replacement || waitedMs > yieldWithinMs) return holder?.pid ?? 0;
    lock.yield(holder.pid);
    await lock.pause(againMs);
  }
  return undefined;
}
