import { expect, test } from "bun:test";
import type { CommitRecord, Snapshot } from "../../core/checkpoint.ts";
import { decode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import type { Message } from "../../core/message.ts";
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
  return { act, sent, held: () => Object.keys(kernel.state("event_log")!).filter((key) => key !== "next"), died: () => ({ snapshot, records }) };
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
