/**
 * Reading an application's log while its program writes it.
 *
 * @module
 */
import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from "node:fs";

/** How to read. */
export interface LogReadOptions {
  /** Only the last lines; absent: everything. */
  readonly lines: number | undefined;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

const chunkBytes = 64 * 1024;
const lookEveryMs = 200;

/** The log's bytes; with `follow` also what comes later, over rotations. */
export async function* followLog(path: string, { lines, follow, signal }: LogReadOptions): AsyncGenerator<Uint8Array> {
  let file: number | undefined = existsSync(path) ? openSync(path, "r") : undefined;
  try {
    let at = file === undefined || lines === undefined ? 0 : startOfLastLines(file, lines);
    for (;;) {
      while (file !== undefined && !signal.aborted) {
        const chunk = Buffer.alloc(chunkBytes);
        const count = readSync(file, chunk, 0, chunkBytes, at);
        if (count === 0) break;
        at += count;
        yield chunk.subarray(0, count);
      }
      if (!follow || signal.aborted) return;
      await new Promise((resolve) => setTimeout(resolve, lookEveryMs));
      const now = statSync(path, { throwIfNoEntry: false });
      if (!now) continue;
      const before = file === undefined ? undefined : fstatSync(file);
      if (before?.ino === now.ino && now.size >= at) continue;
      // Rotated, or cut: what was left of the old file has been read above.
      if (file !== undefined) closeSync(file);
      file = openSync(path, "r");
      at = 0;
    }
  } finally {
    if (file !== undefined) closeSync(file);
  }
}

/** Offset of the first of the last `lines` lines. */
function startOfLastLines(file: number, lines: number): number {
  let end = fstatSync(file).size;
  let left = lines;
  const chunk = Buffer.alloc(chunkBytes);
  for (let last = true; end > 0;) {
    const from = Math.max(0, end - chunkBytes);
    const count = readSync(file, chunk, 0, end - from, from);
    for (let index = count - 1; index >= 0; index--) {
      if (chunk[index] !== 0x0a) continue;
      // The newline that ends the last line does not start another.
      if (!(last && from + index === fstatSync(file).size - 1) && left-- <= 1) return from + index + 1;
      last = false;
    }
    end = from;
  }
  return 0;
}
