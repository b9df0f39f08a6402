/**
 * The disk of one simulated node: the real checkpoint files over simulated ones,
 * and what else its processes leave behind.
 *
 * @module
 */
import type { CommitRecord, Snapshot } from "../../core/checkpoint.ts";
import type { CheckpointStore, DurabilityClass, Restored } from "../../core/checkpoint_store.ts";
import type { RandomSource } from "../../core/random.ts";
import { openCheckpointFiles } from "../../armors/host/checkpoint_file.ts";
import type { HandStorage } from "../../armors/host/hand_record.ts";
import type { LaunchRecord } from "../../armors/host/launch_record.ts";
import { type SimFile, SimFiles } from "./sim_files.ts";
import type { SimProcess } from "./sim_processes.ts";

/** A launch record younger than this may not have reached the disk. */
const writebackMs = 5_000;

/** Files of one node. */
export class SimDisk {
  readonly files: SimFiles;
  readonly hands = new Map<string, Uint8Array>();
  /** In which boot each armor ran last. */
  readonly boots = new Map<string, string>();
  readonly launches = new Map<string, Map<number, { record: LaunchRecord; atMs: number }>>();
  /** Origins of kept events. */
  readonly events = new Map<string, unknown>();
  /** What the newest life of each armor found. */
  readonly restored = new Map<string, Restored>();
  /** Armors whose files were altered since then. */
  readonly altered = new Set<string>();

  constructor(readonly random: RandomSource) {
    this.files = new SimFiles(random);
  }

  /** Milliseconds one sync takes, at most. */
  get syncMaxMs(): number {
    return this.files.syncMaxMs;
  }

  set syncMaxMs(milliseconds: number) {
    this.files.syncMaxMs = milliseconds;
  }

  /** What an armor leaves for its next life. */
  hand(armor: string, process: SimProcess): HandStorage {
    return {
      read: () => this.hands.get(armor),
      write: (bytes) => void (process.alive && this.hands.set(armor, bytes)),
      remove: () => void (process.alive && this.hands.delete(armor)),
    };
  }

  /** Epoch number of the last event kept. */
  get lastEpoch(): number {
    return Math.floor(Math.max(0, ...[...this.events.values()].map((event) => Number((event as { seq?: number }).seq ?? 0))) / 2 ** 32);
  }

  /** Remove everything of armors, and the events. */
  forgetArmors(): void {
    this.files.removeFolder("");
    for (const kept of [this.hands, this.boots, this.events]) kept.clear();
  }

  /** The checkpoints of one armor, for one process. */
  store(armor: string, durability: DurabilityClass, process: SimProcess): SimStore {
    return new SimStore(this, armor, durability, process);
  }

  /** An armor that begins anew, or was removed for ever, leaves nothing behind. */
  forget(armor: string): void {
    this.files.removeFolder(`${armor}/`);
    this.hands.delete(armor);
    this.boots.delete(armor);
  }

  /** Armors that have checkpoints here. */
  get armors(): string[] {
    return [...new Set(this.files.paths().map((path) => path.slice(0, path.indexOf("/"))))];
  }

  /** A file of an armor's checkpoints is damaged. @returns Which, and how. */
  rot(armor: string): string {
    this.altered.add(armor);
    return this.files.rot(`${armor}/`);
  }

  /** What was not synced may be gone. */
  losePower(nowMs: number): void {
    this.files.losePower(nowMs);
    for (const records of this.launches.values()) {
      for (const [number, { atMs }] of records) {
        if (nowMs - atMs <= writebackMs && this.random.below(4) === 0) records.delete(number);
      }
    }
  }

  /** Launch records of an instance. */
  launchesOf(instance: string): Map<number, { record: LaunchRecord; atMs: number }> {
    let records = this.launches.get(instance);
    if (!records) this.launches.set(instance, records = new Map());
    return records;
  }
}

/** A commit, and the last of the writes that brought it to a file. */
type Written = { readonly commit: number; readonly file: SimFile | undefined; readonly write: unknown };

/** The real checkpoint files of one armor, which also tell what they hold and what of it is safe. */
export class SimStore implements CheckpointStore {
  readonly #store: CheckpointStore;
  /** What is not known to be safe, oldest first. */
  #written: Written[] = [];
  #reached = 0;
  /** The last commit that was taken, safe or not. */
  taken = 0;

  constructor(readonly disk: SimDisk, readonly armor: string, readonly durability: DurabilityClass, readonly process: SimProcess) {
    this.#store = openCheckpointFiles(armor, armor, durability, disk.files.ballast, disk.files.of(process));
  }

  get logBytes(): number {
    return this.#store.logBytes;
  }

  /** The last commit that has reached the armor's durability class. */
  get reached(): number {
    if (this.durability === "process") return this.#written.at(-1)?.commit ?? 0;
    while (this.#written[0] && !this.#written[0].file?.unsynced.includes(this.#written[0].write as never)) this.#reached = this.#written.shift()!.commit;
    return this.#reached;
  }

  restore(): Restored {
    const restored = this.#store.restore();
    if (this.process.alive) {
      this.disk.restored.set(this.armor, restored);
      this.disk.altered.delete(this.armor);
    }
    // A log without records begins with what the snapshot before it holds.
    const last = restored.records.at(-1);
    this.#note((last ?? restored.snapshot)?.commit ?? 0, last ? ".cborseq" : ".cbor");
    return restored;
  }

  append(records: readonly CommitRecord[]): void {
    this.#store.append(records);
    this.#note(records.at(-1)?.commit ?? 0, ".cborseq");
  }

  writeSnapshot(snapshot: Snapshot): void {
    this.#store.writeSnapshot(snapshot);
    // It holds all that was written before it, also what is in a log that is synced no more.
    this.#written = [];
    this.#note(snapshot.commit, ".cbor");
  }

  sync(): Promise<void> {
    this.process.machine.clock.settled = true;
    return this.#store.sync();
  }

  close(): void {
    this.#store.close();
  }

  #note(commit: number, ending: string): void {
    this.taken = commit;
    const path = this.disk.files.paths(`${this.armor}/`).findLast((one) => one.endsWith(ending));
    const file = path === undefined ? undefined : this.disk.files.find(path);
    // What was cut off again behind the last commit is no part of it.
    this.#written.push({ commit, file, write: file?.unsynced.findLast(({ at }) => at < file.length) });
    if (this.durability === "process") this.#written = this.#written.slice(-1);
  }
}
