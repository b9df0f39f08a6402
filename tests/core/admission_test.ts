import { describe, expect, test } from "bun:test";
import { type Element, element } from "../../core/element.ts";
import { limits, timing } from "../../core/limits.ts";
import type { Failure, Lane } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

type Counts = { readonly sent: number; readonly refused: number; readonly taken: number; readonly failed: number; readonly codes: readonly string[] };

/** Sends many messages in one segment and counts. Small state: the tests fill outboxes. */
const counter = element<Counts>({
  name: "counter",
  version: 1,
  state: { sent: 0, refused: 0, taken: 0, failed: 0, codes: [] },
  handlers: {
    "counter.flood": (state, { payload, send }) => {
      const { to, count, lane = "user", deadlineMs, relay, what = "counter.take" } = payload as { to: string; count: number; lane?: Lane; deadlineMs?: number; relay?: string; what?: string };
      let sent = 0;
      const ops = [op(what, to), ...(relay === undefined ? [] : [op("counter.take", relay)])];
      for (let index = 0; index < count; index++) {
        if (send({ ops, lane, ...(deadlineMs !== undefined && { deadlineMs }) })) sent += 1;
      }
      return { ...state, sent: state.sent + sent, refused: state.refused + count - sent };
    },
    "counter.take": (state) => ({ ...state, taken: state.taken + 1 }),
    "armor.op-failed": (state, { payload }) => {
      const { code } = payload["failure"] as Failure;
      return { ...state, failed: state.failed + 1, codes: [...new Set([...state.codes, code])] };
    },
  },
});

function makeNetwork(): KernelNetwork {
  const network = new KernelNetwork(1);
  network.compared = false;
  const elements: Element[] = [counter];
  for (const id of ["a", "b", "c"]) network.add(id, elements);
  return network;
}

const counts = (network: KernelNetwork, id: string): Counts => network.state<Counts>(id, "counter");
const outbox = (network: KernelNetwork, id: string, peer: string): number =>
  network.armor(id).kernel!.snapshot().channels.find((channel) => channel.peer === peer)?.outbox.length ?? 0;
const isolate = (network: KernelNetwork, id: string): void => {
  for (const other of network.armors.keys()) network.cut.add(`${id} ${other}`).add(`${other} ${id}`);
};
const flood = (network: KernelNetwork, from: string, to: string, count: number, more: Record<string, string | number> = {}): void => {
  for (let left = count; left > 0; left -= 1_000) network.local(from, "counter.flood", { to, count: Math.min(left, 1_000), ...more });
};

describe("an armor whose peer is unreachable", () => {
  test("keeps bounded outboxes: `send` says no, and nothing is lost of what was accepted", () => {
    const network = makeNetwork();
    isolate(network, "b");
    flood(network, "a", "b", limits.outboxMax + 2_000);
    expect(counts(network, "a")).toMatchObject({ sent: limits.outboxMax, refused: 2_000 });
    flood(network, "a", "b", 1, { lane: "system" });
    expect(outbox(network, "a", "b")).toBe(limits.outboxMax + 1);
    expect(network.settle()).toBe(true);
    expect(counts(network, "b").taken).toBe(limits.outboxMax + 1);
    expect(outbox(network, "a", "b")).toBe(0);
  }, 60_000);

  test("admits no user message while it has no room for what one segment may send, but system messages; later all", () => {
    const network = makeNetwork();
    isolate(network, "b");
    flood(network, "a", "b", limits.outboxMax - limits.sendsPerSegmentMax);
    flood(network, "c", "a", 3);
    network.advance(100);
    expect(counts(network, "a").taken).toBe(3);
    flood(network, "a", "b", 1);
    flood(network, "c", "a", 5);
    flood(network, "c", "a", 2, { lane: "system" });
    network.advance(10_000);
    expect(counts(network, "a").taken).toBe(5);
    expect(outbox(network, "c", "a")).toBe(5);
    expect(network.settle()).toBe(true);
    expect(counts(network, "a").taken).toBe(10);
  }, 60_000);

  test("tells a sender that it has turned away as soon as there is room", () => {
    const network = makeNetwork();
    isolate(network, "b");
    flood(network, "a", "b", limits.outboxMax);
    flood(network, "c", "a", 1);
    network.advance(30_000);
    network.cut.clear();
    network.step("a", { kind: "link-up" });
    network.advance(100);
    expect(counts(network, "a").taken).toBe(1);
  }, 60_000);

  test("fails a hop that finds no room with `outbox-full`, and the segment before it is undone", () => {
    const network = makeNetwork();
    isolate(network, "b");
    flood(network, "c", "b", limits.outboxMax);
    // The system lane is always admitted; its messages go on to b in the system lane as well.
    flood(network, "c", "b", limits.outboxMax, { lane: "system" });
    flood(network, "a", "c", 2, { lane: "system", relay: "b" });
    network.advance(1_000);
    expect(counts(network, "a")).toMatchObject({ failed: 2, codes: ["outbox-full"] });
    expect(counts(network, "c").taken).toBe(0);
  }, 60_000);

  test("keeps an answer that finds no room as a dead letter", () => {
    const network = makeNetwork();
    flood(network, "a", "b", 1, { lane: "system" });
    network.advance(100);
    network.cut.add("b a");
    flood(network, "b", "a", limits.outboxMax, { lane: "system" });
    network.local("a", "counter.flood", { to: "b", count: 1, what: "counter.nobody" });
    network.advance(100);
    expect(network.commands).toMatchObject([{ armor: "b", command: { kind: "dead-letter", args: { message: { to: "a", failed: true } } } }]);
  }, 60_000);
});

