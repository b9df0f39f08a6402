/**
 * A checkpoint store in memory: encoded snapshots and records, complete, so that
 * any earlier state can be restored as well as the newest.
 *
 * @module
 */
import type { ChannelSnapshot, CommitRecord, Snapshot } from "../../core/checkpoint.ts";
import { decode } from "../../core/codec.ts";
import { DurableState } from "../../core/durable_state.ts";
import { canonicalText, encodePlain } from "./plain_data.ts";

/** Snapshots and records of one armor, each with its commit number. */
export class KernelStore {
  #snapshots: { commit: number; bytes: Uint8Array }[] = [];
  #records: { commit: number; bytes: Uint8Array }[] = [];

  /** Snapshot and records folded so far, to compare without reading all again. */
  #folded: DurableState | undefined;

  append(record: CommitRecord): void {
    const bytes = encodePlain(record);
    this.#records.push({ commit: record.commit, bytes });
    this.#folded?.apply(decode(bytes) as CommitRecord);
  }

  writeSnapshot(snapshot: Snapshot): void {
    this.#snapshots.push({ commit: snapshot.commit, bytes: encodePlain(snapshot) });
  }

  /** Nothing was written yet. */
  get empty(): boolean {
    return this.#snapshots.length === 0;
  }

  /** Number of the newest commit kept. */
  get commit(): number {
    return Math.max(this.#records.at(-1)?.commit ?? 0, this.#snapshots.at(-1)?.commit ?? 0);
  }

  /** Oldest commit that can be restored. */
  get oldest(): number {
    return this.#snapshots[0]!.commit;
  }

  /** Forget everything after `commit`: an older copy, or a lost tail. */
  loseAfter(commit: number): void {
    this.#folded = undefined;
    this.#snapshots = this.#snapshots.filter((kept) => kept.commit <= commit);
    this.#records = this.#records.filter((kept) => kept.commit <= commit);
  }

  /** Newest snapshot and the records after it, decoded anew. */
  restore(): { snapshot: Snapshot; records: CommitRecord[] } {
    // The snapshot may hold more than the records before it: acknowledgements.
    this.#folded = undefined;
    return this.#read();
  }

  #read(): { snapshot: Snapshot; records: CommitRecord[] } {
    const snapshot = this.#snapshots.at(-1)!;
    return {
      snapshot: decode(snapshot.bytes) as Snapshot,
      records: this.#records.filter(({ commit }) => commit > snapshot.commit).map(({ bytes }) => decode(bytes) as CommitRecord),
    };
  }

  /** What a restore gives, folded; `undefined`: nothing was written yet. */
  get folded(): DurableState | undefined {
    return this.empty ? undefined : this.#fold();
  }

  /** What a restore would give, in the form of {@link comparable}. */
  restorable(): string {
    const state = (this.#folded ??= this.#fold());
    return comparable({
      ...state.base,
      generation: state.generation,
      commit: state.commit,
      elements: Object.fromEntries(state.elements),
      continuations: Object.fromEntries(state.continuations),
      channels: [...state.channels.values()],
    });
  }

  #fold(): DurableState {
    const { snapshot, records } = this.#read();
    const state = new DurableState(snapshot);
    for (const record of records) state.apply(record);
    return state;
  }
}

/**
 * The durable state as one text. The counter of message ids is left out (a thread
 * that changed nothing takes a number and leaves no record), and channels that say nothing.
 */
export function comparable({ elements, continuations, channels, commit, generation }: Snapshot): string {
  const said = channels.filter(saysSomething).map((channel) => [channel.peer, { ...channel, outbox: byLane(channel) }] as const);
  return canonicalText({ commit, generation, elements, continuations, channels: Object.fromEntries(said) });
}

function saysSomething({ inbound, outbound, marks, next }: ChannelSnapshot): boolean {
  return Boolean(inbound ?? outbound) || marks.system + marks.user > 0 || next.system + next.user > 2;
}

function byLane({ outbox }: ChannelSnapshot): unknown {
  return { system: outbox.filter(({ lane }) => lane === "system"), user: outbox.filter(({ lane }) => lane === "user") };
}
