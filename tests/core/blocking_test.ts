import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element } from "../../core/element.ts";
import { limits } from "../../core/limits.ts";
import type { Failure } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { KernelNetwork, type SimulatedWork } from "../sim/kernel_network.ts";

type Desk = { readonly done: readonly string[]; readonly before: number };

/** `desk.work` blocks for the host, `desk.wait` until `desk.release`; both note how they went. */
const desk = element<Desk>({
  name: "desk",
  version: 1,
  state: { done: [], before: 0 },
  blocking: ["desk.work", "desk.wait", "desk.twice", "desk.insert"],
  handlers: {
    "desk.go": (_, { payload, send }) => {
      const { to, what, deadlineMs } = payload as { to: string; what: string; deadlineMs?: number };
      send({ ops: [op(what, to), op("desk.note", to)], payload, ...(deadlineMs !== undefined && { deadlineMs }) });
    },
    "desk.work": (state, { completion, block, payload, nowMs }) => {
      if (!completion) {
        block({ kind: "job", args: payload["name"] ?? null, ...(payload["timeoutMs"] !== undefined && { timeoutMs: payload["timeoutMs"] as number }) });
        return { ...state, before: state.before + 1 };
      }
      payload["result"] = `${payload["name"]} ${completion.ok ? completion.value : completion.error} ${nowMs}`;
      return undefined;
    },
    "desk.wait": (state, thread) => {
      if (thread.completion) {
        thread.payload["result"] = thread.completion.ok ? thread.completion.value : thread.completion.error;
        return undefined;
      }
      thread.payload["key"] = thread.block({ kind: "wait", ...(thread.payload["timeoutMs"] !== undefined && { timeoutMs: thread.payload["timeoutMs"] as number }) });
      return { ...state, done: [...state.done, `waits ${thread.payload["key"]}`] };
    },
    "desk.release": (_, { payload, complete }) => complete(payload["key"] as string, { ok: true, value: payload["value"]! }),
    "desk.twice": (state, thread) => {
      const round = (thread.payload["round"] as number | undefined) ?? 0;
      if (round === 2) return { ...state, done: [...state.done, "twice"] };
      thread.payload["round"] = round + 1;
      thread.block({ kind: "job", args: `round ${round}` });
      return undefined;
    },
    "desk.insert": (_, thread) => {
      if (thread.completion) return;
      thread.append(op("desk.note"));
      thread.insert(op("desk.inserted"));
      thread.block({ kind: "job" });
    },
    "desk.inserted": (state) => ({ ...state, done: [...state.done, "inserted"] }),
    "desk.note": (state, { payload }) => ({ ...state, done: [...state.done, String(payload["result"] ?? "note")] }),
  },
});

const failures = element<{ readonly failures: readonly Data[] }>({
  name: "failures",
  version: 1,
  state: { failures: [] },
  handlers: { "armor.op-failed": (state, { payload, nowMs }) => ({ failures: [...state.failures, { ...(payload["failure"] as DataRecord), atMs: nowMs }] }) },
});

const job = (delayMs: number): Record<string, SimulatedWork> => ({
  job: (_, args) => ({ delayMs, completion: { ok: true, value: `did ${args}` } }),
});

function makeNetwork(seed = 1, work = job(10)): KernelNetwork {
  const network = new KernelNetwork(seed, { work });
  const elements: Element[] = [desk, failures];
  for (const id of ["a", "b"]) network.add(id, elements);
  return network;
}

const done = (network: KernelNetwork, id: string): readonly string[] => network.state<Desk>(id, "desk").done;
const failed = (network: KernelNetwork, id: string): (Failure & { atMs: number })[] =>
  network.state<{ failures: (Failure & { atMs: number })[] }>(id, "failures").failures;

