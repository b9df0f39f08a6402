import { describe, expect, test } from "bun:test";
import type { DataRecord } from "../../core/data.ts";
import { type Element, element, type Handler } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import type { Failure, Message } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

type Log = { readonly log: readonly string[] };
type Handlers = { readonly [name: string]: Handler<Log, undefined> };

/** An element whose durable state is a list of words. */
function recorder(handlers: Handlers, name = "recorder", rest: Partial<Element<Log, any>> = {}): Element {
  return element<Log, any>({ name, version: 1, state: { log: [] }, handlers: handlers as Element<Log>["handlers"], ...rest });
}

/** A handler that writes its op's name, or a word, to the state. */
const write = (word?: string): Handler<Log, undefined> => (state, thread) => ({ log: [...state.log, word ?? thread.op] });

/** Keeps what came back as failed. */
const failures = element<{ readonly failures: readonly DataRecord[] }>({
  name: "failures",
  version: 1,
  state: { failures: [] },
  handlers: {
    "armor.op-failed": (state, { payload }) => ({ failures: [...state.failures, { failure: payload["failure"]!, message: payload["message"]! }] }),
  },
});

const log = (network: KernelNetwork, armor = "a", name = "recorder"): readonly string[] => network.state<Log>(armor, name).log;
const failed = (network: KernelNetwork, armor = "a"): { failure: Failure; message: Message }[] =>
  network.state<{ failures: { failure: Failure; message: Message }[] }>(armor, "failures").failures;

function one(handlers: Handlers, rest: Partial<Element<Log, any>> = {}): KernelNetwork {
  const network = new KernelNetwork(1);
  network.add("a", [recorder(handlers, "recorder", rest), failures]);
  return network;
}

describe("itinerary", () => {
  test("ops run in sequence; inserted ops next, appended ops last", () => {
    const network = one({
      "t.start": (_, thread) => {
        thread.append(op("t.last"));
        thread.insert(op("t.first"), op("t.second"));
        thread.append(op("t.very-last"));
        return undefined;
      },
      "t.first": write(),
      "t.second": write(),
      "t.last": write(),
      "t.very-last": write(),
    });
    network.local("a", "t.start");
    expect(log(network)).toEqual(["t.first", "t.second", "t.last", "t.very-last"]);
  });

  test("finish drops the rest, also of what was inserted before", () => {
    const network = one({
      "t.start": (state, thread) => {
        thread.insert(op("t.next"));
        thread.finish();
        return { log: [...state.log, "start"] };
      },
      "t.next": write(),
    });
    network.local("a", "t.start");
    expect(log(network)).toEqual(["start"]);
  });

  test("every subscriber gets the op, in the order of the list, and sees the payload of those before", () => {
    const network = new KernelNetwork(1);
    const mark = (name: string) =>
      recorder(
        { "t.op": (state, { payload }) => ({ log: [...state.log, String(payload["seen"] = `${payload["seen"] ?? ""}${name}`)] }) },
        name,
      );
    network.add("a", [mark("x"), mark("y"), mark("z")]);
    network.local("a", "t.op");
    expect(["x", "y", "z"].map((name) => log(network, "a", name)[0])).toEqual(["x", "xy", "xyz"]);
  });

  test("a message visits three armors and comes home; id and origin stay, ops, segments and hops are counted", () => {
    const network = new KernelNetwork(1);
    const seen: Message[] = [];
    const visitor = recorder({
      "t.start": (_, thread) => void thread.send({ ops: [op("t.visit", "b"), op("t.visit", "b"), op("t.visit", "c"), op("t.home", "a")] }),
      "t.visit": (state, thread) => {
        seen.push(thread.message);
        thread.payload["path"] = `${thread.payload["path"] ?? ""}${thread.self}`;
        return { log: [...state.log, thread.self] };
      },
      "t.home": (state, thread) => {
        seen.push(thread.message);
        return { log: [...state.log, String(thread.payload["path"])] };
      },
    });
    for (const id of ["a", "b", "c"]) network.add(id, [visitor]);
    network.local("a", "t.start");
    expect(network.settle()).toBe(true);
    expect(["a", "b", "c"].map((id) => log(network, id))).toEqual([["bbc"], ["b", "b"], ["c"]]);
    const home = seen.at(-1)!;
    expect(new Set(seen.map(({ id }) => id)).size).toBe(1);
    expect([home.from, home.executed, home.segments, home.hops]).toEqual(["a", 3, 2, 2]);
  });

  test("an op that names this armor runs here", () => {
    const network = one({ "t.start": (_, thread) => void thread.insert(op("t.next", "a")), "t.next": write() });
    network.local("a", "t.start");
    expect(log(network)).toEqual(["t.next"]);
  });

  test("messages to oneself run in the order in which they were sent", () => {
    const network = one({
      "t.start": (_, thread) => {
        for (let word = 0; word < 12; word++) thread.send({ ops: [op("t.word")], payload: { word } });
      },
      "t.word": (state, { payload }) => ({ log: [...state.log, String(payload["word"])] }),
    });
    network.local("a", "t.start");
    expect(log(network)).toEqual(Array.from({ length: 12 }, (_, word) => String(word)));
  });
});

