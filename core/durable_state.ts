/**
 * Durable state of an armor as commit records change it: the difference between
 * two element states, and its application at restore. What {@link applyRecord}
 * makes of snapshot and records equals what the microkernel held.
 *
 * @module
 */
import { checkpointFormat, type ChannelSnapshot, type CommitRecord, type Continuation, type LaneNumbers, type OutboxEntry, type Snapshot } from "./checkpoint.ts";
import { type Data, type DataRecord, dataEqual } from "./data.ts";
import { CheckpointError } from "./errors.ts";
import { invariant } from "./invariant.ts";
import type { Lane } from "./message.ts";
import type { ArmorId } from "./micro_operation.ts";

/** Top-level properties that differ between two states; one that is `undefined` counts as gone, as it is in CBOR. */
export function difference(before: DataRecord, after: DataRecord): { set: Record<string, Data>; unset: string[] } {
  const set: Record<string, Data> = {};
  for (const key of Object.keys(after)) {
    if (after[key] === undefined) continue;
    if (!Object.hasOwn(before, key) || !dataEqual(before[key], after[key])) set[key] = after[key]!;
  }
  return { set, unset: Object.keys(before).filter((key) => before[key] !== undefined && (after[key] === undefined || !Object.hasOwn(after, key))) };
}

/** One element's state after these records, for what must be known before there is a microkernel; `undefined`: it has none. */
export function elementStateOf(name: string, snapshot: Snapshot, records: readonly CommitRecord[]): DataRecord | undefined {
  let state: { [property: string]: Data } | undefined = snapshot.elements[name] && { ...snapshot.elements[name].state };
  for (const { removed, versions, set, unset } of records) {
    if (removed?.includes(name)) state = undefined;
    if (versions?.[name] !== undefined || set?.[name]) state = { ...state, ...set?.[name] };
    for (const property of unset?.[name] ?? []) delete state?.[property];
  }
  return state;
}

/** Fold records into a snapshot; used once at restore, so it works on copies. */
export class DurableState {
  readonly elements: Map<string, { version: number; state: Record<string, Data> }>;
  readonly continuations: Map<string, Continuation>;
  readonly channels: Map<ArmorId, MutableChannel>;
  commit: number;
  messages: number;
  generation: Snapshot["generation"];

  /** @throws {CheckpointError} `"version"` if the format is not ours. */
  constructor(readonly base: Snapshot) {
    if (base.format !== checkpointFormat) {
      throw new CheckpointError(
        "version",
        `Cannot restore checkpoint of "${base.armor}": format version is ${base.format}, expected ${checkpointFormat}`,
      );
    }
    this.elements = new Map(
      Object.entries(base.elements).map(([name, { version, state }]) => [name, { version, state: { ...state } }]),
    );
    this.continuations = new Map(Object.entries(base.continuations));
    this.channels = new Map(base.channels.map((channel) => [channel.peer, thaw(channel)]));
    this.commit = base.commit;
    this.messages = base.messages;
    this.generation = base.generation;
  }

  /** Apply the next record. */
  apply(record: CommitRecord): void {
    invariant(record.commit === this.commit + 1, `commit ${record.commit} does not follow ${this.commit}`);
    this.commit = record.commit;
    this.generation = record.generation;
    this.messages = record.messages ?? this.messages;
    for (const name of record.removed ?? []) this.elements.delete(name);
    for (const [name, version] of Object.entries(record.versions ?? {})) {
      this.elements.set(name, { version, state: this.elements.get(name)?.state ?? {} });
    }
    for (const [name, properties] of Object.entries(record.set ?? {})) Object.assign(this.#state(name), properties);
    for (const [name, properties] of Object.entries(record.unset ?? {})) {
      const state = this.#state(name);
      for (const property of properties) delete state[property];
    }
    for (const [key, continuation] of Object.entries(record.continuations ?? {})) {
      if (continuation === null) this.continuations.delete(key);
      else this.continuations.set(key, continuation);
    }
    this.#applyChannels(record);
  }

  #state(name: string): Record<string, Data> {
    let element = this.elements.get(name);
    if (!element) this.elements.set(name, element = { version: 0, state: {} });
    return element.state;
  }

  #applyChannels(record: CommitRecord): void {
    for (const channel of record.channels ?? []) this.channels.set(channel.peer, thaw(channel));
    for (const { peer, acked } of record.acked ?? []) {
      const channel = this.#channel(peer, record);
      channel.acked = acked;
      channel.outbox = channel.outbox.filter(({ lane, sequence }) => sequence > acked[lane]);
    }
    for (const { peer, ...entry } of record.sent ?? []) {
      const { lane, sequence } = entry;
      const channel = this.#channel(peer, record);
      invariant(sequence === channel.next[lane], `message ${sequence} to "${peer}" is out of order`);
      channel.next[lane] = sequence + 1;
      channel.outbox.push(entry);
    }
    for (const { peer, lane, sequence } of record.handled ?? []) this.#channel(peer, record).marks[lane] = sequence;
    for (const peer of record.forgotten ?? []) this.channels.delete(peer);
  }

  #channel(peer: ArmorId, record: CommitRecord): MutableChannel {
    const zero = { system: 0, user: 0 };
    let channel = this.channels.get(peer);
    if (!channel) {
      channel = thaw({ peer, numbered: record.generation, marks: zero, next: { system: 1, user: 1 }, acked: zero, outbox: [] });
      this.channels.set(peer, channel);
    }
    return channel;
  }
}

type MutableChannel = Omit<ChannelSnapshot, "marks" | "next" | "acked" | "outbox"> & {
  marks: Record<Lane, number>;
  next: Record<Lane, number>;
  acked: LaneNumbers;
  outbox: OutboxEntry[];
};

function thaw(channel: ChannelSnapshot): MutableChannel {
  return { ...channel, marks: { ...channel.marks }, next: { ...channel.next }, outbox: [...channel.outbox] };
}
