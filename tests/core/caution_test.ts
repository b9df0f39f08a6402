import { describe, expect, test } from "bun:test";
import type { Beginning } from "../../core/caution.ts";
import { encode } from "../../core/codec.ts";
import { element } from "../../core/element.ts";
import { op } from "../../core/micro_operation.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";
import { eventLog, type Ledger, ledger } from "./delivery_fixture.ts";

class Death extends Error {}

/** Counts what it was asked to do, suspends threads, and sends to itself. */
const worker = element<{ readonly done: readonly string[] }>({
  name: "worker",
  version: 1,
  state: { done: [] },
  blocking: ["work.do"],
  handlers: {
    "work.do": (state, thread) => {
      const token = String(thread.payload["token"]);
      if (thread.completion) return { done: [...state.done, token] };
      thread.block({ kind: "job", args: token });
    },
    "work.many": (_, thread) => {
      for (const token of ["1", "2", "3"]) thread.send({ ops: [op("work.note")], payload: { token } });
    },
    "work.note": (state, thread) => ({ done: [...state.done, String(thread.payload["token"])] }),
  },
});

/** Armors `a` and `b`; `b` is careful and dies under what `kills` says, like a process. */
class Careful {
  readonly began: Beginning[] = [];
  readonly poison = new Set<string>();
  readonly deaths: Beginning[] = [];
  kills: (thread: Beginning) => boolean = () => false;
  readonly network = new KernelNetwork(1, { eventSink: "log", work: { job: () => ({ delayMs: 10, completion: { ok: true, value: null } }) } });

  constructor() {
    this.network.deliver = (frame) => this.mortal(frame.to, () => this.network.step(frame.to, { kind: "frame", frame }));
    this.network.add("log", [eventLog]);
    this.network.add("a", [ledger, worker]);
    this.network.add("b", [ledger, worker]);
    this.watch();
  }

  watch(): void {
    this.network.armor("b").kernel!.caution = {
      begins: (thread) => {
        this.began.push(thread);
        if (this.kills(thread)) {
          this.deaths.push(thread);
          if (this.deaths.filter(({ id }) => id === thread.id).length === 2) this.poison.add(thread.id);
          throw new Death(thread.id);
        }
      },
      isPoison: (id) => this.poison.has(id),
    };
  }

  /** Run something; if the armor dies of it, it comes back from its checkpoint, careful. */
  mortal(id: string, run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!(error instanceof Death)) throw error;
      this.network.crashAfter(id, 0);
      this.network.restart(id);
      this.watch();
    }
  }

  deadLettered(): { subject: unknown; cause: unknown }[] {
    return this.network.events.filter(({ event }) => event.kind === "message.dead-lettered").map(({ event }) => ({ subject: event.subject, cause: event["cause"] }));
  }
}

