/** Which nodes must have a change before it is acknowledged: those that counted when it was made. */
import { expect, test } from "bun:test";
import { encode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import type { Effects } from "../../core/effects.ts";
import type { KernelEvent } from "../../core/kernel_event.ts";
import { daemonOf } from "../../armors/shapes.ts";
import { acknowledgedStored } from "./checkers/acknowledged_stored.ts";
import { storeOf } from "./store_double.ts";
import type { Handling, Life } from "./checkers/checker.ts";

const version = { epoch: { number: 1, node: "a" }, sequence: 2 };

/**
 * A change is acknowledged when these have stored it.
 *
 * @param left Those that had left when it was made; all are alive when it is answered.
 * @param next Number of the epoch of an FTM that begins with a table that does not have it.
 * @param leftThere Those that had left, by the table with which that FTM begins.
 * @param tried By an FTM before, which did not live to answer; then the next one has what was acknowledged.
 */
function acknowledge(nodes: string, left: string, stored: string, next = 0, tried = false, leftThere = left): number {
  let failures = 0;
  const checker = acknowledgedStored(() => void (failures += 1));
  const registered = new Map([...nodes].map((id) => [id, { id, state: "alive" }]));
  const life = (armor: string, id: string, generation = version.epoch): Life =>
    ({ node: { id, name: id }, store: storeOf(1), kernel: { armor, generation: { epoch: generation.number, node: generation.node }, snapshot: () => ({ commit: 0 }), volatile: () => ({ nodes: registered }) } }) as unknown as Life;
  const step = (of: Life, commit: object): void => checker.stepped!(of, { kind: "tick" } as KernelEvent, { commits: [commit] } as unknown as Effects);
  for (const id of nodes) {
    const daemon = life(daemonOf(id), id);
    checker.made!(daemon);
    if (stored.includes(id)) step(daemon, { commit: 1, set: { table_replica: { version } } });
  }
  const ftm = life("ftm", "a");
  const entries = Object.fromEntries([...nodes].map((id) => [`node:${id}`, { id, left: left.includes(id) }]));
  const before = { epoch: { number: 0, node: "z" }, sequence: 8 };
  // The other one has it in hand still, and goes on with it last.
  for (const made of tried ? [before, version, before] : [version]) checker.handling!(life("ftm", "a", made.epoch), "table.commit", { message: { id: "m" }, payload: {}, state: { version: made, ...entries } } as unknown as Handling);
  const answer = { id: "m", ops: [{ name: "operator.answer" }], payload: { answer: { ok: true } } };
  step(ftm, { commit: 1, sent: [{ body: encode(answer as unknown as Data) }] });
  if (next === 0) return failures;
  const there = Object.fromEntries([...nodes].map((id) => [`node:${id}`, { id, left: leftThere.includes(id) }]));
  const table = { version: { epoch: { number: 1, node: "" }, sequence: 9 }, lineage: tried ? [version] : [], entries: there };
  const begin = { epoch: { number: next, node: "" }, reports: [{ table }] };
  checker.handling!(ftm, "ftm.begin", { message: { id: "n" }, payload: { begin }, state: {} } as unknown as Handling);
  return failures;
}

test("a majority of the members is enough, and less is not", () => {
  expect(acknowledge("abc", "", "ab")).toBe(0);
  expect(acknowledge("abcd", "", "ab")).toBe(1);
  expect(acknowledge("abc", "", "bc")).toBe(1);
});

test("a node that had left counts no more, though it is back when the operator is told", () => {
  expect(acknowledge("abcd", "d", "ab")).toBe(0);
  expect(acknowledge("abcd", "d", "ad")).toBe(1);
});

test("a later FTM begins with what was acknowledged; one of a lower epoch, whose node slept meanwhile, need not", () => {
  expect(acknowledge("abc", "", "ab", 2)).toBe(1);
  expect(acknowledge("abc", "", "ab", 1)).toBe(0);
});

test("of a request that was tried by two FTMs, what the one that answered has made was acknowledged", () => {
  expect(acknowledge("abc", "", "ab", 2, true)).toBe(0);
});

test("an FTM whose table knows of a single other node, but for one that has left, acts alone", () => {
  expect(acknowledge("abc", "", "ab", 2, false, "c")).toBe(0);
});