describe("blocking work", () => {
  test("suspends its thread only: others run meanwhile, and it goes on with its own payload", () => {
    const network = makeNetwork(1, { job: (_, args) => ({ delayMs: args === "slow" ? 50 : 10, completion: { ok: true, value: "did" } }) });
    const startMs = network.nowMs;
    network.local("a", "desk.go", { to: "a", what: "desk.work", name: "slow" });
    network.local("a", "desk.go", { to: "a", what: "desk.work", name: "quick" });
    expect(network.state<Desk>("a", "desk").before).toBe(2);
    network.advance(100);
    expect(done(network, "a")).toEqual([`quick did ${startMs + 10}`, `slow did ${startMs + 50}`]);
  });

  test("a completion is consumed once; one for an unknown key, or a second one, changes nothing", () => {
    const network = makeNetwork(1, job(1_000));
    network.local("a", "desk.go", { to: "a", what: "desk.work", name: "x" });
    const [key] = [...network.worked.keys()] as [string];
    const completion = { ok: true, value: "by hand" } as const;
    network.step("a", { kind: "work-done", key: "unknown", completion });
    for (let times = 0; times < 3; times++) network.step("a", { kind: "work-done", key, completion });
    network.advance(5_000);
    expect(done(network, "a").length).toBe(1);
  });

  test("waits for another thread of the armor, also across a restart", () => {
    const network = makeNetwork();
    network.local("a", "desk.go", { to: "a", what: "desk.wait" });
    const key = done(network, "a")[0]!.slice("waits ".length);
    network.crashAfter("a", 0);
    network.restart("a");
    network.local("a", "desk.release", { key, value: "released" });
    network.local("a", "desk.release", { key, value: "again" });
    expect(done(network, "a").slice(1)).toEqual(["released"]);
    expect(network.worked.size).toBe(0);
  });

  test("that takes longer than its timeout completes with the error `timeout`", () => {
    const network = makeNetwork(1, job(100));
    const startMs = network.nowMs;
    network.local("a", "desk.go", { to: "a", what: "desk.work", name: "x", timeoutMs: 30 });
    network.advance(500);
    expect(done(network, "a")).toEqual([`x timeout ${startMs + 30}`]);
  });

  test("an op that blocks again does so under another key", () => {
    const network = makeNetwork();
    network.local("a", "desk.go", { to: "a", what: "desk.twice" });
    network.advance(100);
    expect(done(network, "a")).toEqual(["twice", "note"]);
    expect([...network.worked.values()]).toEqual([1, 1]);
  });

  test("ops inserted and appended by a handler that blocks run after it", () => {
    const network = makeNetwork();
    network.local("a", "desk.insert");
    network.advance(100);
    expect(done(network, "a")).toEqual(["inserted", "note"]);
  });

  test("begun by armor.started is begun once", () => {
    const network = new KernelNetwork(1, { work: job(10) });
    const starter = element<{ readonly ends: number }>({
      name: "starter",
      version: 1,
      state: { ends: 0 },
      blocking: ["armor.started"],
      handlers: {
        "armor.started": (state, { completion, block }) => {
          if (completion) return { ends: state.ends + 1 };
          block({ kind: "job" });
          return undefined;
        },
      },
    });
    network.add("a", [starter]);
    network.advance(100);
    expect(network.state("a", "starter")).toEqual({ ends: 1 });
    expect([...network.worked.values()]).toEqual([1]);
  });

  test("is refused when too many threads are suspended; the armor goes on", () => {
    const network = makeNetwork(1, job(1_000_000));
    network.compared = false;
    for (let count = 0; count < limits.continuationsMax + 5; count++) network.local("a", "desk.work", { name: `${count}`, timeoutMs: 500_000 });
    const kernel = network.armor("a").kernel!;
    expect(Object.keys(kernel.snapshot().continuations).length).toBe(limits.continuationsMax);
    network.local("a", "desk.note");
    expect(done(network, "a")).toEqual(["note"]);
    network.advance(600_000);
    expect(Object.keys(kernel.snapshot().continuations).length).toBe(0);
  }, 60_000);

  test("completes once, under one key, whenever either end crashes", () =>
    fc.assert(
      fc.property(fc.nat(), fc.array(fc.record({ armor: fc.constantFrom("a", "b"), effects: fc.nat(8), ms: fc.nat(40) }), { maxLength: 12 }), (seed, crashes) => {
        const network = makeNetwork(seed);
        network.local("a", "desk.go", { to: "b", what: "desk.work", name: "x" });
        network.local("b", "desk.go", { to: "a", what: "desk.work", name: "y" });
        network.local("a", "desk.go", { to: "b", what: "desk.twice" });
        for (const { armor, effects, ms } of crashes) {
          network.crashAfter(armor, effects);
          network.advance(ms);
          network.restart(armor);
          if (effects === 3) network.snapshot(armor);
        }
        expect(network.settle()).toBe(true);
        expect(done(network, "b").map((line) => line.split(" ")[0]).sort()).toEqual(["note", "twice", "x"]);
        expect(done(network, "a").map((line) => line.split(" ")[0])).toEqual(["y"]);
        expect(network.worked.size).toBe(4);
        expect([failed(network, "a"), failed(network, "b")]).toEqual([[], []]);
      }),
      { seed: 1, numRuns: 150, includeErrorInReport: true },
    ), 60_000);
});

