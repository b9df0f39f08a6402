/**
 * The disk of one simulated node: the real checkpoint files over simulated ones,
 * and what else its processes leave behind.
 *
 * @module
 */
import type { CheckpointStore, DurabilityClass, Restored } from "../../core/checkpoint_store.ts";
import type { RandomSource } from "../../core/random.ts";
import { openCheckpointFiles } from "../../armors/host/checkpoint_file.ts";
import type { HandStorage } from "../../armors/host/hand_record.ts";
import type { LaunchRecord } from "../../armors/host/launch_record.ts";
import { SimFiles } from "./sim_files.ts";
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

  /** The checkpoints of one armor, for one process. */
  store(armor: string, durability: DurabilityClass, process: SimProcess): CheckpointStore {
    const store = openCheckpointFiles(armor, armor, durability, this.files.ballast, this.files.of(process));
    return {
      restore: () => {
        const restored = store.restore();
        if (process.alive) {
          this.restored.set(armor, restored);
          this.altered.delete(armor);
        }
        return restored;
      },
      append: (records) => store.append(records),
      writeSnapshot: (snapshot) => store.writeSnapshot(snapshot),
      sync: () => {
        process.machine.clock.settled = true;
        return store.sync();
      },
      get logBytes() {
        return store.logBytes;
      },
      close: () => store.close(),
    };
  }

  /** An armor that begins anew, or was removed for ever, leaves nothing behind. */
  forget(armor: string): void {
    this.files.removeFolder(`${armor}/`);
    this.hands.delete(armor);
    this.boots.delete(armor);
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
