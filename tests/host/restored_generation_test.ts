import { describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { markBoot, ranInBoot, restoredGeneration } from "../../armors/host/restored_generation.ts";

const ordered = { epoch: 3, node: "n1", counter: 2 };

describe("restoredGeneration", () => {
  const table = [
    { name: "no checkpoint: as ordered", saved: undefined, complete: true, unsynced: true, follows: false, counter: 2 },
    { name: "nothing of it can be read: the next", saved: undefined, complete: false, unsynced: false, follows: false, counter: 3 },
    { name: "no checkpoint any more: the next", again: true, saved: undefined, complete: true, unsynced: true, follows: false, counter: 3 },
    {
      name: "only what is older, after a loss of power: the next",
      again: true,
      saved: { ...ordered, counter: 1 },
      complete: true,
      unsynced: true,
      follows: false,
      counter: 3,
    },
    { name: "older than its first order: as ordered", saved: { ...ordered, counter: 1 }, complete: true, unsynced: true, follows: false, counter: 2 },
    { name: "all of its log: its own", saved: ordered, complete: true, unsynced: false, follows: true, counter: 2 },
    { name: "rewound before, ordered by an older report: its own", saved: { ...ordered, counter: 4 }, complete: true, unsynced: false, follows: true, counter: 4 },
    { name: "damaged: the next", saved: ordered, complete: false, unsynced: false, follows: true, counter: 3 },
    { name: "another boot, nothing synced: the next", saved: ordered, complete: true, unsynced: true, follows: true, counter: 3 },
    { name: "only another line of state, after this one was begun: the next", again: true, saved: { ...ordered, epoch: 2 }, complete: true, unsynced: false, follows: false, counter: 3 },
    { name: "another line of state: anew", saved: { ...ordered, epoch: 2 }, complete: true, unsynced: false, follows: false, counter: 2 },
  ];
  test("a generation of which only the mark is left is not used again", () => {
    const facts = { ordered, again: true, saved: undefined, complete: false, unsynced: false, jump: 0 };
    const lost = (counter: number): unknown => restoredGeneration({ ...facts, lost: { ...ordered, counter } }).generation.counter;
    expect([lost(2), lost(3), lost(7)]).toEqual([3, 4, 8]);
    expect(restoredGeneration({ ...facts, saved: { ...ordered, counter: 4 }, lost: { ...ordered, counter: 5 } })).toEqual({ follows: true, generation: { ...ordered, counter: 6 } });
    expect(restoredGeneration({ ...facts, lost: { ...ordered, epoch: 2, counter: 9 } }).generation.counter).toBe(3);
    // Its daemon has forgotten later orders.
    const later = { epoch: 4, node: "n0", counter: 9 };
    expect(restoredGeneration({ ...facts, lost: later })).toEqual({ follows: false, generation: { ...later, counter: 10 } });
  });

  for (const { name, again = false, saved, complete, unsynced, follows, counter } of table) {
    test(name, () => {
      expect(restoredGeneration({ ordered, again, saved, complete, unsynced, jump: 0 })).toEqual({ follows, generation: { ...ordered, counter } });
    });
  }
});

test("where nothing is left some generations are left out: it may have begun anew more often than anybody knows; where something is left, none", () => {
  const facts = { ordered, again: true, saved: undefined, complete: false, unsynced: false, jump: 40 };
  expect(restoredGeneration(facts).generation).toEqual({ ...ordered, counter: 43 });
  expect(restoredGeneration({ ...facts, again: false, complete: true }).generation).toEqual(ordered);
  expect(restoredGeneration({ ...facts, saved: ordered }).generation).toEqual({ ...ordered, counter: 3 });
});

test("an armor whose daemon has forgotten that it was placed since goes on from where it was", () => {
  const later = { epoch: 4, node: "n0", counter: 9 };
  const facts = { ordered, again: false, saved: later, unsynced: false, jump: 0 };
  expect(restoredGeneration({ ...facts, complete: true })).toEqual({ follows: true, generation: later });
  expect(restoredGeneration({ ...facts, complete: false })).toEqual({ follows: true, generation: { ...later, counter: 10 } });
});

test("ranInBoot() says whether the last mark was of this boot", () => {
  const folder = mkdtempSync(join(tmpdir(), "armor-boot-"));
  try {
    const path = join(folder, "boot");
    expect(ranInBoot(path, "one")).toBe(false);
    expect(ranInBoot(path, "one")).toBe(false);
    markBoot(path, "one");
    expect(ranInBoot(path, "one")).toBe(true);
    expect(ranInBoot(path, "two")).toBe(false);
    markBoot(path, "two");
    expect(ranInBoot(path, "two")).toBe(true);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
