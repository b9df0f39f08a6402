/** A node that is told once more to leave while its leaving is stored. */
import { expect, test } from "bun:test";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { applicationTable } from "../../armors/elements/application_table.ts";

const generation = { epoch: 2, node: "a", counter: 0 };
const node = { id: "b", name: "n2", address: "b:1", draining: false, left: false, number: 0 };

/** A table in which these have been registered one after the other. @returns What it says in the end. */
function registered(...changes: readonly object[]): unknown {
  const kernel = new Microkernel({ armor: "ftm", generation, elements: [applicationTable("a")], random: seededRandom(1) });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  for (const change of changes) kernel.step({ kind: "local", op: "node.register", payload: { registration: { ...node, ...change } } }, 1_000);
  return (kernel.state("application_table") as { readonly [key: string]: unknown })["node:b"];
}

test("a node whose leaving is being stored stays out of the nodes that count when it is told again to leave, or is found elsewhere", () => {
  expect(registered({ draining: true }, { left: true }, { draining: true })).toEqual({ ...node, left: true });
  expect(registered({ left: true, replaced: true }, { draining: true, address: "b:2" })).toEqual({ ...node, address: "b:2", left: true, replaced: true });
});

test("a node that has left and returns is a member", () => {
  expect(registered({ left: true }, {})).toEqual(node);
  expect(registered({ left: true }, {}, { draining: true })).toEqual({ ...node, draining: true });
});
