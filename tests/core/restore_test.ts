import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import type { DataRecord } from "../../core/data.ts";
import { DurableState } from "../../core/durable_state.ts";
import { type Element, element } from "../../core/element.ts";
import type { Frame } from "../../core/frame.ts";
import type { Generation } from "../../core/generation.ts";
import { InvariantError } from "../../core/invariant.ts";
import { op } from "../../core/micro_operation.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { KernelNetwork, kindNetwork } from "../sim/kernel_network.ts";
import { canonicalText, throughCodec } from "../sim/plain_data.ts";
import { eventLog, type Ledger, ledger } from "./delivery_fixture.ts";

const generation: Generation = { epoch: 1, node: "n1", counter: 0 };

function kernel(elements: readonly Element[], restored?: Microkernel): Microkernel {
  return new Microkernel({
    armor: "a",
    generation,
    elements,
    random: seededRandom(1),
    ...(restored && { restored: { snapshot: throughCodec(restored.snapshot()), records: [] } }),
  });
}

const notes = (version: number, rest: Partial<Element> = {}): Element => ({
  ...element<{ readonly words: readonly string[]; readonly more?: string }>({
    name: "notes",
    version,
    state: { words: [] },
    handlers: {
      "notes.add": (state, { payload }) => ({ ...state, words: [...state.words, String(payload["word"])] }),
      "notes.replace": (_, { payload }) => payload["state"] as { words: string[] },
      "notes.same": (state) => state,
      "notes.equal": (state) => ({ ...state, words: [...state.words] }),
      "notes.two": (_, thread) => {
        for (const word of ["8", "9", "10", "11"]) thread.send({ ops: [op("notes.add")], payload: { word } });
      },
    },
  }),
  ...rest,
});

describe("commit records", () => {
  test("fold into what the microkernel holds, whatever properties come, change and go", () => {
    const value = fc.oneof(fc.constant(undefined), fc.integer(), fc.string(), fc.constant(null), fc.array(fc.nat(3)), fc.dictionary(fc.constantFrom("x", "y"), fc.nat(2)));
    const state = fc.dictionary(fc.constantFrom("words", "a", "b", "c", "d"), value);
    fc.assert(
      fc.property(fc.array(state, { maxLength: 12 }), (states) => {
        const live = kernel([notes(1)]);
        const folded = new DurableState(throughCodec(live.snapshot()));
        for (const next of states) {
          const { commits } = live.step({ kind: "local", op: "notes.replace", payload: { state: next as DataRecord } }, 0);
          for (const record of commits) folded.apply(throughCodec(record));
          expect(canonicalText(folded.elements.get("notes")!.state)).toBe(canonicalText(live.state("notes")));
          expect(folded.commit).toBe(live.snapshot().commit);
        }
      }),
      { seed: 1, numRuns: 200, includeErrorInReport: true },
    );
  }, 60_000);

  test("hold only the properties that changed, and are absent when nothing did", () => {
    const live = kernel([notes(1)]);
    live.step({ kind: "local", op: "notes.replace", payload: { state: { words: ["a"], more: "b" } } }, 0);
    const { commits } = live.step({ kind: "local", op: "notes.add", payload: { word: "b" } }, 0);
    expect(commits.map(({ set, unset }) => [set, unset])).toEqual([[{ notes: { words: ["a", "b"] } }, undefined]]);
    const gone = live.step({ kind: "local", op: "notes.replace", payload: { state: { words: ["a", "b"] } } }, 0);
    expect(gone.commits.map(({ set, unset }) => [set, unset])).toEqual([[undefined, { notes: ["more"] }]]);
    for (const op of ["notes.same", "notes.equal", "unknown.op"]) {
      expect(live.step({ kind: "local", op, payload: {} }, 0).commits).toEqual([]);
    }
    expect(live.step({ kind: "tick" }, 5).commits).toEqual([]);
  });

  test("are refused out of order", () => {
    const live = kernel([notes(1)]);
    const folded = new DurableState(live.snapshot());
    const [record] = live.step({ kind: "local", op: "notes.add", payload: { word: "b" } }, 0).commits;
    expect(() => folded.apply({ ...record!, commit: 3 })).toThrow(InvariantError);
    folded.apply(record!);
    expect(() => folded.apply(record!)).toThrow(InvariantError);
  });
});

