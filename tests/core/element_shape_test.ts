import { describe, expect, test } from "bun:test";
import { elementSdk } from "../../core/element_sdk.ts";
import { elementsFrom } from "../../core/element_shape.ts";

const good = { name: "good_1", version: 1, state: {}, handlers: { "a.b": () => undefined } };

describe("elementsFrom()", () => {
  test("takes one element or several", () => {
    expect(elementsFrom(good)).toEqual([good] as never);
    expect(elementsFrom([good, { ...good, name: "other" }])).toHaveLength(2);
    const full = { ...good, blocking: ["a.b"], uses: ["c.d"], volatile: () => 1, check: () => undefined, migrate: () => ({}) };
    expect(elementsFrom(full)).toHaveLength(1);
  });

  const refused: [unknown, RegExp][] = [
    [undefined, /does not return an element/],
    ["x", /does not return an element/],
    [[], /makes no element/],
    [[good, good], /two elements "good_1"/],
    [{ ...good, name: "Good" }, /name "Good"/],
    [{ ...good, name: 1 }, /name 1:/],
    [{ ...good, name: "a b" }, /name "a b"/],
    [{ ...good, name: "a".repeat(64) }, /63 at most/],
    [{ ...good, handler: {} }, /unknown field "handler"/],
    [{ ...good, version: 0 }, /needs a version/],
    [{ ...good, version: 1.5 }, /needs a version/],
    [{ ...good, state: undefined }, /needs a state/],
    [{ ...good, state: [] }, /needs a state/],
    [{ ...good, state: { at: new Date(0) } }, /not plain data/],
    [{ ...good, handlers: {} }, /at least one/],
    [{ ...good, handlers: { counter: () => 1 } }, /op "counter"/],
    [{ ...good, handlers: { "a.b": 1 } }, /no function/],
    [{ ...good, blocking: "a.b" }, /field "blocking"/],
    [{ ...good, uses: [1] }, /field "uses"/],
    [{ ...good, blocking: ["c.d"] }, /blocking op "c.d"/],
    [{ ...good, migrate: {} }, /field "migrate"/],
  ];
  test.each(refused)("refuses %p", (value, text) => {
    expect(elementsFrom(value)).toMatch(text);
  });
});

test("the argument of a factory makes elements, ops and refusals", () => {
  const { element, op, OperationError, version } = elementSdk;
  expect(elementsFrom(element({ ...good }))).toHaveLength(1);
  expect([version, op("a.b"), op("a.b", "c"), new OperationError("refused", "no").code]).toEqual([1, { name: "a.b" }, { name: "a.b", at: "c" }, "refused"]);
});
