import { expect, test } from "bun:test";
import type { CommitRecord, Snapshot } from "../../core/checkpoint.ts";
import { decode, encode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { limits } from "../../core/limits.ts";
import { type Message, opFailed } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { eventLog } from "../../armors/elements/event_log.ts";

const generation = { epoch: 1, node: "a", counter: 0 };
const note = { events: [{ kind: "application.completed", subject: "job.0", atMs: 1 }] };

/** The daemon of node `a`, alone with its event log. */
function daemon(restored?: { snapshot: Snapshot; records: CommitRecord[] }) {
  const others = element({ name: "others", version: 1, state: {}, handlers: {} });
  const kernel = new Microkernel({ armor: "daemon@a", generation, elements: [eventLog("a", "boot"), others], random: seededRandom(1), ...(restored && { restored }) });
  const snapshot = kernel.snapshot();
  const records: CommitRecord[] = [];
  const sent: Message[] = [];
  const act = (op: string, payload: Record<string, unknown>) => {
    const effects = kernel.step({ kind: "local", op, payload: payload as Record<string, Data> }, 1_000);
    records.push(...effects.commits);
    for (const { body } of effects.commits.flatMap((commit) => commit.sent ?? [])) sent.push(decode(body) as Message);
    return effects.commands;
  };
  const { commits } = kernel.step({ kind: "start", payload: {} }, 1_000);
  for (const { body } of commits.flatMap((commit) => commit.sent ?? [])) sent.push(decode(body) as Message);
  records.push(...commits);
  const wait = (nowMs: number): void => {
    for (const { body } of kernel.step({ kind: "tick" }, nowMs).commits.flatMap((commit) => commit.sent ?? [])) sent.push(decode(body) as Message);
  };
  return { act, wait, sent, held: () => Object.keys(kernel.state("event_log")!).filter((key) => key !== "next"), died: () => ({ snapshot, records }) };
}

test("an event is held until the host has stored it: a daemon that dies before sends it again", () => {
  const before = daemon();
  before.act("events.note", note);
  expect(before.sent.map(({ payload }) => payload["keys"])).toEqual([["n1"]]);
  expect(before.act("events.recorded", { keys: ["n1"] })).toEqual([{ kind: "events.settle", args: { keys: ["n1"] } }]);
  expect(before.held()).toEqual(["n1"]);
  const after = daemon(before.died());
  expect(after.held()).toEqual(["n1"]);
  expect(after.sent.map(({ payload }) => payload["keys"])).toEqual([["n1"]]);
});

test("a stored event is forgotten, and the next ones are sent", () => {
  const log = daemon();
  log.act("events.note", note);
  log.act("events.note", note);
  log.act("events.recorded", { keys: ["n1"] });
  log.act("events.kept", { keys: ["n1"] });
  expect(log.held()).toEqual(["n2"]);
  log.act("events.flush", {});
  expect(log.sent.map(({ payload }) => payload["keys"])).toEqual([["n1"], ["n2"]]);
});

test("a daemon that holds as many events as it may, of an element that says very much in each, starts and sends them", () => {
  const before = daemon();
  const events = Array.from({ length: 20 }, (_, index) => ({ kind: "said", subject: "mine", cause: "x".repeat(100_000), atMs: index }));
  for (let count = 0; count < 20; count++) before.act("events.note", { events });
  const after = daemon(before.died());
  expect(after.held().length).toBe(400);
  expect(after.sent.length).toBe(1);
  expect(encode(after.sent[0] as unknown as Data).length).toBeLessThan(limits.messageBytesMax);
  expect((after.sent[0]!.payload["events"] as { cause: string; subject: string }[])[0]).toMatchObject({ subject: "mine", cause: `${"x".repeat(limits.eventTextMax)}…` });
});

test("of an event that is large otherwise it is told that there was one", () => {
  const log = daemon();
  log.act("events.note", { events: [{ kind: "said", subject: "mine", all: Array.from({ length: 50_000 }, (_, index) => index), atMs: 7 }] });
  expect(log.sent[0]!.payload["events"]).toMatchObject([{ kind: "said", subject: "mine", atMs: 7, cause: "what it said was too long" }]);
});

test("what the FTM could not take is brought again", () => {
  const log = daemon();
  log.act("events.note", note);
  log.act(opFailed, { failure: { code: "limit", op: "events.number", armor: "ftm" }, message: log.sent[0]! });
  log.wait(1_100);
  expect(log.sent.length).toBe(1);
  log.wait(4_000);
  expect(log.sent.map(({ payload }) => payload["keys"])).toEqual([["n1"], ["n1"]]);
});