describe("two armors that have filled their user lanes to each other", () => {
  test("go on as soon as deadlines pass: what was not admitted turns round", () => {
    const network = makeNetwork();
    isolate(network, "b");
    flood(network, "a", "b", limits.outboxMax, { deadlineMs: 5_000 });
    flood(network, "b", "a", limits.outboxMax, { deadlineMs: 5_000 });
    network.cut.clear();
    network.step("a", { kind: "link-up" });
    network.step("b", { kind: "link-up" });
    network.advance(3_000);
    expect([counts(network, "a").taken, counts(network, "b").taken]).toEqual([0, 0]);
    expect(network.settle()).toBe(true);
    for (const id of ["a", "b"]) {
      const { sent, failed, codes } = counts(network, id);
      expect(failed).toBe(sent - counts(network, id === "a" ? "b" : "a").taken);
      expect(codes).toEqual(["deadline"]);
      expect(outbox(network, id, id === "a" ? "b" : "a")).toBe(0);
    }
    flood(network, "a", "b", 5);
    expect(network.settle()).toBe(true);
    expect(counts(network, "b").taken).toBeGreaterThanOrEqual(5);
  }, 60_000);

  test("after transmission too: what is late is answered without room", () => {
    const network = makeNetwork();
    for (const [from, to] of [["a", "b"], ["b", "a"]] as const) flood(network, from, to, 1);
    network.advance(100);
    isolate(network, "b");
    // Transmitted into the cut: only the receiver can know that they had no effect.
    flood(network, "a", "b", limits.outboxMax, { deadlineMs: 1_000 });
    flood(network, "b", "a", limits.outboxMax, { deadlineMs: 1_000 });
    network.cut.clear();
    expect(network.settle()).toBe(true);
    for (const [id, other] of [["a", "b"], ["b", "a"]] as const) {
      const { sent, failed } = counts(network, id);
      expect(failed + counts(network, other).taken).toBe(sent);
    }
  }, 60_000);
});

