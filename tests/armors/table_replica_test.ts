import { expect, test } from "bun:test";
import type { Data } from "../../core/data.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { tableReplica } from "../../armors/elements/table_replica.ts";

test("a snapshot follows each change of who is registered, and no other change", () => {
  const kernel = new Microkernel({ armor: "daemon@a", generation: { epoch: 1, node: "a", counter: 0 }, elements: [tableReplica()], random: seededRandom(1) });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  const web = (revision: number) => ({ application: { name: "web", kind: "service", instances: 1 }, desired: "running", revision });
  const at = (sequence: number) => ({ epoch: { number: 1, node: "a" }, sequence });
  /** @returns Whether a snapshot is wanted. */
  const store = (sequence: number, set: Record<string, Data>, unset: string[] = []): boolean => {
    const base = sequence === 1 ? null : at(sequence - 1);
    const { commands } = kernel.step({ kind: "local", op: "table.store", payload: { store: { version: at(sequence), base, lineage: [], set, unset } } as unknown as Record<string, Data> }, 1_000);
    expect((kernel.state("table_replica") as { version: { sequence: number } }).version.sequence).toBe(sequence);
    return commands.some(({ kind }) => kind === "checkpoint.snapshot");
  };
  expect(store(1, { "node:a": { id: "a" }, "app:web": web(1) })).toBe(true);
  expect(store(2, { "node:b": { id: "b" } })).toBe(true);
  expect(store(3, { "app:web": web(2), "node:b": { id: "b", left: true } })).toBe(false);
  expect(store(4, {}, ["app:web"])).toBe(false);
  expect(store(5, {}, ["node:b"])).toBe(true);
});
