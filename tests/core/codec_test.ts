import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { CodecError, codecLimits, decode, encode } from "../../core/codec.ts";
import { type Data, dataEqual } from "../../core/data.ts";

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const bytesOf = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof CodecError) return error.code;
    throw error;
  }
  return "done";
}

const key = fc.oneof(fc.string({ maxLength: 12 }), fc.string({ unit: "grapheme", maxLength: 40 }), fc.nat().map(String)).filter((text) => text !== "__proto__");
const { data } = fc.letrec<{ data: Data }>((tie) => ({
  data: fc.oneof(
    { maxDepth: 5, depthSize: "small" },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true }).map((value) => (value === 0 ? 0 : value)),
    fc.string({ unit: "grapheme", maxLength: 100 }),
    fc.uint8Array({ maxLength: 300 }).map((bytes) => new Uint8Array(bytes)),
    fc.array(tie("data"), { maxLength: 30 }),
    fc.dictionary(key, tie("data"), { maxKeys: 30, noNullPrototype: true }),
  ),
}));

/** The same value with every object's keys in another order of insertion. */
function shuffled(value: Data, turn: number): Data {
  if (value === null || typeof value !== "object" || value instanceof Uint8Array) return value;
  if (Array.isArray(value)) return value.map((item) => shuffled(item as Data, turn));
  const keys = Object.keys(value);
  const order = [...keys.slice(turn % (keys.length + 1)), ...keys.slice(0, turn % (keys.length + 1))].reverse();
  return Object.fromEntries(order.map((name) => [name, shuffled((value as Record<string, Data>)[name] as Data, turn)]));
}

describe("encode()", () => {
  test("gives the bytes of RFC 8949 in their shortest form, keys sorted by code unit", () => {
    const table: readonly [Data, string][] = [
      [0, "00"],
      [23, "17"],
      [24, "1818"],
      [65_536, "1a00010000"],
      [-1, "20"],
      [-257, "390100"],
      [2 ** 53 - 1, "fb433fffffffffffff"],
      [1.5, "fb3ff8000000000000"],
      [NaN, "fb7ff8000000000000"],
      [-Infinity, "fbfff0000000000000"],
      [true, "f5"],
      [null, "f6"],
      ["ü", "62c3bc"],
      ["\ud800", "63efbfbd"],
      [Uint8Array.of(1, 2), "420102"],
      [[], "80"],
      [{ b: 1, a: { d: 1, c: 2 } }, "a26161a2616302616401616201"],
      [{ "10": 1, "9": 2, a: 3 }, "a362313001613902616103"],
      [{ aa: 1, b: 2 }, "a262616101616202"],
    ];
    for (const [value, expected] of table) expect(hex(encode(value))).toBe(expected);
  });

  test("gives equal bytes for equal values, whatever the order of insertion", () => {
    fc.assert(fc.property(data, fc.nat(30), (value, turn) => {
      expect(hex(encode(shuffled(value, turn)))).toBe(hex(encode(value)));
    }), { numRuns: 200 });
  });

  test("leaves out properties that are undefined", () => {
    expect(hex(encode({ a: 1, b: undefined, "1": undefined }))).toBe(hex(encode({ a: 1 })));
  });

  test("returns bytes that later calls do not touch", () => {
    const first = encode({ text: "first" });
    const copy = first.slice();
    for (let i = 0; i < 1_000; i++) encode({ text: "other", i });
    expect(first).toEqual(copy);
    expect(first.constructor).toBe(Uint8Array);
    expect(first.buffer.byteLength).toBe(first.length);
  });

  test("writes a Buffer and a part of a larger buffer as the bytes they show", () => {
    const large = Uint8Array.of(9, 1, 2, 9);
    expect(hex(encode(large.subarray(1, 3)))).toBe("420102");
    expect(hex(encode(Buffer.from([1, 2])))).toBe("420102");
  });

  test("survives values far larger than its buffer", () => {
    const big = { bytes: new Uint8Array(3_000_000).fill(7), text: "é".repeat(700_000) };
    expect(dataEqual(decode(encode(big)) as Data, big)).toBe(true);
    expect(hex(encode([1]))).toBe("8101");
  });

  test("refuses what is not plain data", () => {
    const cycle: unknown[] = [];
    cycle.push(cycle);
    const values = [undefined, [undefined], () => 1, 1n, Symbol("s"), new Date(0), new Map(), new (class Thing {})(), cycle,
      JSON.parse('{"__proto__":1}'), { a: { b: new Set() } }, new Float64Array(1)];
    for (const value of values) expect(codeOf(() => encode(value))).toBe("unencodable");
    expect(hex(encode({ a: 1 }))).toBe("a1616101");
  });

  test("nests up to depthMax and no deeper", () => {
    const nested = (depth: number): Data => depth === 0 ? 1 : depth % 2 === 0 ? [nested(depth - 1)] : { a: nested(depth - 1) };
    const deepest = nested(codecLimits.depthMax);
    expect(decode(encode(deepest))).toEqual(deepest);
    expect(codeOf(() => encode(nested(codecLimits.depthMax + 1)))).toBe("unencodable");
    const tooDeep = Uint8Array.from({ length: codecLimits.depthMax + 2 }, (_, index) => index <= codecLimits.depthMax ? 0x81 : 1);
    expect(codeOf(() => decode(tooDeep))).toBe("undecodable");
    expect(codeOf(() => decode(tooDeep.subarray(1)))).toBe("done");
  });

  test("handles more shapes of objects than it remembers", () => {
    for (let i = 0; i < 3_000; i++) {
      const value = { [`key${i % 1_500}`]: 1, a: 2 };
      expect(decode(encode(value))).toEqual(value);
      const alike = { first: 1, [`other${i}`]: 2 };
      expect(decode(encode(alike))).toEqual(alike);
    }
  });
});