describe("user messages without a deadline", () => {
  const full = (restarted: boolean): KernelNetwork => {
    const network = makeNetwork();
    for (const [from, to] of [["a", "b"], ["b", "a"]] as const) flood(network, from, to, 1);
    network.advance(100);
    isolate(network, "b");
    flood(network, "a", "b", limits.outboxMax);
    flood(network, "b", "a", limits.outboxMax);
    if (!restarted) return network;
    network.advance(1_000);
    network.crashAfter("a", 0);
    network.restart("a");
    return network;
  };
  const balance = (network: KernelNetwork): number[] =>
    ([["a", "b"], ["b", "a"]] as const).map(([id, other]) => counts(network, id).sent - counts(network, id).failed - counts(network, other).taken);

  test("turn round when they are not admitted in time: two armors full of them go on", () => {
    const network = full(false);
    network.cut.clear();
    const { framesSent } = network;
    network.advance(timing.admissionMs - 1_000);
    // Two closed windows do not keep each other busy.
    expect(network.framesSent - framesSent).toBeLessThan(2_000);
    expect([counts(network, "a").taken, counts(network, "b").taken]).toEqual([1, 1]);
    network.advance(3_000);
    expect([outbox(network, "a", "b"), outbox(network, "b", "a"), ...balance(network)]).toEqual([0, 0, 0, 0]);
    expect(counts(network, "a").codes).toEqual(["deadline"]);
    flood(network, "a", "b", 5);
    expect(network.settle()).toBe(true);
    expect([outbox(network, "a", "b"), ...balance(network)]).toEqual([0, 0, 0]);
  }, 60_000);

  for (const restarted of [false, true]) {
    test(`leave their lane when the receiver never comes back, but for those that may have reached it${restarted ? ", also after a restart" : ""}`, () => {
      const network = full(restarted);
      network.advance(timing.admissionMs / 2);
      flood(network, "c", "a", 3);
      network.advance(1_000);
      expect(counts(network, "a").taken).toBe(1);
      network.advance(timing.admissionMs / 2 + 1_000);
      expect(counts(network, "a").taken).toBe(4);
      const left = outbox(network, "a", "b");
      expect(left).toBeGreaterThan(0);
      expect(left).toBeLessThanOrEqual(2 * limits.windowMax);
      expect(counts(network, "a").failed).toBe(limits.outboxMax - left);
      // It comes back after all: those are answered, or take effect, once.
      expect(network.settle()).toBe(true);
      expect([outbox(network, "a", "b"), ...balance(network)]).toEqual([0, 0, -3]);
    }, 60_000);
  }

  test("have no deadline once they are admitted", () => {
    const network = new KernelNetwork(1, { work: { slow: () => ({ delayMs: 2 * timing.admissionMs, completion: { ok: true, value: null } }) } });
    const slow = element({
      name: "slow",
      version: 1,
      state: {},
      blocking: ["slow.work"],
      handlers: { "slow.work": (_state, thread) => void (thread.completion ?? thread.block({ kind: "slow" })) },
    });
    network.add("a", [counter]);
    network.add("b", [slow, counter]);
    network.local("a", "counter.flood", { to: "b", count: 1, what: "slow.work", relay: "a" });
    network.advance(3 * timing.admissionMs);
    expect(counts(network, "a")).toMatchObject({ taken: 1, failed: 0 });
  });
});

test("whatever crashes while messages turn round, each takes effect once or comes back once", () => {
  const network = new KernelNetwork(1);
  network.compared = false;
  for (const id of ["a", "b"]) network.add(id, [counter]);
  const { random } = network;
  network.faults = { drop: 5, duplicate: 5, reorder: false, delayMaxMs: 5 };
  for (let round = 0; round < 6; round++) {
    if (round % 2 === 0) isolate(network, "b");
    for (const [from, to] of [["a", "b"], ["b", "a"]] as const) flood(network, from, to, 200 + random.below(800), random.below(3) === 0 ? { deadlineMs: 1_000 } : {});
    // Shorter or longer than they wait.
    network.advance(random.below(2 * timing.admissionMs));
    network.cut.clear();
    for (const id of ["a", "b"]) if (random.below(2) === 0) network.crashAfter(id, random.below(500));
    network.advance(random.below(3_000));
    for (const id of ["a", "b"]) network.restart(id);
    network.advance(random.below(timing.admissionMs));
  }
  network.settle();
  network.advance(2 * timing.admissionMs);
  for (const [id, other] of [["a", "b"], ["b", "a"]] as const) {
    const { sent, failed } = counts(network, id);
    expect([id, outbox(network, id, other), failed + counts(network, other).taken]).toEqual([id, 0, sent]);
  }
  expect(counts(network, "a").failed + counts(network, "b").failed).toBeGreaterThan(0);
}, 60_000);

describe("messages to oneself", () => {
  test("are bounded, and a loop of them does not stop the armor", () => {
    const network = new KernelNetwork(1);
    network.compared = false;
    const loop = element<{ readonly rounds: number; readonly refused: number }>({
      name: "loop",
      version: 1,
      state: { rounds: 0, refused: 0 },
      handlers: {
        "loop.double": ({ rounds, refused }, { send }) => {
          if (rounds > 20_000) return undefined;
          const accepted = [send({ ops: [op("loop.double")] }), send({ ops: [op("loop.double")] })].filter(Boolean).length;
          return { rounds: rounds + 1, refused: refused + 2 - accepted };
        },
      },
    });
    network.add("a", [loop, counter]);
    network.local("a", "loop.double");
    network.local("a", "counter.take");
    expect(counts(network, "a").taken).toBe(1);
    expect(network.settle()).toBe(true);
    const { rounds, refused } = network.state<{ rounds: number; refused: number }>("a", "loop");
    expect(rounds).toBe(20_001);
    expect(refused).toBeGreaterThan(0);
  }, 60_000);
});
