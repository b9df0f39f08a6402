/**
 * Node memory: what a daemon must not forget even if its checkpoint is damaged
 * or deleted, kept a second time in `identity.cbor`. It is written before
 * anything leaves that depends on it; whoever finds that a checkpoint knows less
 * has lost a part of it.
 *
 * @module
 */
import type { Snapshot } from "../../core/checkpoint.ts";
import type { CheckpointStore, Restored } from "../../core/checkpoint_store.ts";
import { type Data, type DataRecord, dataEqual } from "../../core/data.ts";
import { compareEpochs, compareGenerations, type Epoch, epochZero, type Generation } from "../../core/generation.ts";
import type { FtmLocation } from "../elements/epoch_promise.ts";
import type { NodeRegistration } from "../shapes.ts";

/** What is remembered. */
export type NodeMemory = {
  /** No FTM of a lower epoch is obeyed. */
  readonly promised: Epoch;
  readonly ftm: FtmLocation | null;
  /** Of the daemon's state: the next one after a loss is above it. */
  readonly generation: Generation;
  /** The registered nodes: without them a node would take itself for the whole cluster. */
  readonly nodes: readonly NodeRegistration[];
};

/** The states of elements, as far as they are remembered. */
export interface DaemonState {
  readonly generation: Generation;
  state(element: string): DataRecord | undefined;
}

/** Collect it from a daemon's microkernel. */
export function memoryOf(kernel: DaemonState): NodeMemory {
  const { promised = epochZero, ftm = null } = (kernel.state("epoch_promise") ?? {}) as unknown as Partial<NodeMemory>;
  return { promised, ftm, generation: kernel.generation, nodes: nodesOf(kernel) };
}

/** Nodes in a daemon's copy of the table. */
export function nodesOf(kernel: DaemonState): NodeRegistration[] {
  const table = Object.entries(kernel.state("table_replica") ?? {});
  return table.filter(([key]) => key.startsWith("node:")).map(([, node]) => node as unknown as NodeRegistration);
}

/**
 * A store that writes the memory down, when it has changed, before a sync counts as done.
 *
 * @param last What is written down already.
 * @param write Durably; what it throws fails the sync.
 */
export function rememberingStore(
  store: CheckpointStore,
  kernel: () => DaemonState,
  last: NodeMemory | undefined,
  write: (memory: NodeMemory) => void,
): CheckpointStore {
  const states = (): readonly unknown[] => [kernel().state("epoch_promise"), kernel().state("table_replica")];
  let written: readonly unknown[] = [];
  let memory = last;
  const remember = (now: readonly unknown[], next: NodeMemory): void => {
    // It has not recalled yet what its checkpoint has lost: were it to die before, it would know nothing of it any more.
    if (memory !== undefined && compareEpochs(next.promised, memory.promised) < 0) return;
    const same = memory !== undefined && dataEqual(memory as unknown as Data, next as unknown as Data);
    if (!same && next.promised.number > 0) write(next);
    [written, memory] = [now, next];
  };
  return {
    restore: () => store.restore(),
    append: (records) => store.append(records),
    sync: async () => {
      // As of now: what is appended while it runs may be lost yet, and is not to be missed then.
      const now = states();
      const next = now.every((state, index) => state === written[index]) ? undefined : memoryOf(kernel());
      await store.sync();
      if (next) remember(now, next);
    },
    writeSnapshot: (snapshot) => store.writeSnapshot(snapshot),
    get logBytes() {
      return store.logBytes;
    },
    close: () => store.close(),
  };
}

/**
 * Compare what was restored with what is remembered.
 *
 * @returns `generation` is the one to go on under: the saved one, or one above everything that is known after a loss.
 */
export function recall(
  { snapshot, records, complete, damage }: Restored,
  memory: NodeMemory | undefined,
  first: Generation,
): { readonly complete: boolean; readonly damage: readonly string[]; readonly generation: Generation } {
  const saved = records.at(-1)?.generation ?? snapshot?.generation ?? first;
  const known = promisedIn(snapshot, records);
  const missing = memory !== undefined && (compareEpochs(memory.promised, known) > 0 || compareGenerations(memory.generation, saved) > 0);
  if (complete && !missing) return { complete, damage, generation: saved };
  const newest = memory !== undefined && compareGenerations(memory.generation, saved) > 0 ? memory.generation : saved;
  const cause = snapshot === undefined
    ? "its files are missing"
    : memory && compareEpochs(memory.promised, known) > 0
      ? `it ends before epoch ${memory.promised.number} was promised`
      : "it was damaged, and the life before this one ended before it could say so";
  return {
    complete: false,
    damage: missing && damage.length === 0 ? [cause] : damage,
    generation: { ...newest, counter: newest.counter + 1 },
  };
}

/**
 * The checkpoint with the promise that is remembered: what the daemon was about to do when it was written is not to be
 * done in an epoch that it has refused since.
 */
export function recallPromise({ snapshot, records }: Restored, memory: NodeMemory | undefined): Pick<Restored, "snapshot" | "records"> {
  if (snapshot === undefined || memory === undefined || compareEpochs(memory.promised, promisedIn(snapshot, records)) <= 0) return { snapshot, records };
  const [element, { promised }] = ["epoch_promise", memory];
  const last = records.at(-1);
  if (last) return { snapshot, records: [...records.slice(0, -1), { ...last, set: { ...last.set, [element]: { ...last.set?.[element], promised } } }] };
  const { version = 1, state = { ftm: null } } = snapshot.elements[element] ?? {};
  return { snapshot: { ...snapshot, elements: { ...snapshot.elements, [element]: { version, state: { ...state, promised } } } }, records };
}

/** What to remember of a loss until it has been told: it shows in the next life too, should this one end before. */
export function untold(memory: NodeMemory, generation: Generation): NodeMemory {
  return { ...memory, generation: { ...generation, counter: generation.counter + 1 } };
}

function promisedIn(snapshot: Snapshot | undefined, records: Restored["records"]): Epoch {
  let promised = snapshot?.elements["epoch_promise"]?.state["promised"];
  for (const { set } of records) promised = set?.["epoch_promise"]?.["promised"] ?? promised;
  return (promised as Epoch | undefined) ?? epochZero;
}
