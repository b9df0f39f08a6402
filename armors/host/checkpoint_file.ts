/**
 * Checkpoints as files: `NNNNNNNN.cbor` is a snapshot, `NNNNNNNN.cborseq` the log
 * of commits after it. The current and the previous readable snapshot are kept
 * with their logs, so that a damaged snapshot costs nothing.
 *
 * @module
 */
import { constants, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { checkpointFormat, type CommitRecord, type Snapshot } from "../../core/checkpoint.ts";
import type { CheckpointStore, DurabilityClass, Restored } from "../../core/checkpoint_store.ts";
import { encode } from "../../core/codec.ts";
import { CheckpointError } from "../../core/errors.ts";
import { compareGenerations, type Generation } from "../../core/generation.ts";
import { invariant } from "../../core/invariant.ts";
import type { ArmorId } from "../../core/micro_operation.ts";
import { type Ballast, isDiskFull } from "./ballast.ts";
import type { LogEnd, LogHeader } from "./checkpoint_content.ts";
import { listCheckpoints, logName, type ReadCheckpoints, readCheckpoints, snapshotName } from "./checkpoint_restore.ts";
import { type FileSystem, systemFiles } from "./file_system.ts";
import { missingSince, ReachedMark } from "./reached_mark.ts";
import { frameRecord } from "./record_frame.ts";

/**
 * Open an armor's checkpoints in a folder, made if needed. Call `restore()`
 * first; the first record needs a snapshot before it.
 *
 * @param durability `disk` syncs snapshots before older files go; records are synced by `sync()`.
 * @param ballast Gives way when the disk is full.
 * @param files Where the folder is. Default: the machine's.
 * @throws {CheckpointError} `"write_failed"` if the folder cannot be made.
 */
export function openCheckpointFiles(
  folder: string,
  armor: ArmorId,
  durability: DurabilityClass,
  ballast?: Pick<Ballast, "relieve">,
  files: FileSystem = systemFiles,
): CheckpointStore {
  return new CheckpointFiles(folder, armor, durability, ballast, files);
}

/** Put an armor's checkpoints aside, in place of those put aside before: it begins anew, and they can still be looked at. */
export function setAside(folder: string): void {
  const aside = join(folder, "before-reset");
  rmSync(aside, { recursive: true, force: true });
  mkdirSync(aside, { recursive: true, mode: 0o700 });
  for (const name of readdirSync(folder)) {
    if (/^\d{8}\.cbor(seq)?$/.test(name) || name === "hand" || name === "reached") renameSync(join(folder, name), join(aside, name));
  }
}

/** The log being written. */
interface OpenLog {
  readonly descriptor: number;
  readonly number: number;
  bytes: number;
}

class CheckpointFiles implements CheckpointStore {
  #log: OpenLog | undefined;
  /** Highest file number in use. */
  #last = 0;
  /** Number of the last snapshot known to be readable; older files may go when a newer one is. */
  #good = 0;
  #commit = 0;
  #generation: Generation | undefined;
  #logBytes = 0;
  readonly #mark: ReachedMark;
  /** Why nothing may be appended until the next snapshot. */
  #blocked: CheckpointError | undefined;
  /** Something was appended since the last sync began. */
  #dirty = false;
  #syncing: Promise<void> | undefined;
  #nextSync: Promise<void> | undefined;

  constructor(
    readonly folder: string,
    readonly armor: ArmorId,
    readonly durability: DurabilityClass,
    readonly ballast: Pick<Ballast, "relieve"> | undefined,
    readonly files: FileSystem,
  ) {
    wrap(`Cannot make folder ${JSON.stringify(folder)}`, () => this.#relieved(() => files.mkdirSync(folder, { recursive: true, mode: 0o700 })));
    this.#mark = new ReachedMark(join(folder, "reached"), files);
  }

  get logBytes(): number {
    return this.#logBytes;
  }

  restore(): Restored {
    this.close();
    for (const name of listCheckpoints(this.folder, this.files).temporary) this.files.rmSync(join(this.folder, name), { force: true });
    const read = readCheckpoints(this.folder, this.armor, this.files);
    this.#last = read.last;
    this.#good = read.base;
    this.#logBytes = read.logBytes;
    this.#blocked = undefined;
    const reached = read.records.at(-1) ?? read.snapshot;
    this.#commit = reached?.commit ?? 0;
    this.#generation = reached?.generation;
    const mark = this.#mark.read();
    const missing = missingSince(reached, mark);
    const lost = mark && (!reached || compareGenerations(mark.generation, reached.generation) > 0) ? mark.generation : undefined;
    const complete = read.complete && !missing;
    // The process before ended between write and sync, or because a sync failed: the next one would succeed and write nothing.
    const unsynced = (this.durability === "disk" && complete && reached && mark?.commit !== reached.commit) || undefined;
    if (complete && read.snapshot !== undefined) {
      this.#continueLog(read, read.snapshot, unsynced);
      if (unsynced) this.#block("damaged", "its last records may not be on the disk and a snapshot is needed first");
      // Else a log that is cut before the next commit would look whole.
      else if (reached && !mark) this.#mark.write({ commit: reached.commit, generation: reached.generation });
    } else if (!complete) {
      // What is missing must stay visible until a snapshot has made a new beginning.
      this.#block("damaged", "it is damaged and a snapshot is needed first");
    }
    const { snapshot, records, damage } = read;
    // Damage that was found says it already.
    const cut = missing && read.complete ? [reached ? `it ends at commit ${this.#commit}: ${missing}` : "its files are missing"] : [];
    return { snapshot, records, complete, lost, unsynced, damage: [...damage, ...cut] };
  }

  #block(code: CheckpointError["code"], why: string, cause?: unknown): void {
    this.#blocked = new CheckpointError(code, `Cannot append to checkpoint of "${this.armor}": ${why}`, { cause });
  }

  /** Cut what a crash left half written, and go on behind the last record. */
  #continueLog(read: ReadCheckpoints, snapshot: Snapshot, unsynced = false): void {
    const path = join(this.folder, logName(read.last));
    wrap(`Cannot open checkpoint log ${JSON.stringify(path)}`, () => {
      const descriptor = this.files.openSync(path, constants.O_RDWR | constants.O_APPEND);
      const log = { descriptor, number: read.last, bytes: read.lastIsBare ? 0 : read.lastLog?.length ?? 0 };
      this.#log = log;
      this.files.ftruncateSync(descriptor, log.bytes);
      if (read.lastIsBare) {
        const generation = read.records.at(-1)?.generation ?? snapshot.generation;
        this.#write(log, this.#header(read.last, this.#commit, generation));
      }
      // As the way back, should the next snapshot be damaged; good in all cases but that of a sync that failed.
      if (unsynced) this.files.fdatasyncSync(descriptor);
    });
  }

  append(records: readonly CommitRecord[]): void {
    if (records.length === 0) return;
    if (this.#blocked !== undefined) throw this.#blocked;
    const log = this.#log;
    invariant(log !== undefined, "a snapshot comes before the first record");
    const frames = records.map((record, index) => {
      invariant(record.commit === this.#commit + index + 1, `commit ${record.commit} follows ${this.#commit + index}`);
      return frameRecord(encode(record));
    });
    wrap(`Cannot append to checkpoint of "${this.armor}"`, () => this.#write(log, frames.length === 1 ? frames[0] as Uint8Array : Buffer.concat(frames)));
    this.#commit += records.length;
    this.#generation = records.at(-1)!.generation;
    if (this.durability === "process") this.#markReached();
  }

  #markReached(): void {
    if (this.#generation) this.#mark.write({ commit: this.#commit, generation: this.#generation });
  }

  #relieved<T>(run: () => T): T {
    return this.ballast ? this.ballast.relieve(run) : run();
  }

  #write(log: OpenLog, bytes: Uint8Array): void {
    this.#relieved(() => this.#writeWhole(log, bytes));
  }

  /** All or nothing: what a full disk took in part is cut off again. */
  #writeWhole(log: OpenLog, bytes: Uint8Array): void {
    try {
      writeAll(this.files, log.descriptor, bytes);
    } catch (error) {
      try {
        this.files.ftruncateSync(log.descriptor, log.bytes);
      } catch (cause) {
        this.#block("write_failed", "its log ends in half a record", cause);
      }
      throw error;
    }
    log.bytes += bytes.length;
    this.#logBytes += bytes.length;
    this.#dirty = true;
  }

  sync(): Promise<void> {
    if (!this.#dirty) return this.#syncing ?? Promise.resolve();
    // One sync at a time: whoever comes while one runs shares the next.
    this.#nextSync ??= this.#afterSync().then(() => {
      this.#nextSync = undefined;
      this.#syncing = this.#syncNow().finally(() => (this.#syncing = undefined));
      return this.#syncing;
    });
    return this.#nextSync;
  }

  async #afterSync(): Promise<void> {
    await this.#syncing?.catch(() => {}); // its failure is told to those who waited for it
  }

  #syncNow(): Promise<void> {
    const log = this.#log;
    if (log === undefined) return Promise.resolve();
    this.#dirty = false;
    const reached = this.#generation && { commit: this.#commit, generation: this.#generation };
    return new Promise((resolve, reject) => {
      this.files.fdatasync(log.descriptor, (cause) => {
        if (cause === null || cause === undefined) {
          // A snapshot may have gone further meanwhile.
          if (reached && this.#log === log) this.#mark.write(reached);
          return resolve();
        }
        // The kernel may have dropped what it could not write; no later success may hide that.
        this.#blocked = new CheckpointError("write_failed", `Cannot sync checkpoint of "${this.armor}": ${cause.code}`, { cause });
        reject(this.#blocked);
      });
    });
  }

  writeSnapshot(snapshot: Snapshot): void {
    invariant(snapshot.armor === this.armor, `a snapshot of "${snapshot.armor}" is not one of "${this.armor}"`);
    const number = this.#last + 1;
    const path = join(this.folder, snapshotName(number));
    const log = wrap(`Cannot write snapshot ${JSON.stringify(path)}`, () => this.#relieved(() => {
      try {
        return this.#writeGeneration(number, path, snapshot);
      } catch (error) {
        for (const left of [`${path}.tmp`, join(this.folder, logName(number)), path]) this.files.rmSync(left, { force: true });
        throw error;
      }
    }));
    this.#endLog(number);
    this.#log = log;
    this.#last = number;
    this.#commit = snapshot.commit;
    this.#generation = snapshot.generation;
    this.#markReached();
    this.#logBytes = 0;
    this.#blocked = undefined;
    this.#dirty = false;
    this.#removeBefore(this.#good);
    this.#good = number;
  }

  /** Leave word in the old log that it is not the newest. */
  #endLog(next: number): void {
    try {
      if (this.#log !== undefined) writeAll(this.files, this.#log.descriptor, frameRecord(encode({ next } satisfies LogEnd)));
    } catch {
      // a full disk: the new files stand for themselves
    }
    this.#closeLog();
  }

  /** The log first: a snapshot without its log has lost it. */
  #writeGeneration(number: number, path: string, snapshot: Snapshot): OpenLog {
    const toDisk = this.durability === "disk";
    const log = { descriptor: this.files.openSync(join(this.folder, logName(number)), "ax", 0o600), number, bytes: 0 };
    try {
      const header = this.#header(number, snapshot.commit, snapshot.generation);
      writeAll(this.files, log.descriptor, header);
      log.bytes = header.length;
      if (toDisk) {
        this.files.fdatasyncSync(log.descriptor);
        if (this.#log !== undefined && this.#dirty) this.files.fdatasyncSync(this.#log.descriptor);
      }
      const temporary = this.files.openSync(`${path}.tmp`, "w", 0o600);
      try {
        writeAll(this.files, temporary, frameRecord(encode(snapshot)));
        if (toDisk) this.files.fsyncSync(temporary);
      } finally {
        this.files.closeSync(temporary);
      }
      this.files.renameSync(`${path}.tmp`, path);
      if (toDisk) syncFolder(this.files, this.folder);
      return log;
    } catch (error) {
      this.files.closeSync(log.descriptor);
      throw error;
    }
  }

  #header(log: number, after: number, generation: Generation): Uint8Array {
    return frameRecord(encode({ format: checkpointFormat, armor: this.armor, log, after, generation } satisfies LogHeader));
  }

  #removeBefore(number: number): void {
    const { snapshots, logs } = listCheckpoints(this.folder, this.files);
    const old = [...snapshots.filter((n) => n < number).map(snapshotName), ...logs.filter((n) => n < number).map(logName)];
    try {
      for (const name of old) this.files.rmSync(join(this.folder, name), { force: true });
    } catch {
      // the next snapshot tries again
    }
  }

  /** A sync may still run on it. */
  #closeLog(): void {
    const log = this.#log;
    this.#log = undefined;
    if (log === undefined) return;
    if (this.#syncing === undefined) this.files.closeSync(log.descriptor);
    else this.#syncing.catch(() => {}).then(() => this.files.closeSync(log.descriptor));
  }

  close(): void {
    // Whoever waits for a sync that has not begun is told the truth.
    if (this.#log !== undefined && this.#nextSync !== undefined && this.#dirty) {
      this.files.fdatasyncSync(this.#log.descriptor);
      this.#dirty = false;
    }
    this.#closeLog();
    this.#mark.close();
  }
}

function writeAll(files: FileSystem, descriptor: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length;) at += files.writeSync(descriptor, bytes, at, bytes.length - at);
}

function syncFolder(files: FileSystem, folder: string): void {
  const descriptor = files.openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    files.fsyncSync(descriptor);
  } finally {
    files.closeSync(descriptor);
  }
}

/** Turn a system error into a CheckpointError. */
function wrap<T>(action: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === undefined || cause instanceof CheckpointError) throw cause;
    const full = isDiskFull(cause);
    throw new CheckpointError(full ? "disk_full" : "write_failed", `${action}: ${full ? "the disk is full" : code}`, { cause });
  }
}
