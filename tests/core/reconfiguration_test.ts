import { describe, expect, test } from "bun:test";
import type { DataRecord } from "../../core/data.ts";
import { type Element, element, type Reconfiguration } from "../../core/element.ts";
import type { Effects } from "../../core/effects.ts";
import type { KernelEvent } from "../../core/kernel_event.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { op } from "../../core/micro_operation.ts";
import { seededRandom } from "../../core/random.ts";
import { comparable } from "../sim/kernel_store.ts";
import { throughCodec } from "../sim/plain_data.ts";

const generation = { epoch: 1, node: "n1", counter: 0 };

/** `change.make` makes the change that stands ready. */
let ready: Reconfiguration | undefined;
const changer = element({
  name: "changer",
  version: 1,
  state: {},
  handlers: {
    "change.make": (_state, thread) => {
      if (thread.payload["beside"]) thread.send({ ops: [op(String(thread.payload["beside"]))] });
      thread.reconfigure(ready!);
    },
    "change.twice": (_state, thread) => {
      thread.reconfigure(ready!);
      thread.reconfigure(ready!);
    },
    "change.describe": (_state, thread) => void (thread.payload["names"] = thread.describe().map(({ name }) => name)),
  },
});

type Count = { readonly count: number };
type Started = { readonly starts: number };

/** `count.add` counts by `by`; `count.later` in 100 ms; `armor.started` is counted in the volatile part. */
function counter(version: number, by = 1, rest: Partial<Element> = {}): Element {
  const made = element<Count, Started>({
    name: "counter",
    version,
    state: { count: 0 },
    volatile: () => ({ starts: 0 }),
    handlers: {
      "armor.started": (_state, thread) => thread.setVolatile({ starts: thread.volatile.starts + 1 }),
      "count.add": ({ count }) => ({ count: count + by }),
      "count.later": (_state, thread) => thread.after("later", 100, "count.add"),
    },
  });
  return { ...made, ...rest };
}

const waiter = element({
  name: "waiter",
  version: 1,
  state: {},
  blocking: ["wait.long"],
  handlers: { "wait.long": (_state, thread) => void (thread.completion ?? thread.block({ kind: "slow" })) },
});

class Armor {
  readonly failures: string[] = [];
  kernel: Microkernel;
  nowMs = 0;
  last!: Effects;

  constructor(elements: readonly Element[]) {
    const texts = this.failures;
    this.kernel = new Microkernel({
      armor: "a",
      generation,
      elements: [changer, ...elements],
      random: seededRandom(1),
      diagnose: ({ code, error }) => void texts.push(`${code}: ${error instanceof Error ? error.message : String(error)}`),
    });
    this.step({ kind: "start" });
  }

  step(event: KernelEvent): Effects {
    return (this.last = this.kernel.step(event, this.nowMs));
  }

  run(name: string, payload: DataRecord = {}): Effects {
    return this.step({ kind: "local", op: name, payload });
  }

  /** @returns Why it was refused. */
  change(change: Reconfiguration, payload: DataRecord = {}): string | undefined {
    ready = change;
    this.failures.length = 0;
    this.run("change.make", payload);
    return this.failures[0];
  }

  get count(): number | undefined {
    return (this.kernel.state("counter") as Count | undefined)?.count;
  }

  get starts(): number {
    return (this.kernel.volatile("counter") as Started).starts;
  }
}

