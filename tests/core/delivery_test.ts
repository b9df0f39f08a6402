import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { DataFrame, HelloFrame } from "../../core/frame.ts";
import { ReliableChannel } from "../../core/reliable_channel.ts";
import { KernelNetwork, kindNetwork, type NetworkFaults } from "../sim/kernel_network.ts";
import { deliveries, eventLog, type Ledger, ledger, orders } from "./delivery_fixture.ts";

const ids = ["a", "b", "c"];
/** Limit of a property test: a loaded machine is slow. */
const slowMs = 60_000;

/** One thing a test does to the network. */
type Action = { readonly kind: string; readonly armor: number; readonly other: number; readonly amount: number };

const action = (kinds: readonly string[]): fc.Arbitrary<Action> =>
  fc.record({ kind: fc.constantFrom(...kinds), armor: fc.nat(2), other: fc.nat(1), amount: fc.nat(12) });

const anyFaults: fc.Arbitrary<NetworkFaults> = fc.record({
  drop: fc.constantFrom(0, 100, 400),
  duplicate: fc.constantFrom(0, 200, 600),
  reorder: fc.boolean(),
  delayMaxMs: fc.constantFrom(0, 3, 40, 400),
});

function makeNetwork(seed: number, faults: NetworkFaults): KernelNetwork {
  const network = new KernelNetwork(seed, { eventSink: "log" });
  network.add("log", [eventLog]);
  for (const id of ids) network.add(id, [ledger]);
  network.faults = faults;
  return network;
}

function play(network: KernelNetwork, actions: readonly Action[]): void {
  let token = 0;
  for (const { kind, armor, other, amount } of actions) {
    const id = ids[armor]!;
    switch (kind) {
      case "send":
        for (let count = 0; count <= amount % 4; count++) {
          const to = ids.filter((peer) => peer !== id)[other]!;
          network.local(id, "ledger.send", { token: `t${++token}`, to, lane: token % 3 === 0 ? "system" : "user" });
        }
        break;
      case "crash":
        network.crashAfter(id, amount);
        break;
      case "restart":
        network.restart(id);
        break;
      case "snapshot":
        network.snapshot(id);
        break;
      case "rewind":
        network.rewind(id, amount);
        break;
      case "cut":
        network.cut.add(`${id} ${ids.filter((peer) => peer !== id)[other]!}`);
        break;
      case "heal":
        network.cut.clear();
        break;
      default:
        network.advance(amount * 40);
    }
  }
}

describe("a message takes effect exactly once, in the order in which it was sent", () => {
  const check = (kinds: readonly string[], runs: number, seed: number): void =>
    fc.assert(
      fc.property(fc.nat(), anyFaults, fc.array(action(kinds), { minLength: 5, maxLength: 60 }), (networkSeed, faults, actions) => {
        const network = makeNetwork(networkSeed, faults);
        play(network, actions);
        expect(network.settle()).toBe(true);
        for (const { token, taken, failed } of deliveries(network)) expect(`${token} ${taken} ${failed}`).toBe(`${token} 1 0`);
        const { sent, taken } = orders(network);
        for (const [lane, tokens] of sent) expect(taken.get(lane)).toEqual(tokens);
      }),
      { seed, numRuns: runs, includeErrorInReport: true },
    );

  test("over a network that drops, doubles, delays and reorders", () => check(["send", "send", "advance", "cut", "heal"], 40, 1), slowMs);

  test("while any armor crashes between any two of its effects and restarts from its checkpoint", () =>
    check(["send", "send", "send", "advance", "advance", "crash", "restart", "snapshot"], 80, 2), slowMs);
});