describe("restore", () => {
  test("of another format version is refused with a code", () => {
    const { snapshot } = { snapshot: kernel([notes(1)]).snapshot() };
    try {
      new DurableState({ ...snapshot, format: 2 as 1 });
      throw new Error("not refused");
    } catch (error) {
      expect((error as { code: string }).code).toBe("version");
    }
  });

  test("keeps the state of a known version, migrates an older one, starts a new element fresh", () => {
    const old = kernel([notes(1)]);
    old.step({ kind: "local", op: "notes.add", payload: { word: "kept" } }, 0);
    const same = kernel([notes(1)], old);
    expect([same.state("notes"), same.needsSnapshot]).toEqual([{ words: ["kept"] }, false]);
    const migrate = (state: DataRecord, from: number) => ({ words: [...(state["words"] as string[]), `from ${from}`] });
    const newer = kernel([notes(2, { migrate }), ledger], old);
    expect([newer.state("notes"), newer.needsSnapshot]).toEqual([{ words: ["kept", "from 1"] }, true]);
    expect(newer.state("ledger")).toEqual({ sent: [], taken: [], failed: [] });
    const unable = kernel([notes(2)], old);
    expect(unable.state("notes")).toEqual({ words: [] });
  });

  test("runs messages to oneself in the order in which they were sent", () => {
    const network = new KernelNetwork(1);
    network.add("a", [notes(1)]);
    // The first commit holds the four messages, the process dies before the others.
    network.crashAfter("a", 1);
    network.local("a", "notes.two");
    expect(network.state("a", "notes")).toEqual({ words: [] });
    network.restart("a");
    expect(network.state("a", "notes")).toEqual({ words: ["8", "9", "10", "11"] });
  });

  test("never gives a message id twice", () => {
    const ids = new Set<string>();
    const network = new KernelNetwork(1);
    network.compared = false;
    const sender = element<{ readonly sent: number }>({
      name: "sender",
      version: 1,
      state: { sent: 0 },
      handlers: {
        "sender.go": (state, { send }) => {
          send({ ops: [op("ledger.take", "b")], payload: { token: "x", sender: "a" } });
          return { sent: state.sent + 1 };
        },
      },
    });
    const spy: Element = { ...ledger, handlers: { "ledger.take": (_, { message }) => void ids.add(message.id) } };
    network.add("a", [sender]);
    network.add("b", [spy]);
    for (let round = 0; round < 40; round++) {
      network.crashAfter("a", round % 5);
      network.local("a", "sender.go");
      network.advance(5);
      if (round % 4 === 0) network.rewind("a", 0);
      network.restart("a");
    }
    network.settle();
    expect(ids.size).toBe(network.state<{ sent: number }>("a", "sender").sent);
  }, 60_000);
});

describe("effects", () => {
  test("of a segment are one commit with its sends, and the acknowledgement comes with the commit that it speaks of", () => {
    const to = { from: "b", to: "a", fromGeneration: generation, toGeneration: generation } as const;
    const live = kernel([ledger]);
    live.step({ kind: "start" }, 0);
    live.step({ kind: "frame", frame: { type: "hello", from: "b", to: "a", fromGeneration: generation, attempt: 1 } }, 0);
    const sent = live.step({ kind: "local", op: "ledger.send", payload: { token: "t", to: "b" } }, 0);
    expect(sent.commits.map(({ sent: out = [], set }) => [out.length, Object.keys(set!)])).toEqual([[1, ["ledger"]]]);
    const other = new Microkernel({ armor: "b", generation, elements: [ledger], random: seededRandom(2) });
    const [hello] = other.step({ kind: "local", op: "ledger.send", payload: { token: "u", to: "a" } }, 0).sends;
    const [welcome] = live.step({ kind: "frame", frame: hello! }, 0).acks;
    const [data] = other.step({ kind: "frame", frame: welcome! }, 0).sends.filter(({ type }) => type === "data");
    const effects = live.step({ kind: "frame", frame: data! }, 0);
    expect(effects.commits.map(({ handled }) => handled)).toEqual([[{ peer: "b", lane: "user", sequence: 1 }]]);
    expect(effects.acks).toMatchObject([{ type: "ack", lane: "user", mark: 1 }]);
    const again = live.step({ kind: "frame", frame: data! }, 0);
    expect([again.commits, again.acks.length]).toEqual([[], 1]);
    const stray = live.step({ kind: "frame", frame: { ...to, to: "c", type: "stranger" } as Frame }, 0);
    expect([stray.commits, stray.sends, stray.acks]).toEqual([[], [], []]);
  });

  test("an idle armor writes nothing and wants no tick; acknowledgements alone write nothing", () => {
    const network = new KernelNetwork(1);
    network.add("a", [ledger]);
    network.add("b", [ledger]);
    network.local("a", "ledger.send", { token: "1", to: "b" });
    expect(network.settle()).toBe(true);
    const { store } = network.armor("a");
    expect(store.commit).toBe(1);
    network.advance(60_000);
    network.step("a", { kind: "tick" });
    network.step("a", { kind: "link-up" });
    expect(store.commit).toBe(1);
  });

  test("time never runs backwards", () => {
    const live = kernel([notes(1)]);
    live.step({ kind: "tick" }, 5);
    expect(() => live.step({ kind: "tick" }, 4)).toThrow(InvariantError);
  });

  test("audit finds corrupt committed state and ends the armor", () => {
    const live = kernel([notes(1, { check: (state) => (state["words"] as string[]).length > 1 ? "too many" : undefined })]);
    live.audit();
    (live.state("notes") as { words: string[] }).words.push("1", "2");
    expect(() => live.audit()).toThrow(InvariantError);
  });

  test("audit finds durable and volatile state that has changed in place, whatever its value", () => {
    const volatile = () => ({ seen: new Map([["a", { count: 1 }]]) });
    for (const change of [
      (live: Microkernel) => void ((live.state("notes") as { words: string[] }).words[0] = "runnkng"),
      (live: Microkernel) => void ((live.volatile("notes") as ReturnType<typeof volatile>).seen.get("a")!.count = 3),
    ]) {
      const live = kernel([notes(1, { volatile })]);
      live.step({ kind: "local", op: "notes.add", payload: { word: "running" } }, 0);
      live.audit();
      live.audit();
      change(live);
      expect(() => live.audit()).toThrow(/state of element "notes" is corrupt: it has changed in place/);
    }
  });

  test("what was restored is sealed from the beginning", () => {
    const before = kernel([notes(1)]);
    before.step({ kind: "local", op: "notes.add", payload: { word: "running" } }, 0);
    const live = kernel([notes(1)], before);
    (live.state("notes") as { words: string[] }).words[0] = "runnkng";
    expect(() => live.audit()).toThrow(InvariantError);
  });

  test("state that has changed in place is not written: the armor ends before the commit that follows from it", () => {
    const live = kernel([notes(1)]);
    live.step({ kind: "local", op: "notes.add", payload: { word: "running" } }, 0);
    (live.state("notes") as { words: string[] }).words[0] = "runnkng";
    expect(() => live.step({ kind: "local", op: "notes.add", payload: { word: "next" } }, 0)).toThrow(InvariantError);
  });

  test("a check that fails is undone; one that fails because of what was there before ends the armor", () => {
    const live = kernel([notes(1, { check: (state) => (state["words"] as string[]).includes("bad") ? "a bad word" : undefined })]);
    live.step({ kind: "local", op: "notes.add", payload: { word: "bad" } }, 0);
    expect(live.state("notes")).toEqual({ words: [] });
    (live.state("notes") as { words: string[] }).words.push("bad");
    expect(() => live.step({ kind: "local", op: "notes.same", payload: {} }, 0)).toThrow(InvariantError);
  });
});