describe("payload", () => {
  test("each thread has its own: what one writes, no other sees", () => {
    const network = one({
      "t.start": (_, thread) => {
        const { payload } = thread;
        payload["shared"] = "before";
        thread.send({ ops: [op("t.one")], payload });
        thread.send({ ops: [op("t.two")], payload });
        payload["shared"] = "after";
      },
      "t.one": (state, { payload }) => ({ log: [...state.log, String(payload["shared"]), String((payload["own"] = "one"))] }),
      "t.two": (state, { payload }) => ({ log: [...state.log, String(payload["shared"]), String(payload["own"])] }),
    });
    network.local("a", "t.start");
    expect(log(network)).toEqual(["before", "one", "before", "undefined"]);
  });

  test("a payload handed to a timer is the timer's own", () => {
    const network = one({
      "t.start": (_, thread) => {
        thread.payload["word"] = "then";
        thread.after("later", 5, "t.later", thread.payload);
        thread.payload["word"] = "now";
      },
      "t.later": (state, { payload }) => ({ log: [...state.log, String(payload["word"])] }),
    });
    network.local("a", "t.start");
    network.advance(10);
    expect(log(network)).toEqual(["then"]);
  });
});

describe("a segment that fails leaves no trace", () => {
  const everything: Handler<Log, undefined> = (state, thread) => {
    thread.payload["changed"] = true;
    thread.send({ ops: [op("t.other", "b")] });
    thread.send({ ops: [op("t.other")] });
    thread.after("timer", 1, "t.other");
    thread.command({ kind: "test", args: {} });
    thread.event({ kind: "t.event", subject: "a" });
    thread.setVolatile("changed" as never);
    thread.insert(op("t.other"), op("t.fails"));
    return { log: [...state.log, "changed"] };
  };
  const cases: Record<string, [Handler<Log, undefined>, Partial<Failure>]> = {
    "handler-threw": [() => { throw new TypeError("the engine's words"); }, { code: "handler-threw", op: "t.fails", element: "recorder", text: 'the handler of "t.fails" failed' }],
    "OperationError": [() => { throw new OperationError("busy", "Cannot do it now"); }, { code: "busy", op: "t.fails", element: "recorder", text: "Cannot do it now" }],
    "check": [write("wrong"), { code: "check", op: "t.fails", element: "recorder", text: "a wrong word" }],
    "check that throws": [write("throws"), { code: "handler-threw", element: "recorder" }],
    "unsubscribed": [(_, thread) => void thread.insert(op("t.nobody")), { code: "unsubscribed", op: "t.nobody", element: "" }],
    "too many ops": [(_, thread) => void thread.insert(op("t.fails")), { code: "limit", op: "t.fails" }],
    "too long an itinerary": [(_, thread) => void thread.insert(...Array.from({ length: limits.itineraryOpsMax + 1 }, () => op("t.other"))), { code: "limit" }],
    "a message that is no plain data": [(_, thread) => void thread.send({ ops: [op("t.other", "b")], payload: { wrong: (() => 1) as never } }), { code: "handler-threw" }],
    "a message that is too large": [
      (_, thread) => void thread.send({ ops: [op("t.other", "b")], payload: { large: new Uint8Array(limits.messageBytesMax) } }),
      { code: "limit" },
    ],
    "a send without ops": [(_, thread) => void thread.send({ ops: [] }), { code: "handler-threw" }],
    "block in an op that is not declared blocking": [(_, thread) => void thread.block({ kind: "wait" }), { code: "handler-threw" }],
  };
  for (const [name, [fails, expected]] of Object.entries(cases)) {
    test(name, () => {
      const network = new KernelNetwork(1);
      const check = (state: Log): string | undefined => {
        if (state.log.includes("throws")) throw new Error("the check's own mistake");
        return state.log.includes("wrong") ? "a wrong word" : undefined;
      };
      const victim = recorder({ "t.start": everything, "t.other": write("other"), "t.fails": fails }, "recorder", { check, volatile: () => "fresh" });
      network.add("a", [victim]);
      network.add("origin", [recorder({ "t.go": (_, thread) => void thread.send({ ops: [op("t.start", "a")], payload: { own: 1 } }) }), failures]);
      network.local("origin", "t.go");
      expect(network.settle()).toBe(true);
      expect(log(network)).toEqual([]);
      expect(network.armor("a").kernel!.volatile("recorder")).toBe("fresh");
      expect(network.commands).toEqual([]);
      expect([...network.armors.get("a")!.kernel!.snapshot().channels].map(({ peer, marks, next }) => [peer, marks.user, next.user])).toEqual([["origin", 1, 1]]);
      const [{ failure, message } = { failure: undefined, message: undefined }, ...more] = failed(network, "origin");
      expect(more).toEqual([]);
      expect(failure).toMatchObject({ armor: "a", committed: 0, ...expected });
      expect(message).toMatchObject({ payload: { own: 1 }, ops: [{ name: "t.start", at: "a" }], from: "origin" });
    });
  }

  test("what earlier segments did stays, and is counted", () => {
    const network = new KernelNetwork(1);
    const fails: Handler<Log, undefined> = () => {
      throw new OperationError("no", "No");
    };
    const elements = [recorder({ "t.go": (_, thread) => void thread.send({ ops: [op("t.note", "b"), op("t.note", "c"), op("t.fails", "c")] }), "t.note": write(), "t.fails": fails }), failures];
    for (const id of ["a", "b", "c"]) network.add(id, elements);
    network.local("a", "t.go");
    expect(network.settle()).toBe(true);
    expect([log(network, "b"), log(network, "c")]).toEqual([["t.note"], []]);
    expect(failed(network)[0]!.failure).toMatchObject({ code: "no", armor: "c", committed: 1 });
  });

  test("a failure in what a timer or the host started is answered to nobody", () => {
    const network = one({ "t.fails": () => { throw new Error("no"); }, "t.timer": (_, thread) => thread.after("t", 1, "t.fails") });
    network.local("a", "t.fails");
    network.local("a", "t.timer");
    network.advance(10);
    expect(failed(network)).toEqual([]);
    expect(network.commands).toEqual([]);
  });

  test("a failure while a failure is handled is not answered but goes to the dead letters", () => {
    const network = new KernelNetwork(1);
    const bad = recorder({
      "t.go": (_, thread) => void thread.send({ ops: [op("t.nobody", "b")] }),
      "armor.op-failed": () => {
        throw new Error("again");
      },
    });
    network.add("a", [bad]);
    network.add("b", [recorder({})]);
    network.local("a", "t.go");
    expect(network.settle()).toBe(true);
    expect(network.commands).toMatchObject([{ armor: "a", command: { kind: "dead-letter", args: { failure: { code: "handler-threw", op: "armor.op-failed" } } } }]);
    network.settle();
    expect(network.commands.length).toBe(1);
  });

  test("a message that goes in circles ends at the limit of hops", () => {
    const network = new KernelNetwork(1);
    const circle = recorder({
      "t.go": (_, thread) => void thread.send({ ops: [op("t.round", "b")] }),
      "t.round": (state, thread) => {
        thread.append(op("t.round", thread.self === "a" ? "b" : "a"));
        return { log: [...state.log, "."] };
      },
    });
    for (const id of ["a", "b"]) network.add(id, [circle, failures]);
    network.local("a", "t.go");
    expect(network.settle()).toBe(true);
    expect(failed(network)[0]!.failure.code).toBe("limit");
    expect(log(network, "a").length + log(network, "b").length).toBe(limits.hopsMax);
  });

  test("the failed message returns without its payload where both together would be too large", () => {
    const network = new KernelNetwork(1);
    network.add("a", [recorder({ "t.go": (_, thread) => void thread.send({ ops: [op("t.nobody", "b")], payload: { large: new Uint8Array(limits.messageBytesMax - 300) } }) }), failures]);
    network.add("b", []);
    network.local("a", "t.go");
    expect(network.settle()).toBe(true);
    expect(failed(network)[0]).toMatchObject({ failure: { code: "unsubscribed" }, message: { payload: {} } });
  }, 60_000);
});

