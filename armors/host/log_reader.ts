/**
 * Reading an application's log while its program writes it and it is cut.
 *
 * @module
 */
import { type LogRead, logParts, readLog } from "./log_chain.ts";

/** How to read. */
export interface LogReadOptions {
  /** Only the last lines; absent: everything. */
  readonly lines: number | undefined;
  readonly follow: boolean;
  readonly signal: AbortSignal;
}

const chunkBytes = 64 * 1024;
const lookEveryMs = 200;
/** A cut takes milliseconds; one whose armor died under it waits for the next. */
const movingPauseMs = 5;
const movingMsMax = 2_000;

const pause = (milliseconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** The log's bytes, older files first; with `follow` also what comes later. */
export async function* followLog(path: string, { lines, follow, signal }: LogReadOptions): AsyncGenerator<Uint8Array> {
  const parts = logParts(path);
  // What is written from now on is for those who follow.
  const end = parts.at(-1)!.to;
  let at = lines === undefined ? parts[0]!.from : await startOfLastLines(path, parts[0]!.from, end, lines);
  while (!signal.aborted) {
    const chunk = Buffer.alloc(follow ? chunkBytes : Math.min(chunkBytes, Math.max(0, end - at)));
    if (chunk.length === 0) return;
    const { position, count } = await settledRead(path, at, chunk);
    if (count > 0) {
      at = position + count;
      yield chunk.subarray(0, count);
    } else if (!follow) return;
    else {
      at = position;
      await pause(lookEveryMs);
    }
  }
}

/** Position of the first of the last `lines` lines before `end`. */
async function startOfLastLines(path: string, first: number, end: number, lines: number): Promise<number> {
  let left = lines;
  const chunk = Buffer.alloc(chunkBytes);
  for (let to = end; to > first;) {
    const from = Math.max(first, to - chunkBytes);
    for (let at = from; at < to;) {
      const { position, count } = await settledRead(path, at, chunk.subarray(at - from, to - from));
      // Dropped meanwhile: what is left is shorter than asked for.
      if (count === 0 || position !== at) return to;
      at += count;
    }
    for (let index = to - from - 1; index >= 0; index--) {
      // The newline that ends the last line does not start another.
      if (chunk[index] === 0x0a && from + index !== end - 1 && left-- <= 1) return from + index + 1;
      if (lines === 0) return end;
    }
    to = from;
  }
  return first;
}

async function settledRead(path: string, at: number, buffer: Uint8Array): Promise<LogRead & { readonly kind: "bytes" }> {
  for (let waited = 0; waited < movingMsMax; waited += movingPauseMs) {
    const read = readLog(path, at, buffer);
    if (read.kind === "bytes") return read;
    await pause(movingPauseMs);
  }
  return { kind: "bytes", position: at, count: 0 };
}