describe("a peer that is forgotten", () => {
  const forgetful = element<{ readonly count: number }>({
    name: "forgetful",
    version: 1,
    state: { count: 0 },
    handlers: {
      "peer.leaves": ({ count }, { forgetPeer, payload, send }) => {
        send({ ops: [op("ledger.take", payload["who"] as string)], payload: { token: "bye", sender: "a" } });
        forgetPeer(payload["who"] as string);
        return { count: count + 1 };
      },
      "peer.go": (_, { send, self }) => void send({ ops: [op("peer.leaves", "a"), op("ledger.take", "a")], payload: { who: self, token: "leaves", sender: self } }),
    },
  });

  test("has no channel left, also when its own message said so; that message counts as handled", () => {
    const network = new KernelNetwork(1);
    network.add("a", [forgetful, ledger]);
    network.add("b", [forgetful, ledger]);
    network.local("b", "peer.go");
    expect(network.settle()).toBe(true);
    expect(network.state("a", "forgetful")).toEqual({ count: 1 });
    expect(network.armor("a").kernel!.snapshot().channels).toEqual([]);
    expect(network.armor("b").kernel!.snapshot().channels[0]!.outbox).toEqual([]);
    network.crashAfter("a", 0);
    network.restart("a");
    expect(network.armor("a").kernel!.snapshot().channels).toEqual([]);
  });
});

describe("determinism", () => {
  const play = (seed: number): string[] => {
    const network = new KernelNetwork(seed, { eventSink: "log" });
    network.traced = true;
    network.add("log", [eventLog]);
    for (const id of ["a", "b", "c"]) network.add(id, [ledger]);
    network.faults = { drop: 200, duplicate: 200, reorder: true, delayMaxMs: 50 };
    const { random } = network;
    for (let round = 0; round < 80; round++) {
      const [from, to] = [["a", "b"], ["b", "c"], ["c", "a"]][random.below(3)] as [string, string];
      network.local(from, "ledger.send", { token: `${round}`, to, deadlineMs: 500 });
      network.advance(random.below(60));
      if (random.below(6) === 0) network.crashAfter(from, random.below(5));
      if (random.below(12) === 0) network.rewind(to, random.below(4));
      if (random.below(3) === 0) network.restart(from);
    }
    expect(network.settle()).toBe(true);
    return network.trace.map((bytes) => canonicalText(bytes));
  };

  test("the same seed gives the same effects, byte by byte; another seed others", () => {
    const first = play(7);
    expect(first.length).toBeGreaterThan(200);
    expect(play(7)).toEqual(first);
    expect(play(8)).not.toEqual(first);
  }, 60_000);

  test("steps are counted, also those that change nothing", () => {
    const live = kernel([notes(1)]);
    live.step({ kind: "tick" }, 0);
    live.step({ kind: "tick" }, 1);
    expect(live.steps).toBe(2);
    expect(live.describe()).toEqual([{ name: "notes", version: 1, ops: Object.keys(notes(1).handlers) }]);
  });
});

test("the simulated network is kind when asked to be", () => {
  const network = new KernelNetwork(1);
  expect(network.faults).toBe(kindNetwork);
  network.add("a", [ledger]);
  expect(network.state<Ledger>("a", "ledger").sent).toEqual([]);
});