describe("decode()", () => {
  test("returns what was encoded", () => {
    fc.assert(fc.property(data, (value) => {
      const bytes = encode(value);
      expect(dataEqual(decode(bytes) as Data, value)).toBe(true);
      expect(hex(encode(decode(bytes)))).toBe(hex(bytes));
    }), { numRuns: 300 });
  });

  test("keeps a leading byte order mark and texts of every length", () => {
    for (const text of ["\ufeffshort", `\ufeff${"long".repeat(40)}`, ...Array.from({ length: 80 }, (_, n) => "ab".repeat(n))]) {
      expect(decode(encode(text))).toBe(text);
    }
  });

  test("copies byte strings and accepts a Buffer", () => {
    const bytes = Buffer.from([0x42, 1, 2]);
    const value = decode(bytes) as Uint8Array;
    bytes[1] = 9;
    expect(value).toEqual(Uint8Array.of(1, 2));
    expect(value.constructor).toBe(Uint8Array);
  });

  test("refuses what encode() never writes", () => {
    const table = {
      empty: "",
      trailing: "0000",
      "tag (date)": "c11a00000000",
      "tag (record of cbor-x)": "d9dfff8319e0008161610a",
      indefinite: "9f01ff",
      "indefinite text": "7f6161ff",
      "reserved length": "1c",
      undefined: "f7",
      "simple value": "f8ff",
      break: "ff",
      "half float": "f93c00",
      "key of a number": "a10102",
      "key missing": "a1",
      "key is __proto__": "a1695f5f70726f746f5f5fa0",
      "key is __proto__, long form": "a178095f5f70726f746f5f5fa0",
      "not UTF-8": "62c328",
      "beyond 2^53 - 1": "1b0020000000000000",
      "below -(2^53 - 1)": "3b001fffffffffffff",
      "cut number": "19ff",
      "cut float": "fb0000",
    };
    for (const [name, bytes] of Object.entries(table)) {
      expect([name, codeOf(() => decode(bytesOf(bytes)))]).toEqual([name, "undecodable"]);
    }
    expect(decode(bytesOf("1b001fffffffffffff"))).toBe(2 ** 53 - 1);
    expect(decode(bytesOf("3b001ffffffffffffe"))).toBe(-(2 ** 53 - 1));
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  test("allocates nothing for a length that the bytes cannot hold", () => {
    for (const bytes of ["5affffffff", "7affffffff", "9affffffff", "baffffffff", "9b001fffffffffffff", "5b001fffffffffffff"]) {
      expect(codeOf(() => decode(bytesOf(bytes)))).toBe("undecodable");
    }
    // Each level claims all that is left.
    const nested = new Uint8Array(60 * 5).fill(0);
    for (let at = 0; at < nested.length; at += 5) nested.set([0x9a, 0, 0, 0, nested.length - at - 5], at);
    expect(codeOf(() => decode(nested))).toBe("undecodable");
  });

  test("refuses every proper prefix of a value", () => {
    const bytes = encode({ commit: 12, set: { a: { list: [1, -70_000, 1.5, "text", Uint8Array.of(1, 2, 3)] } }, text: "x".repeat(300) });
    for (let length = 0; length < bytes.length; length++) expect(codeOf(() => decode(bytes.subarray(0, length)))).toBe("undecodable");
  });

  test("never crashes on random or altered bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      expect(["done", "undecodable"]).toContain(codeOf(() => decode(bytes)));
    }), { numRuns: 2_000 });
    fc.assert(fc.property(data, fc.nat(), fc.nat(255), (value, place, byte) => {
      const bytes = encode(value);
      bytes[place % bytes.length] = byte;
      expect(["done", "undecodable"]).toContain(codeOf(() => encode(decode(bytes))));
    }), { numRuns: 500 });
  });
});
