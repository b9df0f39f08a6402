/** What a closed link has found out serves those who ask a moment later. */
import { expect, test } from "bun:test";
import { NodeLooks } from "../../armors/host/node_looks.ts";

/** A daemon whose looks take 210 ms. `answers`: whether the guard of `b` does. */
function daemon({ answers = false }: { readonly answers?: boolean } = {}) {
  const world = { nowMs: 0, heardMs: -Infinity, asked: [] as string[], told: [] as string[] };
  const due: (() => void)[] = [];
  const looks = new NodeLooks({
    clock: { nowMs: () => world.nowMs, after: () => () => {}, every: () => () => {} },
    peers: { address: () => "b:1", isHeard: (_node, ms) => world.nowMs - world.heardMs <= ms, ping: () => {} },
    guardAnswers: ({ address, except }) => {
      world.asked.push(`${address} at ${world.nowMs}${except === undefined ? "" : `, not ${except}`}`);
      return new Promise((resolve) => due.push(() => resolve(answers)));
    },
    looked: (node, answered) => void world.told.push(`${node} ${answered ? "answers" : "is silent"}`),
  });
  return {
    looks,
    world,
    ask: (address = "b:1", more = {}) => looks.ask({ node: "b", address, withinMs: 210, ...more }),
    /** Looks that were begun are over. */
    pass: async (ms = 210): Promise<void> => {
      world.nowMs += ms;
      for (const over of due.splice(0)) over();
      await new Promise((resolve) => setTimeout(resolve, 0));
    },
  };
}

test("a look that a closed link began is shared, also when it is over", async () => {
  const { looks, world, ask, pass } = daemon();
  looks.begin("b");
  world.nowMs = 100;
  const during = ask();
  await pass();
  expect(await during).toBe(false);
  world.nowMs = 999;
  expect(await ask()).toBe(false);
  expect(world.asked).toEqual(["b:1 at 0"]);
  expect(world.told).toEqual(["b is silent"]);
});

test("silence is not believed later, nor of another address, nor of one that has been heard since", async () => {
  const { looks, world, ask, pass } = daemon();
  looks.begin("b");
  await pass();
  world.heardMs = 400;
  world.nowMs = 500;
  expect(await ask()).toBe(true);
  void ask("b:2");
  world.nowMs = 2_000;
  void ask();
  expect(world.asked).toEqual(["b:1 at 0", "b:2 at 500", "b:1 at 2000"]);
});

test("an answer is no proof a moment later: it is asked again", async () => {
  const { looks, world, ask, pass } = daemon({ answers: true });
  looks.begin("b");
  await pass();
  const again = ask();
  await pass(0);
  await pass();
  expect(await again).toBe(true);
  expect(world.asked).toEqual(["b:1 at 0", "b:1 at 210"]);
});

test("whether somebody else has the id is always asked", async () => {
  const { looks, world, ask, pass } = daemon();
  looks.begin("b");
  const other = ask("b:1", { except: "c:1" });
  await pass();
  expect(await other).toBe(false);
  expect(world.asked).toEqual(["b:1 at 0", "b:1 at 0, not c:1"]);
});
