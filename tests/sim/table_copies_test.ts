/** Which version of the table the checkers take for stored. */
import { expect, test } from "bun:test";
import { daemonOf } from "../../armors/shapes.ts";
import type { Effects } from "../../core/effects.ts";
import type { Life } from "./checkers/checker.ts";
import { TableCopies } from "./checkers/table_copies.ts";

const version = { epoch: { number: 1, node: "a" }, sequence: 9 };

/** A life of the daemon of node `a`, which goes on from a commit. */
function daemon(restored: number, reached: number, alive = true): Life {
  return { node: { id: "a", name: "a" }, store: { reached, process: { alive } }, kernel: { armor: daemonOf("a"), snapshot: () => ({ commit: restored }) } } as unknown as Life;
}

/** @returns Whether the version is held stored after it was written in a life that has `reached` a commit. */
function stored(reached: number, alive = true, next?: Life): boolean {
  const copies = new TableCopies();
  const life = daemon(0, reached, alive);
  copies.made(life);
  copies.stepped(life, { commits: [{ commit: 1, set: { table_replica: { version } } }] } as unknown as Effects);
  if (next) copies.made(next);
  return copies.reached("a", version);
}

test("what is synced is stored, and what is only written is not", () => {
  expect([stored(1), stored(0)]).toEqual([true, false]);
});

test("what was synced and has rotted away since was stored all the same", () => {
  expect([stored(1, true, daemon(0, 0)), stored(0, true, daemon(0, 0))]).toEqual([true, false]);
});

test("of a node without power nothing is unsynced: that says nothing", () => {
  expect(stored(1, false)).toBe(false);
});
