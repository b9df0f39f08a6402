/**
 * Where checkpoints live. The core only knows this interface; files, memory and
 * the simulator implement it.
 *
 * @module
 */
import type { CommitRecord, Snapshot } from "./checkpoint.ts";
import type { Generation } from "./generation.ts";

/** What a store could restore. */
export interface Restored {
  readonly snapshot: Snapshot | undefined;
  /** Records after the snapshot, in order, each consecutive in `commit`. */
  readonly records: readonly CommitRecord[];
  /** False: a valid record after damage was found, or the newest files are gone: this is a rewind. */
  readonly complete: boolean;
  /** The newest generation of which something is known to have been written, if all of it is missing. */
  readonly lost?: Generation | undefined;
  /**
   * True: of the last records nobody knows whether they are on the disk. A system that could not write them says so once, and
   * shows them as written from then on. A snapshot is needed before anything is built on them.
   */
  readonly unsynced?: boolean | undefined;
  /** What was damaged, for the event `checkpoint.damaged`; empty when nothing. */
  readonly damage: readonly string[];
}

/** `process`: written, not synced. `disk`: synced before anything leaves. */
export type DurabilityClass = "process" | "disk";

/** One armor's checkpoints. One writer. */
export interface CheckpointStore {
  /** Read the newest readable snapshot and all later records; cut a torn last record. */
  restore(): Restored;
  /** Append records to the log; returns when the operating system has them. */
  append(records: readonly CommitRecord[]): void;
  /** Make everything appended survive a power loss; concurrent calls share one sync. */
  sync(): Promise<void>;
  /** Start a new file generation with this snapshot; the current and the previous are kept. */
  writeSnapshot(snapshot: Snapshot): void;
  /** Bytes in the log since the last snapshot: the host decides when to take the next. */
  readonly logBytes: number;
  close(): void;
}