describe("timers", () => {
  test("fire at their time in order, are replaced and cancelled by name", () => {
    const network = one({
      "t.start": (_, thread) => {
        thread.after("late", 20, "t.note", { word: "late" });
        thread.after("soon", 10, "t.note", { word: "soon" });
        thread.after("replaced", 5, "t.note", { word: "old" });
        thread.after("replaced", 15, "t.note", { word: "new" });
        thread.after("cancelled", 12, "t.note", { word: "cancelled" });
        thread.cancel("cancelled");
        thread.cancel("unknown");
      },
      "t.note": (state, { payload, nowMs }) => ({ log: [...state.log, `${payload["word"]} ${nowMs}`] }),
    });
    const startMs = network.nowMs;
    network.local("a", "t.start");
    network.advance(100);
    expect(log(network)).toEqual([`soon ${startMs + 10}`, `new ${startMs + 15}`, `late ${startMs + 20}`]);
  });

  test("one that is cancelled by another that is due at the same time does not fire", () => {
    const network = one({
      "t.start": (_, thread) => {
        thread.after("first", 10, "t.cancel");
        thread.after("second", 10, "t.note");
      },
      "t.cancel": (_, thread) => thread.cancel("second"),
      "t.note": write(),
    });
    network.local("a", "t.start");
    network.advance(100);
    expect(log(network)).toEqual([]);
  });

  test("belong to their element and are gone after a restart; armor.started sets them anew", () => {
    const network = one({
      "armor.started": (state, thread) => {
        thread.after("again", 50, "t.note");
        return { log: [...state.log, "started"] };
      },
      "t.start": (_, thread) => thread.after("once", 10, "t.note"),
      "t.note": write(),
    });
    network.local("a", "t.start");
    network.crashAfter("a", 0);
    network.restart("a");
    network.advance(49);
    expect(log(network)).toEqual(["started", "started"]);
    network.advance(1);
    expect(log(network)).toEqual(["started", "started", "t.note"]);
  });

  test("are limited; an element that sets too many is refused, not the armor ended", () => {
    const network = one({
      "t.start": (_, thread) => {
        for (let count = 0; count <= limits.timersMax; count++) thread.after(`${count}`, 1_000, "t.note");
      },
      "t.send": (_, thread) => void thread.send({ ops: [op("t.start")] }),
      "t.one": (_, thread) => thread.after("one", 5, "t.note"),
      "t.note": write(),
    });
    network.local("a", "t.send");
    expect(failed(network)[0]!.failure.code).toBe("limit");
    network.local("a", "t.one");
    network.advance(10);
    expect(log(network)).toEqual(["t.note"]);
  });
});

