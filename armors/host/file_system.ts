/**
 * File system: the part of `node:fs` with which checkpoints are written and read.
 * The simulator has its own.
 *
 * @module
 */
import * as fs from "node:fs";

/** As in `node:fs`. */
export interface FileSystem {
  openSync(path: string, flags: string | number, mode?: number): number;
  closeSync(descriptor: number): void;
  writeSync(descriptor: number, bytes: Uint8Array, offset: number, length: number, position?: number): number;
  ftruncateSync(descriptor: number, length: number): void;
  fdatasync(descriptor: number, done: (error: NodeJS.ErrnoException | null) => void): void;
  fdatasyncSync(descriptor: number): void;
  fsyncSync(descriptor: number): void;
  mkdirSync(path: string, options: { readonly recursive: true; readonly mode: number }): unknown;
  readdirSync(path: string): string[];
  renameSync(from: string, to: string): void;
  rmSync(path: string, options: { readonly force: true }): void;
  statSync(path: string): { readonly size: number; isFile(): boolean };
  readFileSync(path: string): Uint8Array;
}

/** The machine's. */
export const systemFiles: FileSystem = fs;
