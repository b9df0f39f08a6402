import { expect, test } from "bun:test";
import { withMakeups } from "../../armors/elements/makeups.ts";
import type { RegisteredArmor } from "../../armors/elements/node_view.ts";

function made(armor: string, ...names: string[]): RegisteredArmor {
  const elements = names.map((name) => ({ name, version: 1, ops: [] }));
  return { armor, role: "own", node: "a", pid: 1, state: "running", incarnation: { placement: 0, restart: 0 }, generation: null, elements };
}

test("armors that are made alike share one makeup, and nothing changes while they stay as they are", () => {
  const first = withMakeups([made("x", "one"), made("y", "one", "two"), made("z", "one")], undefined);
  expect(first.armors.map(({ makeup }) => makeup)).toEqual([0, 1, 0]);
  expect(first.makeups.length).toBe(2);
  expect(Object.keys(first.armors[0]!)).not.toContain("elements");
  const again = withMakeups([made("x", "one"), made("y", "one", "two")], first.makeups);
  expect(again.makeups).toBe(first.makeups);
  const changed = withMakeups([made("x", "three"), made("y", "one", "two")], first.makeups);
  expect(changed.makeups).not.toBe(first.makeups);
  expect(changed.armors.map(({ makeup }) => makeup)).toEqual([0, 1]);
});
