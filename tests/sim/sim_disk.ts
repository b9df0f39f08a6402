/**
 * The disk of one simulated node. What is appended survives every crash of
 * processes; a power loss cuts an unsynced tail at any place.
 *
 * @module
 */
import type { CommitRecord, Snapshot } from "../../core/checkpoint.ts";
import type { CheckpointStore, DurabilityClass, Restored } from "../../core/checkpoint_store.ts";
import { decode, encode } from "../../core/codec.ts";
import type { RandomSource } from "../../core/random.ts";
import type { HandStorage } from "../../armors/host/hand_record.ts";
import type { LaunchRecord } from "../../armors/host/launch_record.ts";
import type { SimProcess } from "./sim_processes.ts";

/** Written longer ago than this it has reached the disk by itself. */
const writebackMs = 5_000;

type Item = { readonly kind: "snapshot" | "record"; readonly commit: number; readonly bytes: Uint8Array; readonly atMs: number; synced: boolean };

/** Files of one node. */
export class SimDisk {
  /** Milliseconds one sync takes, at most. */
  syncMaxMs = 4;
  readonly armors = new Map<string, Item[]>();
  readonly hands = new Map<string, Uint8Array>();
  /** In which boot each armor ran last. */
  readonly boots = new Map<string, string>();
  readonly launches = new Map<string, Map<number, { record: LaunchRecord; atMs: number }>>();
  /** Origins of kept events. */
  readonly events = new Map<string, unknown>();

  constructor(readonly random: RandomSource) {}

  /** What an armor leaves for its next life. */
  hand(armor: string, process: SimProcess): HandStorage {
    return {
      read: () => this.hands.get(armor),
      write: (bytes) => void (process.alive && this.hands.set(armor, bytes)),
      remove: () => void (process.alive && this.hands.delete(armor)),
    };
  }

  /** The checkpoints of one armor, for one process. */
  store(armor: string, durability: DurabilityClass, process: SimProcess): SimStore {
    return new SimStore(this, armor, durability, process);
  }

  /** What was not synced may be gone. */
  losePower(nowMs: number): void {
    for (const [armor, items] of this.armors) {
      const safe = items.findLastIndex(({ synced, atMs }) => synced || nowMs - atMs > writebackMs) + 1;
      const kept = safe + this.random.below(items.length - safe + 1);
      this.armors.set(armor, items.slice(0, kept).map((item) => ({ ...item, synced: true })));
    }
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

/** As the files of `checkpoint_file.ts`. */
export class SimStore implements CheckpointStore {
  logBytes = 0;
  #syncing: Promise<void> | undefined;
  #next: Promise<void> | undefined;
  #dirty = false;

  constructor(readonly disk: SimDisk, readonly armor: string, readonly durability: DurabilityClass, readonly process: SimProcess) {}

  get #items(): Item[] {
    let items = this.disk.armors.get(this.armor);
    if (!items) this.disk.armors.set(this.armor, items = []);
    return items;
  }

  restore(): Restored {
    const items = this.#items;
    const at = items.findLastIndex(({ kind }) => kind === "snapshot");
    const snapshot = at < 0 ? undefined : (decode(items[at]!.bytes) as Snapshot);
    const records = items.slice(at + 1).map(({ bytes }) => decode(bytes) as CommitRecord);
    return { snapshot, records: at < 0 ? [] : records, complete: true, damage: [] };
  }

  append(records: readonly CommitRecord[]): void {
    for (const record of records) {
      if (!this.process.effect()) return;
      const last = this.#items.at(-1);
      if (!last || record.commit !== last.commit + 1) throw new Error(`commit ${record.commit} of "${this.armor}" follows ${last?.commit}`);
      const bytes = encode(record);
      this.#items.push({ kind: "record", commit: record.commit, bytes, atMs: this.process.machine.clock.nowMs, synced: false });
      this.logBytes += bytes.length;
      this.#dirty = true;
    }
  }

  writeSnapshot(snapshot: Snapshot): void {
    if (!this.process.effect()) return;
    const items = this.#items;
    const synced = this.durability === "disk";
    if (synced) for (const item of items) item.synced = true;
    items.push({ kind: "snapshot", commit: snapshot.commit, bytes: encode(snapshot), atMs: this.process.machine.clock.nowMs, synced });
    // The current and the previous generation.
    const snapshots = items.filter(({ kind }) => kind === "snapshot");
    if (snapshots.length > 2) items.splice(0, items.indexOf(snapshots.at(-2)!));
    this.logBytes = 0;
    this.#dirty = false;
  }

  sync(): Promise<void> {
    if (!this.#dirty) return this.#syncing ?? this.process.later(0, () => {});
    this.#next ??= (this.#syncing ?? Promise.resolve()).then(() => {
      this.#next = undefined;
      return (this.#syncing = this.#syncNow());
    });
    this.process.machine.clock.settled = true;
    return this.#next;
  }

  #syncNow(): Promise<void> {
    this.#dirty = false;
    const items = [...this.#items];
    return this.process.later(1 + this.disk.random.below(this.disk.syncMaxMs), () => {
      for (const item of items) item.synced = true;
      this.#syncing = undefined;
    });
  }

  close(): void {}
}