describe("what cannot be written down fails, and nothing else with it", () => {
  // As JSON from outside may hold it.
  const odd = { __proto__: null, deep: Array.from({ length: 62 }).reduce<unknown>((inner) => [inner], 1) } as unknown as DataRecord;

  test("in a message that an armor sends to itself", () => {
    const network = one({ "t.start": (_, thread) => void thread.send({ ops: [op("t.next", "a")], payload: odd }), "t.next": write(), "t.after": write() });
    network.local("a", "t.start");
    network.local("a", "t.after");
    network.advance(10);
    expect(log(network)).toEqual(["t.after"]);
    expect(network.diagnostics.length).toBe(1);
  });

  test("in a thread that waits", () => {
    const network = one(
      {
        "t.start": (_, thread) => {
          Object.assign(thread.payload, odd);
          thread.block({ kind: "wait", timeoutMs: 100 });
        },
        "t.after": write(),
      },
      { blocking: ["t.start"] },
    );
    network.local("a", "t.start");
    network.local("a", "t.after");
    network.advance(1_000);
    expect(log(network)).toEqual(["t.after"]);
    expect(network.diagnostics.length).toBe(1);
  });

  test("a timer without a delay", () => {
    const network = one({ "t.start": (_, thread) => thread.after("x", Number.NaN, "t.due"), "t.due": write(), "t.after": write() });
    network.local("a", "t.start");
    network.local("a", "t.after");
    network.advance(1_000);
    expect(log(network)).toEqual(["t.after"]);
    expect(network.diagnostics).toMatchObject([{ diagnostic: { code: "limit" } }]);
  });
});