describe("deadline", () => {
  test("that passes while the thread is suspended fails the segment; the work's late completion is ignored", () => {
    const network = makeNetwork(1, job(100));
    network.local("a", "desk.go", { to: "a", what: "desk.work", name: "x", deadlineMs: 30 });
    network.advance(500);
    expect(failed(network, "a")).toMatchObject([{ code: "deadline", op: "desk.work", armor: "a", committed: 1, atMs: 1_030 }]);
    expect(done(network, "a")).toEqual([]);
  });

  test("goes on counting from one blocking op to the next and on the way to another armor", () => {
    const network = makeNetwork(1, job(20));
    network.local("a", "desk.go", { to: "a", what: "desk.twice", deadlineMs: 30 });
    network.advance(500);
    expect(failed(network, "a")).toMatchObject([{ code: "deadline", atMs: 1_030 }]);
    const other = makeNetwork(1, job(20));
    other.local("a", "desk.go", { to: "b", what: "desk.twice", deadlineMs: 35 });
    other.advance(500);
    expect(done(other, "b")).toEqual([]);
    expect(failed(other, "a")).toMatchObject([{ code: "deadline", armor: "b" }]);
  });

  test("that passes before a message could be transmitted turns it round", () => {
    const network = makeNetwork();
    network.cut.add("a b").add("b a");
    network.local("a", "desk.go", { to: "b", what: "desk.note", deadlineMs: 50 });
    network.advance(49);
    expect(failed(network, "a")).toEqual([]);
    network.advance(10);
    expect(failed(network, "a")).toMatchObject([{ code: "deadline", armor: "a", op: "desk.note" }]);
    network.settle();
    expect(done(network, "b")).toEqual([]);
  });

  test("that passes on the way is answered by the receiver, which does nothing", () => {
    const network = makeNetwork();
    network.local("a", "desk.go", { to: "b", what: "desk.note" });
    network.advance(10);
    network.faults = { ...network.faults, drop: 1_000 };
    network.local("a", "desk.go", { to: "b", what: "desk.note", deadlineMs: 50 });
    network.advance(60);
    network.settle();
    expect(done(network, "b")).toEqual(["note", "note"]);
    expect(failed(network, "a")).toMatchObject([{ code: "deadline", armor: "b" }]);
  });

  test("`failed` means no effect, however late, lossy and crash-ridden the way is", () =>
    fc.assert(
      fc.property(fc.nat(), fc.nat(60), fc.array(fc.record({ armor: fc.constantFrom("a", "b"), effects: fc.nat(6), ms: fc.nat(60) }), { maxLength: 8 }), (seed, deadlineMs, crashes) => {
        const network = makeNetwork(seed, job(15));
        network.faults = { drop: 300, duplicate: 200, reorder: true, delayMaxMs: 30 };
        for (const what of ["desk.note", "desk.note"]) network.local("a", "desk.go", { to: "b", what, deadlineMs });
        for (const { armor, effects, ms } of crashes) {
          network.crashAfter(armor, effects);
          network.advance(ms);
          network.restart(armor);
        }
        expect(network.settle()).toBe(true);
        // Two messages of two notes each, all in one segment.
        expect(done(network, "b").length / 2 + failed(network, "a").length).toBe(2 - (done(network, "a").length === 0 ? network.armor("a").generation.counter : 0));
      }),
      { seed: 1, numRuns: 150, includeErrorInReport: true },
    ), 60_000);
});
