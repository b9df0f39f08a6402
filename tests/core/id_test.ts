import { expect, test } from "bun:test";
import { newId } from "../../core/id.ts";
import { seededRandom } from "../../core/random.ts";

test("newId() is a letter and then lower-case letters and digits, 8 in all unless told", () => {
  const random = seededRandom(7);
  const ids = Array.from({ length: 2_000 }, () => newId(random));
  for (const id of ids) expect(id).toMatch(/^[a-z][a-z0-9]{7}$/);
  expect(new Set(ids).size).toBe(ids.length);
  expect(newId(random, 1)).toMatch(/^[a-z]$/);
  expect(newId(random, 21)).toMatch(/^[a-z][a-z0-9]{20}$/);
});

test("newId() depends on its random source alone", () => {
  expect(newId(seededRandom(3))).toBe(newId(seededRandom(3)));
});
