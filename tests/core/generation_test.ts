import { describe, expect, test } from "bun:test";
import { compareEpochs, compareGenerations, type Epoch, epochZero, type Generation, generationText } from "../../core/generation.ts";

const generation = (epoch: number, node: string, counter: number): Generation => ({ epoch, node, counter });
const epoch = (number: number, node: string): Epoch => ({ number, node });

describe("compareGenerations()", () => {
  // Oldest first: epoch number, then node id by code unit, then counter.
  const inOrder = [
    generation(0, "z", 99), generation(1, "", 5), generation(1, "B", 0), generation(1, "a", 0), generation(1, "a", 1), generation(1, "aa", 0),
    generation(1, "b", 0), generation(2, "a", 0), generation(2, "a", 10), generation(10, "a", 0),
  ];
  inOrder.forEach((left, leftIndex) => {
    test(`orders ${generationText(left)} among all others`, () => {
      inOrder.forEach((right, rightIndex) => expect(Math.sign(compareGenerations(left, right))).toBe(Math.sign(leftIndex - rightIndex)));
    });
  });
});

describe("compareEpochs()", () => {
  const inOrder = [epochZero, epoch(0, "a"), epoch(1, ""), epoch(1, "A"), epoch(1, "a"), epoch(1, "b"), epoch(2, "a")];
  inOrder.forEach((left, leftIndex) => {
    test(`orders (${left.number}, "${left.node}") among all others`, () => {
      inOrder.forEach((right, rightIndex) => expect(Math.sign(compareEpochs(left, right))).toBe(Math.sign(leftIndex - rightIndex)));
    });
  });
});

test("generationText() shows epoch, node and counter", () => {
  expect(generationText(generation(3, "n1", 0))).toBe("3.n1.0");
});