describe("an element that is added to a live armor", () => {
  test("handles its ops from then on, keeps state, and is started as if the armor had", () => {
    const armor = new Armor([]);
    expect(armor.change({ add: counter(3) })).toBe(undefined);
    expect(armor.last.commits.map(({ versions, set }) => [versions, set])).toEqual([[{ counter: 3 }, { counter: { count: 0 } }]]);
    armor.run("count.add");
    expect([armor.count, armor.starts, armor.kernel.describe().at(-1)!.name]).toEqual([1, 1, "counter"]);
  });

  test("alone is started, not the others again", () => {
    const armor = new Armor([counter(1)]);
    const other = element<DataRecord, Started>({ name: "other", version: 1, state: {}, handlers: { "armor.started": () => undefined } });
    expect([armor.change({ add: other }), armor.starts]).toEqual([undefined, 1]);
  });

  test("gets the payload that the others got at the armor's start", () => {
    const armor = new Armor([]);
    armor.step({ kind: "start", payload: { bootId: "b" } });
    const curious = element<{ readonly boot: string }>({
      name: "curious",
      version: 1,
      state: { boot: "" },
      handlers: { "armor.started": (_state, { payload }) => ({ boot: String(payload["bootId"]) }) },
    });
    armor.change({ add: curious });
    expect(armor.kernel.state("curious")).toEqual({ boot: "b" });
  });
});

describe("an element that is replaced", () => {
  test("by one of the same version keeps state, volatile part, timers and its place", () => {
    const armor = new Armor([counter(1), element({ name: "second", version: 1, state: {}, handlers: {} })]);
    armor.run("count.add");
    armor.run("count.later");
    expect(armor.change({ replace: counter(1, 10) })).toBe(undefined);
    expect(armor.last.commits.map(({ versions, set, unset }) => [versions, set, unset])).toEqual([[{ counter: 1 }, undefined, undefined]]);
    expect([armor.count, armor.starts, armor.kernel.describe().map(({ name }) => name)]).toEqual([1, 1, ["changer", "counter", "second"]]);
    armor.nowMs = 100;
    armor.step({ kind: "tick" });
    expect(armor.count).toBe(11);
  });

  test("by another version has its state migrated and its volatile part begun anew, timers included", () => {
    const armor = new Armor([counter(1)]);
    armor.run("count.add");
    armor.run("count.later");
    const migrate = (state: DataRecord, from: number) => ({ count: 100 * (state["count"] as number), from });
    expect(armor.change({ replace: counter(2, 1, { migrate }) })).toBe(undefined);
    expect(armor.last.commits.map(({ versions, set }) => [versions, set])).toEqual([[{ counter: 2 }, { counter: { count: 100, from: 1 } }]]);
    armor.nowMs = 200;
    armor.step({ kind: "tick" });
    expect([armor.count, armor.starts]).toEqual([100, 1]);
  });

  test("migrates what the ops before in the same segment have changed", () => {
    const armor = new Armor([counter(1)]);
    ready = { replace: counter(2, 1, { migrate: (state) => ({ count: -(state["count"] as number) }) }) };
    run(armor, "count.add", "change.make", "count.add");
    expect(armor.count).toBe(0);
    expect(armor.failures).toEqual([]);
  });
});

describe("an element that is removed", () => {
  test("is gone with its state and its timers", () => {
    const armor = new Armor([counter(1), { ...counter(1), name: "counter2", handlers: { "count.later": counter(1).handlers["count.later"]! } }]);
    armor.run("count.later");
    expect(armor.change({ remove: "counter" })).toBe(undefined);
    expect(armor.last.commits.map(({ removed }) => removed)).toEqual([["counter"]]);
    expect([armor.kernel.state("counter"), armor.kernel.volatile("counter"), armor.kernel.snapshot().elements["counter"]]).toEqual([undefined, undefined, undefined]);
    expect(armor.kernel.snapshot().elements["counter2"]).toBeDefined();
    armor.nowMs = 200;
    armor.step({ kind: "tick" });
    armor.run("count.add");
    expect(armor.failures).toEqual([]);
  });

  test("may come back, and begins anew", () => {
    const armor = new Armor([counter(1)]);
    armor.run("count.add");
    armor.change({ remove: "counter" });
    expect([armor.change({ add: counter(1) }), armor.count]).toEqual([undefined, 0]);
  });
});

