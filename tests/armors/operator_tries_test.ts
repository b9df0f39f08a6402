/** A request that was tried again under a new FTM: what its operator is told, and when. */
import { describe, expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { DataRecord } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";
import { type Message, opFailed } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { operator } from "../../armors/elements/operator.ts";

const liveness = element({ name: "liveness", version: 1, state: {}, handlers: { "liveness.read": (_state, thread) => void (thread.payload["heard"] = {}) } });

/** A daemon of which an operator wants something. @param followed It has an FTM. */
function asked(followed = false) {
  const kernel = new Microkernel({ armor: "daemon@a", generation: { epoch: 0, node: "a", counter: 0 }, elements: [operator("a"), liveness], random: seededRandom(1) });
  const tries: Message[] = [];
  const answers: unknown[] = [];
  const step = (event: Parameters<Microkernel["step"]>[0], nowMs = 1_000): void => {
    const { commits, commands } = kernel.step(event, nowMs);
    for (const { body } of commits.flatMap(({ sent = [] }) => sent)) tries.push(decode(body) as Message);
    answers.push(...commands.filter(({ kind }) => kind === "operator.respond").map(({ args }) => (args["body"] as DataRecord)["code"] ?? "done"));
    if (event.kind !== "tick") step({ kind: "tick" }, nowMs);
  };
  if (followed) step({ kind: "local", op: "ftm.changed", payload: {} });
  step({ kind: "local", op: "operator.request", payload: { request: "r", operation: "application.submit", args: {} } });
  return {
    tries,
    answers,
    newFtm: () => step({ kind: "local", op: "ftm.changed", payload: {} }),
    fail: (code: string) => step({ kind: "local", op: opFailed, payload: { failure: { code, text: code }, message: { payload: { request: "r" } } } }),
    succeed: () => step({ kind: "local", op: "operator.answer", payload: { request: "r", answer: { ok: true, changed: true } } }),
    late: () => step({ kind: "tick" }, 1_000 + timing.operatorDeadlineMs),
  };
}

test("one try that is refused is answered at once", () => {
  const { answers, fail, tries } = asked();
  fail("refused");
  expect([tries.length, answers]).toEqual([1, ["refused"]]);
});

test("of two tries one is refused: the operator hears what becomes of the other", () => {
  const { answers, fail, newFtm, succeed, tries } = asked();
  newFtm();
  fail("refused");
  expect([tries.length, answers]).toEqual([2, []]);
  succeed();
  expect(answers).toEqual(["done"]);
});

test("both are refused by the first FTM there is: so is the request; the outcome of the last counts", () => {
  const { answers, fail, newFtm } = asked();
  newFtm();
  fail("deadline");
  fail("refused");
  expect(answers).toEqual(["refused"]);
});

test("one is refused and the other was lost with the FTM before: nobody knows", () => {
  const { answers, fail, late, newFtm } = asked();
  newFtm();
  fail("refused");
  late();
  expect(answers).toEqual(["unknown"]);
});

describe("an FTM that had the request has a successor, which refuses each try", () => {
  /** The first try reached the old one, which did not acknowledge it: the new one gets it too. */
  const refused = () => {
    const request = asked(true);
    request.newFtm();
    request.fail("refused");
    request.fail("refused");
    return request;
  };

  test("the operator is not told no: the old one may have done it, and its node comes back with that", () => {
    const { answers, late, tries } = refused();
    expect([tries.length, answers]).toEqual([2, []]);
    late();
    expect(answers).toEqual(["unknown"]);
  });

  test("what the old one answers after all counts", () => {
    const { answers, succeed } = refused();
    succeed();
    expect(answers).toEqual(["done"]);
  });
});