describe("a careful armor", () => {
  test("announces every thread before it runs, by message, continuation or op", () => {
    const { network, began } = new Careful();
    network.local("a", "ledger.send", { token: "1", to: "b" });
    network.local("b", "work.do", { token: "x" });
    network.advance(1_000);
    const kinds = began.map(({ kind, op: name }) => `${kind} ${name}`);
    expect(kinds.toSorted()).toEqual(["continuation work.do", "local work.do", "message ledger.take"]);
    expect(network.state<Ledger>("b", "ledger").taken.length).toBe(1);
    expect(network.state("b", "worker")).toEqual({ done: ["x"] });
  });

  test("does the effects of one thread before the next one runs", () => {
    const { network } = new Careful();
    const kernel = network.armor("b").kernel!;
    const { commits, wakeAtMs } = kernel.step({ kind: "local", op: "work.many", payload: {} }, network.nowMs);
    expect(commits.length).toBe(1);
    expect(wakeAtMs).toBe(network.nowMs);
    for (let count = 0; count < 3; count++) expect(kernel.step({ kind: "tick" }, network.nowMs).commits.length).toBe(1);
    expect(kernel.state("worker")).toEqual({ done: ["1", "2", "3"] });
  });

  test("runs a message it died under once more, then answers it as poison and goes on", () => {
    const careful = new Careful();
    const { network } = careful;
    network.local("a", "ledger.send", { token: "1", to: "b" });
    network.advance(500);
    let poisonId = "";
    careful.kills = ({ kind, id, op: name }) => {
      if (kind !== "message" || name !== "ledger.take") return false;
      poisonId ||= id;
      return id === poisonId;
    };
    for (const token of ["2", "3"]) network.local("a", "ledger.send", { token, to: "b" });
    network.advance(10_000);
    expect(poisonId.startsWith("a/1.n1.0/")).toBe(true);
    expect(careful.deaths.map(({ id }) => id)).toEqual([poisonId, poisonId]);
    expect(network.state<Ledger>("b", "ledger").taken.map(([token]) => token)).toEqual(["1", "3"]);
    expect(network.state<Ledger>("a", "ledger").failed).toEqual(["2"]);
    expect(careful.deadLettered()).toEqual([{ subject: poisonId, cause: "poison" }]);
    const letters = network.commands.filter(({ command }) => command.kind === "dead-letter");
    expect(letters).toMatchObject([{ armor: "b", command: { args: { message: { id: poisonId }, failure: { code: "poison", armor: "b", op: "ledger.take" } } } }]);
  });

  test("does not start work again for a continuation it died under", () => {
    const careful = new Careful();
    const { network } = careful;
    network.local("b", "work.do", { token: "x" });
    const [key] = [...network.worked.keys()];
    network.crashAfter("b", 0);
    careful.poison.add(key!);
    network.restart("b");
    expect(network.worked.get(key!)).toBe(2);
    careful.watch();
    const { kernel } = network.armor("b");
    expect(kernel!.step({ kind: "start" }, network.nowMs).work).toEqual([]);
    expect(kernel!.snapshot().continuations).toMatchObject({});
    expect(network.state("b", "worker")).toEqual({ done: [] });
  });

  test("keeps a report of failure that kills it as a dead letter without answering", () => {
    const careful = new Careful();
    const { network } = careful;
    careful.kills = ({ op: name }) => name === "armor.op-failed";
    network.add("c", []);
    network.local("b", "ledger.send", { token: "1", to: "c" });
    network.advance(10_000);
    expect(careful.deaths.length).toBe(2);
    expect(careful.deadLettered().map(({ cause }) => cause)).toEqual(["poison"]);
    expect(network.state<Ledger>("b", "ledger").failed).toEqual([]);
    network.local("a", "ledger.send", { token: "2", to: "b" });
    network.advance(1_000);
    expect(network.state<Ledger>("b", "ledger").taken.map(([token]) => token)).toEqual(["2"]);
  });

  test("accuses no message when a timer or the host's word kills it", () => {
    const careful = new Careful();
    careful.kills = ({ kind }) => kind === "local";
    for (let count = 0; count < 5; count++) careful.mortal("b", () => careful.network.local("b", "work.do", { token: "x" }));
    expect(careful.deaths.map(({ kind }) => kind)).toEqual(Array.from({ length: 5 }, () => "local"));
    expect(careful.deadLettered()).toEqual([]);
  });
});

describe("bytes that are no message", () => {
  const bodies = {
    "no CBOR": new Uint8Array([0xff, 0x00]),
    "empty": new Uint8Array(),
    "not a record": encode([1]),
    "without ops": encode({ id: "a/1", from: "a", to: "b", lane: "user", payload: {}, executed: 0, segments: 0, hops: 0, ops: [] }),
    "ops that are none": encode({ id: "a/1", from: "a", to: "b", lane: "user", payload: {}, executed: 0, segments: 0, hops: 0, ops: [{ at: "b" }] }),
    "without a payload": encode({ id: "a/1", from: "a", to: "b", lane: "user", executed: 0, segments: 0, hops: 0, ops: [{ name: "x" }] }),
  };
  test.each(Object.entries(bodies))("%s: count as handled, are named, and what follows is delivered", (_name, body) => {
    const network = new KernelNetwork(1, { eventSink: "log" });
    network.add("log", [eventLog]);
    network.add("a", [ledger]);
    network.add("b", [ledger]);
    network.local("a", "ledger.send", { token: "1", to: "b" });
    network.advance(100);
    const { generation } = network.armor("a");
    const ends = { from: "a", to: "b", fromGeneration: generation, toGeneration: generation };
    network.step("b", { kind: "frame", frame: { type: "data", ...ends, lane: "user", sequence: 2, body } });
    expect(network.events.map(({ event }) => [event.kind, event.subject, event["cause"]])).toEqual([["message.dead-lettered", "a/user/2", "unreadable"]]);
    network.step("b", { kind: "frame", frame: { type: "data", ...ends, lane: "user", sequence: 3, body: encode({ ...template, payload: { token: "3", sender: "a" } }) } });
    expect(network.state<Ledger>("b", "ledger").taken.map(([token]) => token)).toEqual(["1", "3"]);
  });
  const template = { id: "a/9", from: "a", to: "b", lane: "user", executed: 0, segments: 0, hops: 0, ops: [{ name: "ledger.take" }] };
});
