/**
 * The file system of one simulated node. What is written survives every crash of
 * processes. A power loss takes what was not synced: of each file the last
 * writes, the last of them at any byte, and of the folder the last changes of
 * names. What is older than a few seconds has reached the disk by itself.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { constants } from "node:fs";
import type { FileSystem } from "../../armors/host/file_system.ts";
import type { RandomSource } from "../../core/random.ts";
import type { SimProcess } from "./sim_processes.ts";

/** Written longer ago than this it has reached the disk by itself. */
const writebackMs = 5_000;

/**
 * A change from byte `at` on that a power loss may take back; `part`: all but a few of its bytes. `dropped`: it could not
 * be written, which was said once; it will never be.
 */
type Unsynced = { readonly atMs: number; undo(part: number): void; readonly at: number; readonly bytes: number; dropped?: boolean };

/** One file. */
export class SimFile {
  bytes = Buffer.alloc(256);
  length = 0;
  unsynced: Unsynced[] = [];

  get content(): Buffer {
    return this.bytes.subarray(0, this.length);
  }

  set content(bytes: Uint8Array) {
    this.bytes = Buffer.from(bytes);
    this.length = bytes.length;
  }

  write(bytes: Uint8Array, at: number, atMs: number): void {
    const end = at + bytes.length;
    if (end > this.bytes.length) this.bytes = Buffer.concat([this.content], Math.max(end, 2 * this.bytes.length));
    const { length } = this;
    const old = at < length ? Buffer.from(this.bytes.subarray(at, Math.min(end, length))) : undefined;
    this.bytes.set(bytes, at);
    this.length = Math.max(length, end);
    const undo = (part: number): void => {
      if (old) this.bytes.set(old.subarray(Math.min(part, old.length)), at + Math.min(part, old.length));
      this.length = Math.max(length, Math.min(at + part, this.length));
    };
    this.unsynced.push({ atMs, undo, at, bytes: bytes.length });
  }

  cut(length: number, atMs: number): void {
    if (length >= this.length) return;
    const [old, before] = [Buffer.from(this.content.subarray(length)), this.length];
    this.length = length;
    const undo = (): void => {
      this.bytes.set(old, length);
      this.length = before;
    };
    this.unsynced.push({ atMs, undo, at: length, bytes: 0 });
  }
}

/** Files of a node by path. */
export class SimFiles {
  /** Milliseconds that one sync takes, at most. */
  syncMaxMs = 4;
  /** Nothing more can be written, but for what the ballast gives up. */
  full = false;
  /** The next sync of a log fails. */
  failsSync = false;
  /** Bytes that the ballast has given up; steps that it still can. */
  roomBytes = 0;
  ballastSteps = ballastSteps;
  readonly #files = new Map<string, SimFile>();
  #renamed: Unsynced[] = [];

  constructor(readonly random: RandomSource) {}

  /** As one process sees them. */
  of(process: SimProcess): FileSystem {
    return new View(this, process);
  }

  /** Gives way when the disk is full, as `ballast.ts`. */
  readonly ballast = {
    relieve: <T>(run: () => T): T => {
      for (;;) {
        try {
          return run();
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOSPC" || this.ballastSteps === 0) throw error;
          this.ballastSteps -= 1;
          this.roomBytes += ballastStepBytes;
        }
      }
    },
  };

  /** Something small is written that is not a checkpoint. @returns Whether there was room for it. */
  takes(): boolean {
    try {
      this.ballast.relieve(() => {
        if (this.full && this.roomBytes === 0) throw error("ENOSPC");
      });
      return true;
    } catch {
      return false;
    }
  }

