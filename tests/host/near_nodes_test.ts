/** To whom a node keeps a link without having anything to say. */
import { expect, test } from "bun:test";
import { nearNodes } from "../../armors/host/peers.ts";

const names = (count: number): string[] => Array.from({ length: count }, (_, index) => `n${String(index).padStart(3, "0")}`);

test("all of a few", () => {
  for (const count of [0, 1, 8]) expect(nearNodes(names(count), "m")).toEqual(names(count));
});

test("of many a few, and each is near to as many", () => {
  const nodes = names(200);
  const near = new Map(nodes.map((self) => [self, nearNodes(nodes.filter((node) => node !== self).reverse(), self)]));
  for (const [self, others] of near) {
    expect(new Set(others).size).toBe(8);
    expect(others).not.toContain(self);
  }
  for (const node of nodes) expect([...near.values()].filter((others) => others.includes(node)).length).toBe(8);
});
