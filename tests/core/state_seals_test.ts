import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { StateSeals } from "../../core/state_seals.ts";

const make = () => ({
  text: "abc",
  list: [1, -2, 0.5, 2 ** 40, NaN, { yes: true, nothing: null }],
  bytes: Uint8Array.of(1, 2, 3),
  map: new Map<string, unknown>([["a", { deep: ["x"] }], ["b", 7]]),
  set: new Set(["k", "l"]),
});
type Made = ReturnType<typeof make>;

describe("StateSeals.broken()", () => {
  test("finds nothing where nothing has changed, however often it looks", () => {
    const seals = new StateSeals();
    const state = make();
    for (let looks = 0; looks < 3; looks++) expect(seals.broken(state)).toBeUndefined();
  });

  test.each<[string, string, (state: Made) => void]>([
    ["a text", "", (state) => void (state.text = "abb")],
    ["a number in a list", ".list", (state) => void (state.list[0] = 3)],
    ["a fraction", ".list", (state) => void (state.list[2] = 0.25)],
    ["more than 32 bits", ".list", (state) => void (state.list[3] = 2 ** 41)],
    ["a boolean further down", ".list.5", (state) => void ((state.list[5] as { yes: boolean }).yes = false)],
    ["a byte", ".bytes", (state) => void (state.bytes[1] = 3)],
    ["a value of a map", ".map", (state) => void state.map.set("b", 6)],
    ["what a map holds further down", ".map.a.deep", (state) => void ((state.map.get("a") as { deep: string[] }).deep[0] = "y")],
    ["a member of a set", ".set", (state) => void state.set.add("m")],
    ["a key that is new", ".map.a", (state) => void ((state.map.get("a") as { more?: 1 }).more = 1)],
    ["a key that is gone", ".map.a", (state) => void delete (state.map.get("a") as { deep?: string[] }).deep],
  ])("finds %s that was changed in place", (_what, path, change) => {
    const seals = new StateSeals();
    const state = make();
    seals.broken(state);
    change(state);
    expect(seals.broken(state)).toBe(path);
  });

  test("finds any one bit of a number or a text", () => {
    fc.assert(fc.property(fc.oneof(fc.integer(), fc.string({ minLength: 1 })), fc.nat(31), fc.nat(), (value, bit, at) => {
      const seals = new StateSeals();
      const state: { value: unknown } = { value };
      seals.broken(state);
      if (typeof value === "number") state.value = value ^ (1 << bit);
      else {
        const place = at % value.length;
        state.value = value.slice(0, place) + String.fromCharCode(value.charCodeAt(place) ^ (1 << (bit % 16))) + value.slice(place + 1);
      }
      expect(seals.broken(state)).toBe("");
    }));
  });

  test("follows an object into the next state, and takes a new one as it is", () => {
    const seals = new StateSeals();
    const kept = { count: 1 };
    seals.broken({ kept, gone: { count: 2 } });
    const next = { kept, fresh: { count: 3 } };
    expect(seals.broken(next)).toBeUndefined();
    kept.count = 5;
    expect(seals.broken(next)).toBe(".kept");
  });

  test("looks at one object alone if it is asked to", () => {
    const seals = new StateSeals();
    const state = { here: 1, below: { count: 1 } };
    seals.broken(state);
    state.below.count = 2;
    expect(seals.broken(state, false)).toBeUndefined();
    state.here = 2;
    expect(seals.broken(state, false)).toBe("");
  });

  test("looks once at what many hold", () => {
    let reads = 0;
    const shared = { get value() {
      reads += 1;
      return 1;
    } };
    const seals = new StateSeals();
    const state = new Map(Array.from({ length: 100 }, (_, index) => [index, { shared }]));
    seals.broken(state);
    seals.broken(state);
    expect(reads).toBe(2);
  });

  test("leaves alone what is made by a class, and what holds itself ends", () => {
    const seals = new StateSeals();
    class Counter {
      count = 0;
    }
    const state: { counter: Counter; self?: object } = { counter: new Counter() };
    state.self = state;
    seals.broken(state);
    state.counter.count = 1;
    expect(seals.broken(state)).toBeUndefined();
  });
});
