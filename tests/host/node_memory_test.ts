import { describe, expect, test } from "bun:test";
import { type NodeMemory, recall, recallPromise, rememberingStore, untold } from "../../armors/host/node_memory.ts";
import type { Snapshot } from "../../core/checkpoint.ts";
import type { CheckpointStore, Restored } from "../../core/checkpoint_store.ts";
import type { DataRecord } from "../../core/data.ts";

const first = { epoch: 0, node: "n", counter: 0 };
const epoch = (number: number): { number: number; node: string } => ({ number, node: "m" });
const node = { id: "m", name: "m", address: "127.0.0.1:1", draining: false, left: false };
const memory: NodeMemory = { promised: epoch(7), ftm: { epoch: epoch(7), node: "m" }, generation: { ...first, counter: 2 }, nodes: [node] };

function restoredWith(promised: number | undefined, counter = 2, complete = true): Restored {
  if (promised === undefined) return { snapshot: undefined, records: [], complete, damage: complete ? [] : ["no snapshot can be read"] };
  const generation = { ...first, counter };
  const snapshot = { generation, elements: { epoch_promise: { version: 1, state: { promised: epoch(1) } } } } as unknown as Snapshot;
  return { snapshot, records: [{ commit: 2, generation, set: { epoch_promise: { promised: epoch(promised) } } }], complete, damage: [] };
}

describe("what a daemon restored", () => {
  const table: [string, Restored, NodeMemory | undefined, boolean, number][] = [
    ["a first start", restoredWith(undefined), undefined, true, 0],
    ["a restart", restoredWith(7), memory, true, 2],
    ["a restart whose last promise was only in the log", restoredWith(8), memory, true, 2],
    ["without the last promise", restoredWith(6), memory, false, 3],
    ["without any file", restoredWith(undefined), memory, false, 3],
    ["from before an earlier loss", restoredWith(7, 1), memory, false, 3],
    ["damaged, with every promise", restoredWith(7, 2, false), memory, false, 3],
    ["damaged, with nothing remembered", restoredWith(undefined, 0, false), undefined, false, 1],
  ];
  test.each(table)("%s", (_name, restored, remembered, complete, counter) => {
    const found = recall(restored, remembered, first);
    expect({ complete: found.complete, generation: found.generation }).toEqual({ complete, generation: { ...first, counter } });
    // What the files themselves show is told by them.
    if (restored.complete) expect(found.damage.length).toBe(complete ? 0 : 1);
    else expect(found.damage).toEqual(restored.damage);
  });

  test("after a life that ended over damage it is damage still, though that life left files that look whole", () => {
    const { generation } = recall(restoredWith(7, 2, false), memory, first);
    const next = recall(restoredWith(7, generation.counter), untold(memory, generation), first);
    expect(next).toEqual({ complete: false, damage: ["it was damaged, and the life before this one ended before it could say so"], generation: { ...first, counter: 5 } });
  });

  test("has the promise that is remembered before it does anything: what it was about to do may be of an epoch refused since", () => {
    const promisedIn = ({ snapshot, records }: Pick<Restored, "snapshot" | "records">) =>
      records.at(-1)?.set?.["epoch_promise"]?.["promised"] ?? snapshot?.elements["epoch_promise"]?.state["promised"];
    const onlySnapshot = { ...restoredWith(1), records: [] };
    expect([restoredWith(6), onlySnapshot, restoredWith(8), restoredWith(undefined)].map((one) => promisedIn(recallPromise(one, memory)))).toEqual([epoch(7), epoch(7), epoch(8), undefined]);
    expect(promisedIn(recallPromise(restoredWith(6), undefined))).toEqual(epoch(6));
  });
});

describe("the memory", () => {
  /** A store whose syncs end when they are told to, and the order of what happened. */
  function remembering(last?: NodeMemory) {
    const states: { [element: string]: DataRecord } = {
      epoch_promise: { promised: epoch(0), ftm: null },
      table_replica: { version: { epoch: epoch(0), sequence: 0 }, lineage: [] },
    };
    const done: string[] = [];
    const written: NodeMemory[] = [];
    const store: CheckpointStore = {
      restore: () => restoredWith(undefined),
      append: () => {},
      sync: async () => void done.push("synced"),
      writeSnapshot: () => {},
      logBytes: 0,
      close: () => {},
    };
    const kernel = { generation: memory.generation, state: (element: string) => states[element] };
    const kept = rememberingStore(store, () => kernel, last, (next) => {
      done.push("remembered");
      written.push(next);
    });
    return { kept, states, done, written };
  }
  const promise = { promised: memory.promised, ftm: memory.ftm } as unknown as DataRecord;

  test("is written before a sync counts as done, and only when it has changed", async () => {
    const { kept, states, done, written } = remembering();
    await kept.sync();
    expect(done).toEqual(["synced"]);
    states["epoch_promise"] = promise;
    states["table_replica"] = { version: { epoch: epoch(7), sequence: 1 }, lineage: [], "node:m": node };
    await kept.sync().then(() => done.push("released"));
    expect(done).toEqual(["synced", "synced", "remembered", "released"]);
    expect(written).toEqual([memory]);
    states["table_replica"] = { ...states["table_replica"], "app:x": { revision: 1 } };
    await kept.sync();
    expect(written.length).toBe(1);
  });

  test("is what the sync has made safe, not what came while it ran", async () => {
    const { kept, states, written } = remembering();
    states["epoch_promise"] = { promised: epoch(6), ftm: null };
    const synced = kept.sync();
    states["epoch_promise"] = promise;
    await synced;
    expect(written.map(({ promised }) => promised.number)).toEqual([6]);
    await kept.sync();
    expect(written.map(({ promised }) => promised.number)).toEqual([6, 7]);
  });

  test("is not written again after a restart", async () => {
    const { kept, states, written } = remembering(memory);
    states["epoch_promise"] = promise;
    states["table_replica"] = { version: { epoch: epoch(7), sequence: 1 }, lineage: [], "node:m": node };
    await kept.sync();
    expect(written).toEqual([]);
  });

  test("is not written by a daemon that has not recalled its promise yet", async () => {
    const { kept, states, written } = remembering(memory);
    states["epoch_promise"] = { promised: epoch(6), ftm: null };
    await kept.sync();
    expect(written).toEqual([]);
  });

  test("that cannot be written fails the sync: no promise leaves", async () => {
    const store = { sync: async () => {} } as unknown as CheckpointStore;
    const kernel = { generation: first, state: (element: string) => (element === "epoch_promise" ? promise : {}) };
    const kept = rememberingStore(store, () => kernel, undefined, () => {
      throw new Error("the disk is full");
    });
    expect(kept.sync()).rejects.toThrow("the disk is full");
  });
});
