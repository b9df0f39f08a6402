import { describe, expect, test } from "bun:test";
import { toldMakeups, withMakeups } from "../../armors/elements/makeups.ts";
import type { RegisteredArmor } from "../../armors/elements/registration.ts";

const epoch = { number: 3, node: "a" };

function made(armor: string, ...names: string[]): RegisteredArmor {
  const elements = names.map((name) => ({ name, version: 1, ops: [] }));
  return { armor, role: "own", node: "a", pid: 1, state: "running", incarnation: { placement: 0, restart: 0 }, generation: null, elements };
}

describe("makeups of armors", () => {
  test("armors that are made alike share one, and nothing changes while they stay as they are", () => {
    const first = withMakeups([made("x", "one"), made("y", "one", "two"), made("z", "one")], undefined);
    expect(first.armors.map(({ makeup }) => makeup)).toEqual([0, 1, 0]);
    expect(first.makeups.lists.length).toBe(2);
    expect(Object.keys(first.armors[0]!)).not.toContain("elements");
    const again = withMakeups([made("x", "one"), made("y", "one", "two")], first.makeups);
    expect(again.makeups).toBe(first.makeups);
    const changed = withMakeups([made("x", "three"), made("y", "one", "two")], first.makeups);
    expect([changed.makeups.number, changed.armors.map(({ makeup }) => makeup)]).toEqual([2, [0, 1]]);
  });

  test("a number means the makeups told before, of the same epoch and of no other number", () => {
    const { makeups } = withMakeups([made("x", "one")], undefined);
    const before = { epoch, makeups };
    expect(toldMakeups({ epoch, makeups: makeups.number }, before)).toBe(makeups);
    expect(toldMakeups({ epoch, makeups: makeups.number + 1 }, before).lists).toEqual([]);
    expect(toldMakeups({ epoch: { number: 4, node: "a" }, makeups: makeups.number }, before).lists).toEqual([]);
    expect(toldMakeups({ epoch, makeups: makeups.number }, null).lists).toEqual([]);
    expect(toldMakeups({ epoch, makeups }, null)).toBe(makeups);
  });
});
