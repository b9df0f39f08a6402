/**
 * The machine's monotonic clock. `performance.now()` and `process.hrtime()`
 * start at 0 in every process; times that armors exchange must not.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import type { Clock } from "../../core/clock.ts";
import { systemCalls } from "./ffi.ts";
import { Repetitions } from "./repetition.ts";

/**
 * Milliseconds since boot, sleep included (`CLOCK_BOOTTIME`): the same in every
 * process of the machine, never running backwards. About 0.1 µs; where the C
 * library cannot be called it is read from `/proc/uptime`, in steps of 10 ms.
 */
export function nowMs(): number {
  const time = systemCalls()?.bootTimeMs() ?? NaN;
  return time >= 0 ? Math.floor(time) : uptimeMs();
}

function uptimeMs(): number {
  return Math.round(Number.parseFloat(readFileSync("/proc/uptime", "latin1")) * 1_000);
}

let boot: string | undefined;

/** Names this boot of the machine; with pid and start time it names a process for ever. */
export function bootId(): string {
  return (boot ??= readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim());
}

const repetitions = new Repetitions(nowMs);

/** A heartbeat has come: what is to be done now and then is done in the same turn. */
export function joinTurn(): void {
  repetitions.join();
}

/** The machine's clock and the runtime's timers. */
export const systemClock: Clock = {
  nowMs,
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  every: (intervalMs, run) => repetitions.every(intervalMs, run),
};