describe("the thread that asks for a change", () => {
  test("goes on with the new elements", () => {
    const armor = new Armor([]);
    ready = { add: counter(1) };
    run(armor, "change.make", "count.add", "count.add");
    expect([armor.count, armor.failures]).toEqual([2, []]);
  });

  test("leaves a continuation for the rest, so that a crash after the change loses nothing", () => {
    const armor = new Armor([]);
    ready = { add: counter(1) };
    const { commits } = run(armor, "change.make", "count.add");
    const first = commits.find(({ versions }) => versions)!;
    expect(Object.values(first.continuations!).map((one) => one?.message.ops)).toContainEqual([{ name: "count.add" }]);
  });

  test("may hop away afterwards", () => {
    const armor = new Armor([]);
    ready = { add: counter(1) };
    const { commits } = run(armor, "change.make", "count.add@b");
    expect(commits.find(({ versions }) => versions)!.sent!.map(({ peer }) => peer)).toEqual(["b"]);
  });

  test("changes one element at a time", () => {
    const armor = new Armor([]);
    ready = { add: counter(1) };
    armor.run("change.twice");
    expect([armor.failures[0], armor.count]).toEqual(["handler-threw: a segment changes one element, and does not block then", undefined]);
  });

  test("sees the elements as they are", () => {
    const armor = new Armor([counter(1)]);
    const seen: unknown[] = [];
    ready = { add: element({ name: "seer", version: 1, state: {}, handlers: { "see.it": (_, { payload }) => void seen.push(payload["names"]) } }) };
    run(armor, "change.make", "change.describe", "see.it");
    expect(seen).toEqual([["changer", "counter", "starter", "seer"]]);
  });
});

describe("a change is refused, and nothing is changed,", () => {
  const throwing = () => {
    throw new Error("text of an engine");
  };
  const takes = (name: string, ops: string[], blocking: string[] = []): Element =>
    element({ name, version: 1, state: {}, handlers: Object.fromEntries(ops.map((one) => [one, () => undefined])), blocking });
  const none = element({ name: "counter", version: 1, state: { count: 0 }, handlers: {} });
  const cases: Record<string, [Reconfiguration, RegExp, ((armor: Armor) => void)?, DataRecord?]> = {
    "when the name is taken": [{ add: counter(2) }, /^refused: element "counter" exists already$/],
    "when there is nothing to replace": [{ replace: takes("x", []) }, /^refused: there is no element "x"$/],
    "when there is nothing to remove": [{ remove: "x" }, /^refused: there is no element "x"$/],
    "when the other version has no migrate": [{ replace: counter(2) }, /has no migrate: version 2 cannot take the state of version 1$/],
    "when migrate throws": [{ replace: counter(2, 1, { migrate: throwing }) }, /^refused: the state of element "counter" cannot be made: its code throws$/],
    "when the volatile part cannot be made": [{ add: { ...takes("x", []), volatile: throwing } }, /^refused: the state of element "x" cannot be made/],
    "when the check fails on the migrated state": [
      { replace: counter(2, 1, { migrate: () => ({ count: -1 }), check: (state) => ((state["count"] as number) < 0 ? "below zero" : undefined) }) },
      /^refused: the check of element "counter" fails on its state: below zero$/,
    ],
    "when the check fails on the state of the same version": [{ replace: counter(1, 1, { check: () => "never" }) }, /fails on its state: never$/],
    "when the migrated state is not plain data": [{ replace: counter(2, 1, { migrate: () => new Map() as never }) }, /^refused: the state of element "counter" is not plain data$/],
    "when a blocking op would have two subscribers": [{ add: takes("x", ["wait.long"]) }, /blocking op "wait.long" allows one subscriber: "waiter" has it$/],
    "when an op with a subscriber would become blocking": [{ add: takes("x", ["count.add"], ["count.add"]) }, /blocking op "count.add" allows one subscriber/],
    "when a blocking op has no handler": [{ add: takes("x", [], ["y.z"]) }, /blocking op "y.z" of "x" has no handler$/],
    "when a suspended thread is blocked on the op": [
      { remove: "waiter" },
      /^refused: op "wait.long" would have no subscriber: message "a\/.*" waits for it$/,
      (armor) => run(armor, "wait.long"),
    ],
    "when a suspended thread needs the op later": [
      { replace: none },
      /^refused: op "count.add" would have no subscriber/,
      (armor) => run(armor, "wait.long", "count.add"),
    ],
    "when an unacknowledged message brings the op back": [
      { remove: "counter" },
      /^refused: op "count.add" would have no subscriber/,
      (armor) => run(armor, "other.op@b", "more.ops", "count.add@a", "then.away@c"),
    ],
    "when a message sent by the same op needs it": [{ remove: "counter" }, /^refused: op "count.add" would have no subscriber/, undefined, { beside: "count.add" }],
    "when another element declares that it uses the op": [
      { remove: "counter" },
      /^refused: op "count.add" would have no subscriber: element "user" uses it$/,
      (armor) => armor.change({ add: { ...takes("user", []), uses: ["count.add"] } }),
    ],
    "when the new element uses an op that nobody handles": [{ add: { ...takes("x", []), uses: ["no.such"] } }, /op "no.such" would have no subscriber: element "x" uses it$/],
  };
  for (const [what, [change, text, prepare, payload]] of Object.entries(cases)) {
    test(what, () => {
      const armor = new Armor([counter(1), waiter]);
      prepare?.(armor);
      armor.run("count.later");
      const before = [comparable(armor.kernel.snapshot()), armor.kernel.describe(), armor.starts];
      expect(armor.change(change, payload)).toMatch(text);
      expect([comparable(armor.kernel.snapshot()), armor.kernel.describe(), armor.starts]).toEqual(before);
      expect(armor.last.commits).toEqual([]);
      armor.nowMs = 100;
      armor.step({ kind: "tick" });
      expect(armor.count).toBe(1);
    });
  }

  test("when the rest of its own itinerary needs the op", () => {
    const armor = new Armor([counter(1)]);
    ready = { remove: "counter" };
    run(armor, "change.make", "count.add");
    expect(armor.failures[0]).toMatch(/^refused: op "count.add" would have no subscriber/);
    expect(armor.count).toBe(0);
  });
});

