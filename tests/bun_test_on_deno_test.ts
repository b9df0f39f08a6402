/**
 * The tests' own footing: what `bun:test` does here it does on Bun and on Deno.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";

const happened: string[] = [];

describe("hooks", () => {
  beforeAll(() => void happened.push("before all"));
  beforeEach(() => void happened.push("before"));
  afterEach(() => void happened.push("after"));
  afterAll(() => void happened.push("after all"));

  test("run around each test, outermost first", () => {
    expect(happened).toEqual(["before all", "before"]);
  });

  describe("of a group inside", () => {
    beforeEach(() => void happened.push("inner"));
    test("run after those outside", async () => {
      await Promise.resolve();
      expect(happened.slice(2)).toEqual(["after", "before", "inner"]);
    });
  });
});

test("hooks end with their group", () => {
  expect(happened.slice(5)).toEqual(["after", "after all"]);
});

test.each([
  [1, 2, 3],
  [2, 3, 5],
])("%i + %i is %i", (a, b, sum) => {
  expect(a + b).toBe(sum);
});

const bytes = Uint8Array.of(1, 2);
const circle = { a: { b: 1, c: [1, 2] }, d: undefined };

/** Assertions that hold; each must fail when it is negated. */
const holding: [string, (sense: (actual: unknown) => any) => unknown][] = [
  ["toBe", (e) => e(NaN).toBe(NaN)],
  ["toEqual ignores absent properties", (e) => e(circle).toEqual({ a: { c: [1, 2], b: 1 } })],
  ["toEqual of bytes", (e) => e(bytes).toEqual(Uint8Array.of(1, 2))],
  ["toEqual of maps", (e) => e(new Map([["a", { b: 1 }]])).toEqual(new Map([["a", { b: 1 }]]))],
  ["toEqual with a stand-in", (e) => e({ a: 1 }).toEqual({ a: expect.any(Number) })],
  ["toStrictEqual", (e) => e({ a: [1] }).toStrictEqual({ a: [1] })],
  ["toMatchObject", (e) => e(circle).toMatchObject({ a: { b: 1 } })],
  ["toThrow a text", (e) => e(() => fail("bad thing")).toThrow("bad")],
  ["toThrow a class", (e) => e(() => fail("bad thing")).toThrow(RangeError)],
  ["toThrow a pattern", (e) => e(() => fail("bad thing")).toThrow(/th.ng$/)],
  ["toBeUndefined", (e) => e(undefined).toBeUndefined()],
  ["toBeDefined", (e) => e(0).toBeDefined()],
  ["toBeNull", (e) => e(null).toBeNull()],
  ["toBeTruthy", (e) => e("a").toBeTruthy()],
  ["toBeFalsy", (e) => e("").toBeFalsy()],
  ["toContain in a list", (e) => e([1, 2]).toContain(2)],
  ["toContain in a text", (e) => e("abc").toContain("bc")],
  ["toContainEqual", (e) => e([{ a: 1 }]).toContainEqual({ a: 1 })],
  ["toHaveLength", (e) => e(bytes).toHaveLength(2)],
  ["toHaveProperty", (e) => e(circle).toHaveProperty("a.b", 1)],
  ["toBeGreaterThan", (e) => e(2).toBeGreaterThan(1)],
  ["toBeGreaterThanOrEqual", (e) => e(2).toBeGreaterThanOrEqual(2)],
  ["toBeLessThan", (e) => e(1).toBeLessThan(2)],
  ["toBeLessThanOrEqual", (e) => e(2).toBeLessThanOrEqual(2)],
  ["toBeCloseTo", (e) => e(0.1 + 0.2).toBeCloseTo(0.3, 5)],
  ["toMatch", (e) => e("abc").toMatch(/^a.c$/)],
  ["toBeInstanceOf", (e) => e(bytes).toBeInstanceOf(Uint8Array)],
];

function fail(text: string): never {
  throw new RangeError(text);
}

test.each(holding)("%s holds, and its opposite fails", (_name, assertion) => {
  assertion((actual) => expect(actual));
  expect(() => assertion((actual) => expect(actual).not)).toThrow();
});

test("toStrictEqual sees absent properties and classes", () => {
  const absent: { a?: undefined } = { a: undefined };
  expect(absent).not.toStrictEqual({});
  expect(() => expect(absent).toStrictEqual({})).toThrow();
});

test("promises are judged by how they settle", async () => {
  await expect(Promise.resolve(1)).resolves.toBe(1);
  await expect(Promise.reject(new RangeError("no"))).rejects.toThrow("no");
  await expect(Promise.reject(new RangeError("no"))).rejects.toBeInstanceOf(RangeError);
  let failed = false;
  try {
    await expect(Promise.resolve(1)).rejects.toBe(1);
  } catch {
    failed = true;
  }
  expect(failed).toBe(true);
});
