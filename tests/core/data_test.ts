import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Data, dataEqual, type DataRecord } from "../../core/data.ts";
import { difference } from "../../core/durable_state.ts";
import { canonicalText, throughCodec } from "../sim/plain_data.ts";

const leaf = fc.oneof(fc.constant(null), fc.boolean(), fc.integer(), fc.string(), fc.uint8Array({ maxLength: 3 }));
const data: fc.Arbitrary<Data> = fc.letrec<{ data: Data }>((tie) => ({
  data: fc.oneof({ depthSize: "small" }, leaf, fc.array(tie("data"), { maxLength: 3 }), fc.dictionary(fc.constantFrom("a", "b", "c", "10"), tie("data"))),
})).data;
const record = fc.dictionary(fc.constantFrom("a", "b", "c", "d"), data) as fc.Arbitrary<DataRecord>;

describe("dataEqual()", () => {
  const bytes = (...items: number[]): Uint8Array => Uint8Array.from(items);
  const equal: [Data, Data][] = [
    [null, null], [1, 1], [0, -0], ["", ""], [[], []], [{}, {}], [bytes(1, 2), bytes(1, 2)], [bytes(), bytes()],
    [{ a: 1, b: [1, { c: null }] }, { b: [1, { c: null }], a: 1 }],
  ];
  const different: [Data, Data][] = [
    [null, 0], [null, {}], [0, false], ["1", 1], [[], {}], [[1], [1, 2]], [[1, 2], [2, 1]], [{ a: 1 }, { a: 1, b: 2 }], [{ a: 1 }, { b: 1 }],
    [bytes(1), [1]], [bytes(1), bytes(2)], [bytes(1), bytes(1, 2)], [bytes(), {}], [[undefined as never], []], [NaN, NaN],
  ];
  equal.forEach(([a, b], index) => test(`finds pair ${index} equal, either way`, () => expect([dataEqual(a, b), dataEqual(b, a)]).toEqual([true, true])));
  different.forEach(([a, b], index) => test(`finds pair ${index} different, either way`, () => expect([dataEqual(a, b), dataEqual(b, a)]).toEqual([false, false])));

  test("finds keys of the prototype in no record", () => expect(dataEqual({ toString: 1 } as DataRecord, { a: 1 })).toBe(false));

  test("agrees with equal bytes", () =>
    fc.assert(
      fc.property(data, data, (a, b) => {
        expect(dataEqual(a, b)).toBe(canonicalText(a) === canonicalText(b));
        expect(dataEqual(a, throughCodec(a))).toBe(true);
      }),
      { seed: 1, numRuns: 300, includeErrorInReport: true },
    ), 60_000);
});

describe("difference()", () => {
  test("names changed, new and gone properties by content", () => {
    const same = { deep: [1, 2] };
    expect(difference({ same, equal: [1], changed: 1, gone: 1 }, { same, equal: [1], changed: 2, new: null })).toEqual({ set: { changed: 2, new: null }, unset: ["gone"] });
    expect(difference({ a: 1 }, { a: 1 })).toEqual({ set: {}, unset: [] });
  });

  test("takes a property that is undefined for gone, as CBOR does", () => {
    const hole = undefined as unknown as Data;
    expect(difference({ a: 1 }, { a: hole })).toEqual({ set: {}, unset: ["a"] });
    expect(difference({ a: hole }, { a: hole })).toEqual({ set: {}, unset: [] });
    expect(difference({ a: hole }, { a: 1 })).toEqual({ set: { a: 1 }, unset: [] });
    expect(difference({ a: hole }, {})).toEqual({ set: {}, unset: [] });
  });

  test("applied to the state before gives the state after", () =>
    fc.assert(
      fc.property(record, record, (before, after) => {
        const { set, unset } = difference(before, after);
        const applied: Record<string, Data> = { ...before, ...set };
        for (const property of unset) delete applied[property];
        expect(canonicalText(applied)).toBe(canonicalText(after));
      }),
      { seed: 1, numRuns: 300, includeErrorInReport: true },
    ), 60_000);
});