describe("agreement on a channel", () => {
  test("two sides that greet at once agree, and each message takes effect", () => {
    const network = makeNetwork(1, kindNetwork);
    network.local("a", "ledger.send", { token: "1", to: "b" });
    network.local("b", "ledger.send", { token: "2", to: "a" });
    network.advance(100);
    expect(deliveries(network).map(({ taken }) => taken)).toEqual([1, 1]);
    const frames = network.framesSent;
    expect(network.settle()).toBe(true);
    expect(network.framesSent).toBe(frames);
  });

  test("a backlog leaves as acknowledgements come, not by retransmission, after the sender restarts", () => {
    const from = { epoch: 1, node: "n", counter: 0 };
    const outbox = Array.from({ length: 1_500 }, (_, index) => ({ lane: "user", sequence: index + 1, body: new Uint8Array(1) }) as const);
    const zero = { system: 0, user: 0 };
    const saved = { peer: "b", inbound: from, outbound: from, numbered: from, marks: zero, next: { system: 1, user: 1_501 }, acked: zero, outbox };
    const channel = new ReliableChannel("a", "b", from, 7, saved);
    const ends = { from: "b", to: "a", fromGeneration: from, toGeneration: from } as const;
    const { attempt } = channel.outgoing(0)[0] as HelloFrame;
    channel.receive({ type: "welcome", ...ends, marks: zero, known: true, attempt, window: 256 }, 0);
    let mark = 0;
    for (let frames = channel.outgoing(0); frames.length > 0; frames = channel.outgoing(0)) {
      for (const frame of frames) expect((frame as DataFrame).sequence).toBe(++mark);
      channel.receive({ type: "ack", ...ends, lane: "user", mark, window: 256 }, 0);
    }
    expect(mark).toBe(1_500);
    expect(channel.pending).toBe(false);
  });

  test("what is transmitted again is little until the peer answers: a way that breaks at once is not given everything each time", () => {
    const from = { epoch: 1, node: "n", counter: 0 };
    const channel = new ReliableChannel("a", "b", from, 7);
    const ends = { from: "b", to: "a", fromGeneration: from, toGeneration: from } as const;
    for (let index = 0; index < 100; index++) channel.enqueue("user", new Uint8Array(1), undefined);
    const { attempt } = channel.outgoing(0)[0] as HelloFrame;
    channel.receive({ type: "welcome", ...ends, marks: { system: 0, user: 0 }, known: true, attempt, window: 256 }, 0);
    const numbers = (nowMs: number): number[] => channel.outgoing(nowMs).map((frame) => (frame as DataFrame).sequence);
    const from1 = (count: number, first = 1): number[] => Array.from({ length: count }, (_, index) => first + index);
    expect(numbers(0)).toEqual(from1(100));
    for (let nowMs = 1; nowMs < 6; nowMs++) {
      channel.kick(nowMs);
      expect(numbers(nowMs)).toEqual(from1(16));
      expect(numbers(nowMs)).toEqual([]);
    }
    channel.enqueue("user", new Uint8Array(1), undefined);
    expect(numbers(6)).toEqual([]);
    channel.receive({ type: "ack", ...ends, lane: "user", mark: 3, window: 256 }, 7);
    expect(numbers(7)).toEqual(from1(85, 17));
  });

  test("a welcome that an acknowledgement has overtaken changes nothing", () => {
    const from = { epoch: 1, node: "n", counter: 0 };
    const channel = new ReliableChannel("a", "b", from, 7);
    const body = new Uint8Array([1]);
    const ends = { from: "b", to: "a", fromGeneration: from, toGeneration: from } as const;
    const hello = (): number => (channel.outgoing(0)[0] as HelloFrame).attempt;
    channel.enqueue("user", body, undefined);
    channel.enqueue("user", body, undefined);
    channel.receive({ type: "welcome", ...ends, marks: { system: 0, user: 0 }, known: true, attempt: hello(), window: 256 }, 0);
    channel.receive({ type: "stranger", ...ends }, 0);
    const attempt = hello();
    channel.receive({ type: "welcome", ...ends, marks: { system: 0, user: 1 }, known: true, attempt, window: 256 }, 0);
    expect(channel.acked.user).toBe(1);
    expect(channel.outgoing(0).map((frame) => frame.type === "data" && frame.sequence)).toEqual([2]);
    channel.kick(1);
    channel.receive({ type: "ack", ...ends, lane: "user", mark: 2, window: 0 }, 1);
    channel.enqueue("user", body, undefined);
    channel.kick(2);
    const probe = (channel.outgoing(2)[0] as HelloFrame).attempt;
    channel.receive({ type: "welcome", ...ends, marks: { system: 0, user: 1 }, known: true, attempt: probe, window: 256 }, 3);
    expect(channel.acked.user).toBe(2);
    expect(channel.outgoing(3).map((frame) => frame.type === "data" && frame.sequence)).toEqual([3]);
  });
});

