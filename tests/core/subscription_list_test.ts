import { describe, expect, test } from "bun:test";
import { type Element, element } from "../../core/element.ts";
import { InvariantError } from "../../core/invariant.ts";
import { isBlocking, SubscriptionList } from "../../core/subscription_list.ts";

const make = (name: string, ops: readonly string[], blocking: readonly string[] = []): Element =>
  element({ name, version: 1, state: {}, handlers: Object.fromEntries(ops.map((op) => [op, () => undefined])), blocking });

const list = (...elements: Element[]): SubscriptionList => {
  const made = new SubscriptionList();
  for (const one of elements) made.add(one);
  return made;
};
const names = (subscriptions: SubscriptionList, op: string): string[] => subscriptions.subscribers(op).map(({ name }) => name);

describe("SubscriptionList", () => {
  test("maps an op to its elements in the order in which they were added", () => {
    const subscriptions = list(make("x", ["one", "two"]), make("y", ["two"]), make("z", ["one", "two"]));
    expect([names(subscriptions, "one"), names(subscriptions, "two"), names(subscriptions, "three")]).toEqual([["x", "z"], ["x", "y", "z"], []]);
  });

  test("knows nothing of names that every object has", () => {
    const subscriptions = list(make("x", ["one"]));
    for (const op of ["toString", "constructor", "__proto__", ""]) expect(names(subscriptions, op)).toEqual([]);
  });

  test("stays correct when elements go and come back: the order is that of their last arrival", () => {
    const subscriptions = list(make("x", ["one"]), make("y", ["one"]));
    expect(subscriptions.remove("x")).toBe(true);
    expect(subscriptions.remove("x")).toBe(false);
    expect([names(subscriptions, "one"), subscriptions.element("x")]).toEqual([["y"], undefined]);
    subscriptions.add(make("x", ["one", "two"]));
    expect([names(subscriptions, "one"), names(subscriptions, "two")]).toEqual([["y", "x"], ["x"]]);
  });

  test("describes elements with their versions and ops", () => {
    expect(list(make("x", ["one", "two"]), make("y", [])).describe()).toEqual([
      { name: "x", version: 1, ops: ["one", "two"] },
      { name: "y", version: 1, ops: [] },
    ]);
  });

  const refused: Record<string, [Element[], Element]> = {
    "a name that is taken": [[make("x", [])], make("x", ["one"])],
    "a blocking op without a handler": [[], make("x", ["one"], ["two"])],
    "a blocking op that another element handles": [[make("x", ["one"])], make("y", ["one"], ["one"])],
    "an op that is blocking in another element": [[make("x", ["one"], ["one"])], make("y", ["one"])],
  };
  for (const [what, [present, added]] of Object.entries(refused)) {
    test(`refuses ${what}, and stays as it was`, () => {
      const subscriptions = list(...present);
      const before = subscriptions.describe();
      expect(() => subscriptions.add(added)).toThrow(InvariantError);
      expect(subscriptions.describe()).toEqual(before);
      expect(names(subscriptions, "one")).toEqual(before.filter(({ ops }) => ops.includes("one")).map(({ name }) => name));
    });
  }

  test("isBlocking() is true for declared ops only", () => {
    const one = make("x", ["one", "two"], ["one"]);
    expect([isBlocking(one, "one"), isBlocking(one, "two"), isBlocking(make("y", ["one"]), "one")]).toEqual([true, false, false]);
  });
});
