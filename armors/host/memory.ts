/**
 * A process of Armor runs for years and does little: it keeps small. What its
 * start has left over goes back to the system soon, and what gathers later now
 * and then; left alone, the runtime waits until its heap has doubled.
 *
 * @module
 */
import { collectGarbage } from "./ffi.ts";

const firstAfterMs = 3_000;
const everyMs = 60_000;

/** Begin. Keeps no process alive. */
export function keepSmall(): void {
  setTimeout(collectGarbage, firstAfterMs).unref();
  setInterval(collectGarbage, everyMs).unref();
}
