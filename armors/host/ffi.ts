/**
 * Calls of the C library and of the runtime that `node:` modules do not have. This file alone
 * names a runtime: Bun's `bun:ffi`, or `Deno.dlopen`.
 *
 * @module
 */
import process from "node:process";

/** What Armor asks of the C library. */
export interface SystemCalls {
  /** Milliseconds since boot, sleep included (`CLOCK_BOOTTIME`), with a fraction. */
  bootTimeMs(): number;
  /**
   * Take a POSIX record lock on a whole file (`lockf`). The kernel releases it
   * when the process ends, or closes any descriptor of that file; children do not inherit it.
   */
  lockFile(descriptor: number): "locked" | "busy" | "failed";
  /** `fallocate(2)`: allocate, punch or collapse a range of a file. */
  allocate(descriptor: number, mode: number, offset: number, length: number): boolean;
  /** Keep every descriptor but 0, 1 and 2 from programs started later; `false` before Linux 5.11. */
  closeOnExec(): boolean;
  /**
   * Let go of pages that can be read again from the file they came from (`madvise`, `MADV_DONTNEED`).
   * What was changed in them is lost: for ranges that nobody has written to.
   */
  releasePages(start: bigint, length: number): boolean;
  /** Send this process that signal when its parent ends (`prctl`, `PR_SET_PDEATHSIG`). */
  signalAtParentEnd(signal: number): boolean;
}

/** A C function; numbers and byte arrays are its arguments. */
type Call = (...args: (number | bigint | Uint8Array)[]) => number | bigint;
type Kind = "i32" | "u32" | "i64" | "bytes";
type Library = { readonly [name: string]: Call };

const symbols: { readonly [name: string]: readonly Kind[] } = {
  clock_gettime: ["i32", "bytes"],
  lockf: ["i32", "i32", "i64"],
  fallocate: ["i32", "i32", "i64", "i64"],
  syscall: ["i64", "i64", "i64", "i64"],
  madvise: ["i64", "i64", "i32"],
  prctl: ["i32", "i64", "i64", "i64", "i64"],
};

/** The C library's name on glibc and on musl. */
const libraryNames = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1", "libc.so"];

interface BunFfi {
  dlopen(name: string, symbols: { [name: string]: { args: string[]; returns: string } }): { symbols: Library };
}
interface DenoFfi {
  dlopen(name: string, symbols: { [name: string]: { parameters: string[]; result: string } }): { symbols: Library };
}

function open(name: string): Library | undefined {
  const entries = Object.entries(symbols);
  try {
    if (process.versions["bun"] !== undefined) {
      const bun = (process.getBuiltinModule as (name: string) => unknown)("bun:ffi") as BunFfi;
      return bun.dlopen(
        name,
        Object.fromEntries(entries.map(([symbol, kinds]) => [symbol, {
          args: kinds.map((kind) => kind === "bytes" ? "ptr" : kind),
          returns: "i32",
        }])),
      ).symbols;
    }
    const deno = (globalThis as unknown as { Deno?: DenoFfi }).Deno;
    return deno?.dlopen(
      name,
      Object.fromEntries(entries.map(([symbol, kinds]) => [symbol, {
        parameters: kinds.map((kind) => kind === "bytes" ? "buffer" : kind),
        result: "i32",
      }])),
    ).symbols;
  } catch {
    return undefined; // another C library, or no permission: the next name, then the caller's fallback
  }
}

const clockBootTime = 7;
const lockTry = 2;
/** `close_range`, the same number on every architecture; musl has no wrapper. */
const closeRange = 436;
const closeRangeCloseOnExec = 4;
const dontNeed = 4;
const setParentEndSignal = 1;

function bind(library: Library): SystemCalls {
  const { clock_gettime, lockf, fallocate, syscall, madvise, prctl } = library as { [name: string]: Call } & typeof library;
  const time = new Uint8Array(16);
  const view = new DataView(time.buffer);
  return {
    bootTimeMs() {
      if (clock_gettime?.(clockBootTime, time) !== 0) return NaN;
      // Seconds since boot fit 32 bits; both fields are little-endian on every supported machine.
      return view.getUint32(0, true) * 1_000 + view.getUint32(8, true) / 1_000_000;
    },
    lockFile(descriptor) {
      if (lockf?.(descriptor, lockTry, 0) === 0) return "locked";
      // Busy and broken differ in errno, which a runtime may have overwritten; a lock of our own tells them apart.
      return lockf?.(descriptor, lockTest, 0) === 0 ? "failed" : "busy";
    },
    allocate: (descriptor, mode, offset, length) => fallocate?.(descriptor, mode, offset, length) === 0,
    closeOnExec: () => syscall?.(closeRange, 3, 0xffffffff, closeRangeCloseOnExec) === 0,
    releasePages: (start, length) => madvise?.(start, length, dontNeed) === 0,
    signalAtParentEnd: (signal) => prctl?.(setParentEndSignal, signal, 0, 0, 0) === 0,
  };
}

/** Collect all garbage and give the memory back to the system, where the runtime can be asked to; 2–15 ms for an armor. */
export function collectGarbage(): void {
  const { Bun: bun } = globalThis as unknown as { Bun?: { gc(synchronous: boolean): void; shrink?(): void } };
  bun?.gc(true);
  bun?.shrink?.();
}

/** `lockf`: is the file free? */
const lockTest = 3;

let calls: SystemCalls | undefined;
let tried = false;

/** @returns The calls, or `undefined` where the C library cannot be opened. Opened once, at the first use. */
export function systemCalls(): SystemCalls | undefined {
  if (tried) return calls;
  tried = true;
  for (const name of libraryNames) {
    const library = open(name);
    if (library !== undefined) return (calls = bind(library));
  }
  return undefined;
}