describe("rewind", () => {
  test("every message took effect exactly once in surviving state, or is counted in armor.rewound", () =>
    fc.assert(
      fc.property(
        fc.nat(),
        anyFaults,
        fc.array(action(["send", "send", "send", "advance", "advance", "advance", "crash", "restart", "snapshot", "rewind"]), { minLength: 5, maxLength: 60 }),
        (networkSeed, faults, actions) => {
          const network = makeNetwork(networkSeed, faults);
          play(network, actions);
          expect(network.settle()).toBe(true);
          // An armor restored from before the first contact knows of no peers: they notice with their next message.
          for (const from of ids) for (const to of ids) if (from !== to) network.local(from, "ledger.send", { token: `last ${from} ${to}`, to });
          expect(network.settle()).toBe(true);
          for (const from of ids) {
            for (const to of ids) {
              const wrong = deliveries(network).filter((delivery) => delivery.from === from && delivery.to === to && delivery.taken !== 1);
              const said = network.events.filter(({ armor, event }) => armor === from && event.subject === to && event.kind === "armor.rewound");
              const counted = said.reduce((sum, { event }) => sum + (event["inDoubt"] as number), 0);
              if (wrong.length > counted) throw new Error(`${from} → ${to}: ${JSON.stringify(wrong)} but counted ${counted}`);
            }
          }
        },
      ),
      { seed: 3, numRuns: 80, includeErrorInReport: true },
    ), slowMs);

  test("names what the other side had handled and this side has forgotten", () => {
    const network = makeNetwork(1, kindNetwork);
    for (const token of ["1", "2", "3"]) network.local("a", "ledger.send", { token, to: "b" });
    network.advance(100);
    network.rewind("a", 2);
    network.local("a", "ledger.send", { token: "4", to: "b" });
    network.advance(1_000);
    expect(network.events).toMatchObject([{ armor: "a", event: { subject: "b", inDoubt: 2 } }]);
    expect(network.state<Ledger>("a", "ledger").sent.map(([token]) => token)).toEqual(["1", "4"]);
    expect(network.state<Ledger>("b", "ledger").taken.map(([token]) => token)).toEqual(["1", "2", "3", "4"]);
  });

  test("is agreed on durably before anything leaves under the new numbers", () => {
    const network = makeNetwork(1, kindNetwork);
    network.local("a", "ledger.send", { token: "1", to: "b" });
    network.advance(100);
    network.rewind("a", 0);
    network.local("a", "ledger.send", { token: "2", to: "b" });
    // The data leaves, the process dies before it hears of it.
    for (let frames = 0; network.state<Ledger>("b", "ledger").taken.length < 2 && frames < 100; frames++) network.advance(1);
    network.crashAfter("a", 0);
    network.restart("a");
    network.advance(5_000);
    expect(network.state<Ledger>("b", "ledger").taken.map(([token]) => token)).toEqual(["1", "2"]);
  });

  test("after a rewind, from before both: what may take effect twice is named", () => {
    const network = makeNetwork(1, kindNetwork);
    for (const token of ["1", "2"]) network.local("a", "ledger.send", { token, to: "b" });
    while (network.state<Ledger>("b", "ledger").taken.length < 2) network.advance(1);
    // The acknowledgements do not arrive.
    network.cut.add("b a");
    network.advance(100);
    network.cut.clear();
    const before = network.armor("a").store.commit;
    network.rewind("a", 0);
    network.advance(100);
    network.local("a", "ledger.send", { token: "3", to: "b" });
    network.advance(100);
    expect(network.events).toEqual([]);
    network.rewind("a", network.armor("a").store.commit - before);
    network.advance(5_000);
    const taken = network.state<Ledger>("b", "ledger").taken.map(([token]) => token);
    expect(taken).toEqual(["1", "2", "3", "1", "2"]);
    expect(network.events).toMatchObject([{ armor: "a", event: { subject: "b", inDoubt: 2 } }]);
    expect((network.events[0]!.event["messages"] as string[]).length).toBe(2);
  });

  test("names what had turned round in the life that is lost, if another was handled under its number, and sends it again: it turns round once more", () => {
    const network = makeNetwork(1, kindNetwork);
    network.cut.add("a b");
    network.local("a", "ledger.send", { token: "1", to: "b", lane: "system", deadlineMs: 1_000 });
    const { commit } = network.armor("a").store;
    network.advance(5_000);
    expect(network.state<Ledger>("a", "ledger").failed).toEqual(["1"]);
    network.cut.clear();
    network.local("a", "ledger.send", { token: "2", to: "b", lane: "system" });
    network.advance(5_000);
    network.rewind("a", network.armor("a").store.commit - commit);
    network.advance(5_000);
    expect(network.state<Ledger>("b", "ledger").taken.map(([token]) => token)).toEqual(["2"]);
    expect(network.state<Ledger>("a", "ledger").failed).toEqual(["1"]);
    expect(network.events).toMatchObject([{ armor: "a", event: { kind: "armor.rewound", subject: "b", inDoubt: 1, messages: [expect.stringContaining("a/")] } }]);
  });

  test("is not said of an armor that began anew by order; only what was on its way is in doubt", () => {
    const network = makeNetwork(1, kindNetwork);
    for (const token of ["1", "2"]) network.local("a", "ledger.send", { token, to: "b" });
    network.advance(100);
    network.renew("b");
    network.local("b", "ledger.send", { token: "3", to: "a" });
    network.advance(1_000);
    expect(network.events).toEqual([]);
    network.cut.add("a b");
    network.local("a", "ledger.send", { token: "4", to: "b" });
    network.advance(100);
    network.cut.clear();
    network.renew("b");
    network.advance(5_000);
    expect(network.events).toMatchObject([{ armor: "a", event: { kind: "armor.rewound", subject: "b", inDoubt: 1 } }]);
    expect(network.state<Ledger>("b", "ledger").taken.map(([token]) => token)).toEqual(["4"]);
  });

  test("is reported by a peer that had nothing to say", () => {
    const network = makeNetwork(1, kindNetwork);
    network.local("a", "ledger.send", { token: "1", to: "b" });
    network.local("b", "ledger.send", { token: "2", to: "a" });
    network.advance(100);
    // The commit for 3 says that 2 was acknowledged: nothing waits at b when 4 is lost.
    for (const token of ["3", "4"]) {
      network.local("a", "ledger.send", { token, to: "b" });
      network.advance(100);
    }
    network.rewind("b", 1);
    network.advance(1_000);
    expect(network.state<Ledger>("b", "ledger").taken.map(([token]) => token)).toEqual(["1", "3"]);
    const [said] = network.events;
    expect(said).toMatchObject({ armor: "a", event: { kind: "armor.rewound", subject: "b", inDoubt: 1 } });
    expect(network.events.length).toBe(1);
    expect(network.state<{ notes: unknown[] }>("log", "event-log").notes.length).toBe(1);
  });
});

