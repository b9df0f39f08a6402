/**
 * A process of Armor runs for years and does little: it keeps small. What its start
 * and later work have left over goes back to the system soon; left alone, the runtime
 * waits until its heap has doubled.
 *
 * So do pages of the executable that are mapped but have not changed. A start runs through
 * most of the runtime, and the system maps sixteen pages for each that is touched; those that
 * go on being used come back from its cache of files within microseconds.
 *
 * @module
 */
import { readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { collectGarbage, systemCalls } from "./ffi.ts";

/** While the start still goes on, so that what it needs for long is not scattered over what it needs for a moment. */
const afterStartMs = [500, 1_500, 3_000] as const;
const lookEveryMs = 10_000;
/** What has grown less is left alone. */
const growthBytes = 1024 * 1024;

/** Begin. Keeps no process alive. */
export function keepSmall(): void {
  for (const afterMs of afterStartMs) setTimeout(shrink, afterMs).unref();
  // Just after a release the pages in use are not back yet: the least of later looks counts.
  let least = Infinity;
  setInterval(() => {
    const bytes = process.memoryUsage.rss();
    if (bytes - least < growthBytes) {
      least = Math.min(least, bytes);
      return;
    }
    shrink();
    least = Infinity;
  }, lookEveryMs).unref();
}

function shrink(): void {
  collectGarbage();
  // Other runtimes map parts of their executable in ways of their own.
  if (process.versions["bun"] === undefined) return;
  for (const { start, length } of unchangedRanges(readFileSync("/proc/self/smaps", "latin1"), readlinkSync("/proc/self/exe"))) {
    systemCalls()?.releasePages(start, length);
  }
}

/** A part of a process's memory. */
export interface MemoryRange {
  readonly start: bigint;
  readonly length: number;
}

/**
 * Find what is mapped from a file, cannot be written to, and is as it is in the file: no relocation and no
 * debugger has changed a page of it. That can be let go of and read again.
 *
 * @param smaps As in `/proc/PID/smaps`.
 * @param path The file, as `/proc/PID/exe` names it.
 */
export function unchangedRanges(smaps: string, path: string): MemoryRange[] {
  return smaps.split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m).flatMap((text) => {
    const [, from, to, name] = /^([0-9a-f]+)-([0-9a-f]+) r-[x-]p \S+ \S+ \d+ +(.*)\n/.exec(text) ?? [];
    if (name !== path || !/^Anonymous: +0 kB$/m.test(text)) return [];
    const start = BigInt(`0x${from}`);
    return [{ start, length: Number(BigInt(`0x${to}`) - start) }];
  });
}
