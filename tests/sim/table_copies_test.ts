/** Which version of the table the checkers take for stored. */
import { expect, test } from "bun:test";
import { daemonOf } from "../../armors/shapes.ts";
import type { Effects } from "../../core/effects.ts";
import type { Life } from "./checkers/checker.ts";
import { TableCopies } from "./checkers/table_copies.ts";
import { storeOf } from "./store_double.ts";

const version = { epoch: { number: 1, node: "a" }, sequence: 9 };

/** A life of the daemon of node `a`, which goes on from a commit. */
function daemon(restored: number, reached: number, files: Parameters<typeof storeOf>[1] = "whole"): Life {
  return { node: { id: "a", name: "a" }, store: storeOf(reached, files), kernel: { armor: daemonOf("a"), snapshot: () => ({ commit: restored }) } } as unknown as Life;
}

/** @returns Whether the version is held stored after it was written in a life that has `reached` a commit. */
function stored(reached: number, files: Parameters<typeof storeOf>[1] = "whole", next?: Life): boolean {
  const copies = new TableCopies();
  const life = daemon(0, reached, files);
  copies.made(life);
  copies.stepped(life, { commits: [{ commit: 1, set: { table_replica: { version } } }] } as unknown as Effects);
  if (next) copies.made(next);
  return copies.reached("a", version);
}

test("what is synced is stored, and what is only written is not", () => {
  expect([stored(1), stored(0)]).toEqual([true, false]);
});

test("what was synced and has rotted away since was stored all the same", () => {
  expect([stored(1, "whole", daemon(0, 0)), stored(0, "whole", daemon(0, 0))]).toEqual([true, false]);
});

test("what was synced when its daemon told of it is stored, though the node has lost its power before anybody heard", () => {
  const copies = new TableCopies();
  const life = daemon(0, 0) as unknown as { store: { reached: number; process: { machine: { on: boolean } } } };
  copies.made(life as unknown as Life);
  copies.stepped(life as unknown as Life, { commits: [{ commit: 1, set: { table_replica: { version } } }] } as unknown as Effects);
  life.store.reached = 1;
  copies.sent(life as unknown as Life);
  life.store.process.machine.on = false;
  expect(copies.reached("a", version)).toBe(true);
});

test("of a node without power, and of damaged files, nothing is unsynced: that says nothing", () => {
  expect([stored(1, "cut"), stored(1, "damaged")]).toEqual([false, false]);
});