  /** Bits rot: one file of a folder is altered, cut, lost, or in the place of another. @returns Which, and how. */
  rot(folder: string): string {
    const { random } = this;
    const paths = this.paths(folder);
    const path = paths[random.below(paths.length)]!;
    const file = this.#files.get(path)!;
    const [at, other] = [random.below(file.length + 1), paths[random.below(paths.length)]!];
    file.unsynced = [];
    const ways: { readonly [way: string]: () => void } = {
      flipped: () => void (file.bytes[at % Math.max(1, file.length)]! ^= 1 << random.below(8)),
      cut: () => void (file.length = at),
      zeroed: () => void file.content.fill(0, at, Math.min(at + 512, file.length)),
      doubled: () => void (file.content = this.#files.get(other)!.content),
      lost: () => void this.#files.delete(path),
    };
    const way = Object.keys(ways)[random.below(Object.keys(ways).length)]!;
    ways[way]!();
    return `${path} is ${way}`;
  }

  /** Whether there is room and the ballast is whole; makes it whole. */
  hasRoom(): boolean {
    if (this.full) return false;
    this.ballastSteps = ballastSteps;
    this.roomBytes = 0;
    return true;
  }

  find(path: string): SimFile | undefined {
    return this.#files.get(path);
  }

  paths(folder = ""): string[] {
    return [...this.#files.keys()].filter((path) => path.startsWith(folder)).sort();
  }

  /** Put a file at a path, or nothing. */
  put(path: string, file: SimFile | undefined, atMs: number): void {
    const before = this.#files.get(path);
    const set = (value: SimFile | undefined): void => void (value ? this.#files.set(path, value) : this.#files.delete(path));
    set(file);
    this.#renamed.push({ atMs, undo: () => set(before), at: 0, bytes: 0 });
  }

  syncNames(): void {
    this.#renamed = [];
  }

  /** Everything of an armor is gone for ever. */
  removeFolder(folder: string): void {
    for (const path of this.paths(folder)) this.#files.delete(path);
    this.#renamed = [];
  }

  /** What was not synced may be gone. */
  losePower(nowMs: number): void {
    this.#renamed = this.#takeBack(this.#renamed, nowMs);
    for (const file of this.#files.values()) file.unsynced = this.#takeBack(file.unsynced, nowMs);
  }

  #takeBack(all: readonly Unsynced[], nowMs: number): [] {
    const recent = all.filter(({ atMs, dropped }) => dropped === true || nowMs - atMs <= writebackMs);
    const dropped = recent.findIndex((one) => one.dropped);
    const kept = Math.min(this.random.below(recent.length + 1), dropped < 0 ? recent.length : dropped);
    const lost = recent.slice(kept);
    for (const [index, { undo, bytes }] of [...lost.entries()].reverse()) undo(index === 0 ? this.random.below(bytes + 1) : 0);
    return [];
  }
}

const ballastSteps = 4;
const ballastStepBytes = 64 * 1024;

/** `next`: where a write without a position goes. */
type OpenFile = { readonly file: SimFile; readonly append: boolean; next: number };

class View implements FileSystem {
  readonly #open = new Map<number, OpenFile | "folder">();
  #next = 3;

  constructor(readonly files: SimFiles, readonly process: SimProcess) {}

  get #nowMs(): number {
    return this.process.machine.clock.nowMs;
  }

  openSync(path: string, flags: string | number): number {
    const descriptor = this.#next++;
    if (typeof flags === "number" && (flags & constants.O_DIRECTORY) !== 0) {
      this.#open.set(descriptor, "folder");
      return descriptor;
    }
    let file = this.files.find(path);
    const creates = typeof flags === "string" && flags !== "r+";
    if (file && flags === "ax") throw error("EEXIST");
    if (!file && !creates) throw error("ENOENT");
    if (!file || flags === "w") {
      file = new SimFile();
      if (this.process.effect()) this.files.put(path, file, this.#nowMs);
    }
    this.#open.set(descriptor, { file, append: typeof flags === "number" || flags.startsWith("a"), next: 0 });
    return descriptor;
  }

  closeSync(descriptor: number): void {
    this.#open.delete(descriptor);
  }

  writeSync(descriptor: number, bytes: Uint8Array, offset: number, length: number, position?: number): number {
    const open = this.#file(descriptor);
    const { file, append } = open;
    if (!this.process.effect()) return length;
    const at = append ? file.length : position ?? open.next;
    let size = length;
    if (this.files.full && at + length > file.length) {
      if (this.files.roomBytes === 0) throw error("ENOSPC");
      size = Math.min(size, this.files.roomBytes);
      this.files.roomBytes -= size;
    }
    file.write(bytes.subarray(offset, offset + size), at, this.#nowMs);
    if (position === undefined) open.next = at + size;
    return size;
  }

  ftruncateSync(descriptor: number, length: number): void {
    if (this.process.effect()) this.#file(descriptor).file.cut(length, this.#nowMs);
  }

  fdatasync(descriptor: number, done: (error: NodeJS.ErrnoException | null) => void): void {
    const { file } = this.#file(descriptor);
    const written = new Set(file.unsynced);
    const fails = this.files.failsSync;
    this.files.failsSync = false;
    this.process.clock.after(1 + this.files.random.below(this.files.syncMaxMs), () => {
      if (fails) for (const one of written) one.dropped = true;
      file.unsynced = file.unsynced.filter((one) => one.dropped || !written.has(one));
      this.process.machine.clock.settled = true;
      done(fails ? error("EIO") : null);
    });
  }

  fdatasyncSync(descriptor: number): void {
    if (!this.process.alive) return;
    const { file } = this.#file(descriptor);
    file.unsynced = file.unsynced.filter(({ dropped }) => dropped);
  }

  fsyncSync(descriptor: number): void {
    if (this.#open.get(descriptor) !== "folder") this.fdatasyncSync(descriptor);
    else if (this.process.alive) this.files.syncNames();
  }

  mkdirSync(): void {}

  readdirSync(folder: string): string[] {
    return this.files.paths(`${folder}/`).map((path) => path.slice(folder.length + 1));
  }

  renameSync(from: string, to: string): void {
    if (!this.process.effect()) return;
    this.files.put(to, this.#find(from), this.#nowMs);
    this.files.put(from, undefined, this.#nowMs);
  }

  rmSync(path: string): void {
    if (this.files.find(path) && this.process.effect()) this.files.put(path, undefined, this.#nowMs);
  }

  statSync(path: string): { readonly size: number; isFile(): boolean } {
    return { size: this.#find(path).length, isFile: () => true };
  }

  readFileSync(path: string): Uint8Array {
    return new Uint8Array(this.#find(path).content);
  }

  #find(path: string): SimFile {
    const file = this.files.find(path);
    if (!file) throw error("ENOENT");
    return file;
  }

  #file(descriptor: number): OpenFile {
    const open = this.#open.get(descriptor);
    if (!open || open === "folder") throw error("EBADF");
    return open;
  }
}

function error(code: string): NodeJS.ErrnoException {
  return Object.assign(new Error(code), { code });
}
