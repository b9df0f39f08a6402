import { describe, expect, test } from "bun:test";
import type { DataRecord } from "../../core/data.ts";
import { type Element, element } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { op } from "../../core/micro_operation.ts";
import { makeArmor } from "../../core/test_armor.ts";

type Count = { readonly count: number };

const counter = (version = 1, rest: Partial<Element> = {}): Element => ({
  ...element<Count, { readonly looks: number }>({
    name: "counter",
    version,
    state: { count: 0 },
    volatile: () => ({ looks: 0 }),
    blocking: ["count.slowly"],
    handlers: {
      "count.up": ({ count }, { payload }) => ({ count: count + Number(payload["by"] ?? 1) }),
      "count.later": (_state, thread) => thread.after("later", 100, "count.up", { by: 5 }),
      "count.look": ({ count }, thread) => {
        thread.setVolatile({ looks: thread.volatile.looks + 1 });
        thread.payload["count"] = count;
      },
      "count.tell": ({ count }, thread) => void thread.send({ ops: [op("peer.take", "b")], payload: { count } }),
      "count.slowly": (state, thread) => {
        if (!thread.completion) {
          thread.block({ kind: "disk", args: { path: "x" }, timeoutMs: 1_000 });
          return;
        }
        if (!thread.completion.ok) throw new OperationError("refused", `the disk says ${thread.completion.error}`);
        return { count: state.count + Number(thread.completion.value) };
      },
      "count.spoil": (state) => {
        (state as { count: number }).count = 9;
      },
      "count.map": () => ({ count: new Map() }) as never,
      "count.shout": (_state, thread) => {
        thread.event({ kind: "count.loud", subject: thread.self });
        thread.command({ kind: "horn", args: { times: 2 } });
      },
    },
  }),
  ...rest,
});
const count = (armor: ReturnType<typeof makeArmor>): unknown => (armor.state("counter") as Count).count;

describe("an armor in memory", () => {
  test("takes messages and brings their payloads back", () => {
    const armor = makeArmor([counter()]);
    const { status, payload } = armor.send([op("count.up"), op("count.up"), op("count.look")], { by: 2 });
    expect([status, payload, count(armor)]).toEqual(["done", { by: 2, count: 4 }, 4]);
  });

  test("says why an op failed, and what it undid", () => {
    const armor = makeArmor([counter()]);
    const outcome = armor.send([op("count.up"), op("no.such")], { by: 7 });
    expect([outcome.status, outcome.failure!.code, outcome.failure!.op, outcome.payload, count(armor)]).toEqual(["failed", "unsubscribed", "no.such", { by: 7 }, 0]);
  });

  test("lets time pass when it is told to", () => {
    const armor = makeArmor([counter()]);
    armor.send("count.later");
    armor.advance(99);
    expect(count(armor)).toBe(0);
    armor.advance(1);
    expect([count(armor), armor.nowMs]).toEqual([5, 1_100]);
  });

  test("keeps what its elements sent, reported and asked for", () => {
    const armor = makeArmor([counter()], { armor: "mine" });
    armor.send("count.up");
    armor.send("count.tell");
    armor.send("count.shout");
    expect(armor.sent).toEqual([{ to: "b", lane: "user", ops: [{ name: "peer.take", at: "b" }], payload: { count: 1 } }]);
    expect(armor.events).toEqual([{ kind: "count.loud", subject: "mine", atMs: 1_000 }]);
    expect(armor.commands).toEqual([{ kind: "horn", args: { times: 2 } }]);
  });

  test("peers take thousands of messages", () => {
    const armor = makeArmor([counter()]);
    for (let round = 0; round < 4_200; round++) armor.send("count.tell");
    expect(armor.sent).toHaveLength(4_200);
  }, 30_000);

  test("blocking work waits to be finished; a restart begins it again; it times out", () => {
    const armor = makeArmor([counter()]);
    const outcome = armor.send("count.slowly");
    expect([outcome.status, armor.work.map(({ kind, args }) => [kind, args])]).toEqual(["waiting", [["disk", { path: "x" }]]]);
    armor.restart();
    armor.finish({ ok: true, value: 3 });
    expect([outcome.status, count(armor), armor.work]).toEqual(["done", 3, []]);
    expect(() => armor.finish({ ok: true, value: 3 })).toThrow("there is none");
    const late = armor.send("count.slowly");
    armor.advance(1_000);
    expect([late.status, late.failure!.text]).toEqual(["failed", "the disk says timeout"]);
  });

  test("comes back from its checkpoint with its state and without what is volatile", () => {
    const armor = makeArmor([counter()]);
    armor.send("count.up");
    armor.send("count.look");
    armor.send("count.later");
    armor.restart();
    armor.advance(1_000);
    expect([count(armor), armor.volatile("counter")]).toEqual([1, { looks: 0 }]);
    armor.send("count.up");
    armor.restart();
    expect(count(armor)).toBe(2);
  });

  test("shows a handler that changes its state in place, and one whose state is not plain data", () => {
    const armor = makeArmor([counter()]);
    for (const name of ["count.spoil", "count.map"]) expect(armor.send(name).failure!.code).toBe("handler-threw");
    expect(count(armor)).toBe(0);
  });

  test("takes local messages, which nobody answers", () => {
    const armor = makeArmor([counter()]);
    armor.local("count.up", { by: 4 });
    armor.local("no.such");
    expect(count(armor)).toBe(4);
  });

  test("changes its elements while it runs, also over restarts", () => {
    const armor = makeArmor([counter()]);
    armor.send("count.up");
    expect(armor.reconfigure({ replace: counter(2) })).toMatch(/has no migrate/);
    expect(armor.reconfigure({ replace: counter(2, { migrate: (state: DataRecord) => ({ count: 10 * (state["count"] as number) }) as Count }) })).toBe(undefined);
    expect(armor.reconfigure({ add: element({ name: "other", version: 1, state: {}, handlers: { "o.o": () => undefined } }) })).toBe(undefined);
    expect([count(armor), armor.elements]).toEqual([10, ["counter 2", "other 1"]]);
    armor.restart();
    expect([count(armor), armor.elements]).toEqual([10, ["counter 2", "other 1"]]);
    expect(armor.reconfigure({ remove: "other" })).toBe(undefined);
    armor.restart();
    expect([armor.elements, armor.send("o.o").status]).toEqual([["counter 2"], "failed"]);
  });
});
