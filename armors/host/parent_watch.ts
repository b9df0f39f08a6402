/**
 * Hearing of the end of one's parent. Guard and daemon of a node are nearly always
 * parent and child of each other, either way; of a child the runtime tells.
 *
 * @module
 */
import { constants } from "node:os";
import process from "node:process";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { systemCalls } from "./ffi.ts";
import { confirmGone, isAlive, readProcess } from "./process_table.ts";

/** One that does nothing to a process without a handler for it. */
const signal = "SIGURG";
/** The kernel signals a moment before the process table has it. */
const goneWithinMs = 200;

/**
 * Call `ended` once, at once when the parent of this process has ended. A missed signal is possible: look now and then, too.
 *
 * @returns Listens no more; `undefined` where that process is not the parent of this one, has ended already, or
 *   the system cannot be asked.
 */
export function onParentEnd(parent: ProcessIdentity, ended: () => void): (() => void) | undefined {
  const isOurs = (): boolean => readProcess(process.pid)?.parent === parent.pid && isAlive(parent);
  if (!isOurs()) return undefined;
  // Anybody can send a signal, and the kernel does when the thread has ended that started us: look.
  const look = (): void =>
    void confirmGone(() => !isAlive(parent), goneWithinMs).then((gone) => {
      if (gone && listens) ended();
      if (gone) stop();
    });
  let listens = true;
  const stop = (): void => {
    listens = false;
    process.off(signal, look);
  };
  // Before it can come.
  process.on(signal, look);
  // The parent may have ended before the kernel knew whom to tell.
  if (systemCalls()?.signalAtParentEnd(constants.signals[signal]) === true && isOurs()) return stop;
  stop();
  return undefined;
}
