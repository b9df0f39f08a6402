import { expect, test } from "bun:test";
import counterPair from "../../examples/counter_pair.ts";
import { type DataRecord, type Element, elementSdk, makeArmor } from "../../mod.ts";

const made = (): Element => counterPair(elementSdk) as Element;

test("sends as many messages as it was told to, numbered, in batches", () => {
  const armor = makeArmor([made()]);
  expect(armor.send("pair.start", { peer: "pong", messages: 45 }).status).toBe("done");
  expect(armor.sent).toHaveLength(20);
  armor.advance(100);
  expect(armor.sent.map(({ to, payload }) => `${to} ${String(payload["number"])}`)).toEqual(Array.from({ length: 45 }, (_, index) => `pong ${index + 1}`));
  expect(armor.state("counter")).toMatchObject({ left: 0, sent: 45 });
});

test("goes on where it was after a crash", () => {
  const armor = makeArmor([made()]);
  armor.send("pair.start", { peer: "pong", messages: 45 });
  armor.restart();
  armor.advance(100);
  expect(armor.sent.map(({ payload }) => payload["number"])).toEqual(Array.from({ length: 45 }, (_, index) => index + 1));
});

test("counts and adds up what it receives, and tells", () => {
  const armor = makeArmor([made()]);
  for (const number of [1, 2, 3]) armor.send("pair.take", { number });
  expect(armor.send("pair.read").payload).toEqual({ peer: "", left: 0, sent: 0, back: [], received: 3, sum: 6 });
});

test("sends again what comes back", () => {
  const armor = makeArmor([made()]);
  armor.send("pair.start", { peer: "pong", messages: 2 });
  const failure = { code: "deadline", op: "pair.take" };
  for (const { ops, payload } of armor.sent.splice(0)) armor.local("armor.op-failed", { failure, message: { ops, payload } as unknown as DataRecord });
  armor.restart();
  armor.advance(100);
  expect(armor.sent.map(({ payload }) => payload["number"])).toEqual([1, 2]);
  expect(armor.state("counter")).toMatchObject({ left: 0, sent: 2, back: [] });
});

test("refuses a start without a peer or messages", () => {
  const armor = makeArmor([made()]);
  const payloads: DataRecord[] = [{}, { peer: "x" }, { peer: "x", messages: 0 }, { peer: 1, messages: 1 }];
  for (const payload of payloads) {
    expect(armor.send("pair.start", payload).failure!.code).toBe("refused");
  }
});