describe("a deadline outlives its process", () => {
  /** `a` sends to `b`, which cannot be reached, dies and is started again. @returns What has become of it when the way is free after `waitMs`. */
  const sendAcrossRestart = (waitMs: number, rebootedAtMs?: number): { taken: number; failed: readonly string[] } => {
    const network = new KernelNetwork(7);
    for (const id of ["a", "b"]) network.add(id, [ledger]);
    network.faults = { ...kindNetwork, reorder: true };
    network.advance(1_000_000);
    network.cut.add("a b");
    network.local("a", "ledger.send", { token: "t", to: "b", deadlineMs: 5_000 });
    network.crashAfter("a", 0);
    if (rebootedAtMs !== undefined) {
      // The clock of another boot begins anew.
      network.crashAfter("b", 0);
      network.nowMs = rebootedAtMs;
      network.boot = "boot-2";
      network.restart("b");
    }
    network.restart("a");
    network.advance(waitMs);
    network.cut.clear();
    network.advance(20_000);
    const state = (id: string): Ledger => network.armor(id).kernel!.state("ledger") as unknown as Ledger;
    return { taken: state("b").taken.length, failed: state("a").failed };
  };

  test("in time it takes effect", () => {
    expect(sendAcrossRestart(2_000)).toEqual({ taken: 1, failed: [] });
  });

  test("too late it comes back and has no effect", () => {
    expect(sendAcrossRestart(6_000)).toEqual({ taken: 0, failed: ["t"] });
  });

  test("after another boot nobody knows how late it is: it comes back, also where the clock would leave it time", () => {
    for (const atMs of [1_000, 1_002_000]) expect(sendAcrossRestart(100, atMs)).toEqual({ taken: 0, failed: ["t"] });
  });
});
