import { expect, test } from "bun:test";
import { encode } from "../../core/codec.ts";
import { headOf } from "./checkers/messages_once.ts";

test("a message's id and place in its itinerary are read without the rest", () => {
  const message = { id: "daemon@abid1234/0.abid1234.0/1548", from: "x".repeat(40), to: "ftm", lane: "user", ops: [{ name: "id" }], payload: { executed: 9 }, executed: 7, segments: 1, hops: 300 };
  expect(headOf(encode(message))).toEqual({ id: message.id, executed: 7 });
  expect(headOf(encode({ ...message, deadlineMs: 70_000.5, executed: 1_000 }))).toEqual({ id: message.id, executed: 1_000 });
});