describe("a change is made although messages wait,", () => {
  const others: Record<string, string[]> = {
    "when they run the op elsewhere": ["far.op@b", "count.add"],
    "when the op has another subscriber": ["wait.long", "shared.op"],
    "when they wait for other ops": ["wait.long", "count.later"],
  };
  for (const [what, ops] of Object.entries(others)) {
    test(what, () => {
      const shared = { "shared.op": () => undefined, "count.add": () => undefined };
      const keeps = element({ name: "keeps", version: 1, state: {}, handlers: { "shared.op": () => undefined, "count.later": () => undefined } });
      const armor = new Armor([element({ name: "counter", version: 1, state: {}, handlers: shared }), keeps, waiter]);
      run(armor, ...ops);
      expect([armor.change({ remove: "counter" }), armor.kernel.state("counter")]).toEqual([undefined, undefined]);
    });
  }
});

test("a snapshot after changes restores with the elements it names, at their versions", () => {
  const armor = new Armor([counter(1)]);
  armor.run("count.add");
  armor.change({ replace: counter(2, 1, { migrate: (state) => state }) });
  const restored = new Microkernel({
    armor: "a",
    generation,
    elements: [changer, counter(2)],
    random: seededRandom(1),
    restored: { snapshot: throughCodec(armor.kernel.snapshot()), records: [] },
  });
  expect([restored.state("counter"), restored.needsSnapshot]).toEqual([{ count: 1 }, false]);
});

/** A message from a peer with this itinerary; `name@armor`. */
function run(armor: Armor, ...ops: string[]): Effects {
  const itinerary = ops.map((text) => op(text.split("@")[0]!, text.split("@")[1]));
  const starter = element({ name: "starter", version: 1, state: {}, handlers: { "start.it": (_, thread) => void thread.send({ ops: itinerary }) } });
  const saved = ready;
  armor.change({ add: starter });
  ready = saved;
  const effects = armor.run("start.it");
  const failures = [...armor.failures];
  armor.change({ remove: "starter" });
  armor.failures.splice(0, Infinity, ...failures);
  ready = saved;
  return effects;
}
