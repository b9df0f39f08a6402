/**
 * A sender that has lost its last commits in a loss of power: messages that had
 * turned round at their deadline in one of them had left their numbers to others.
 */
import { expect, test } from "bun:test";
import type { ChannelSnapshot } from "../../core/checkpoint.ts";
import type { Frame } from "../../core/frame.ts";
import { ReliableChannel, type Received } from "../../core/reliable_channel.ts";

const generation = (counter: number) => ({ epoch: 1, node: "n", counter });
const body = (text: string): Uint8Array => new TextEncoder().encode(text);
const texts = (bodies: readonly Uint8Array[]): string[] => bodies.map((one) => new TextDecoder().decode(one));

/** Two ends; the sender has queued two messages, of which the first may turn round at 100, and its checkpoint says so. */
function ends() {
  const sender = new ReliableChannel("a", "b", generation(0), 1);
  const receiver = new ReliableChannel("b", "a", generation(0), 1);
  sender.enqueue("system", body("first"), 100, { atMs: 100, boot: "x" });
  sender.enqueue("system", body("second"), 10_000, { atMs: 10_000, boot: "x" });
  return { sender, receiver, saved: sender.snapshot() };
}

/** Let them speak. @returns What was delivered, and what the sender has learned. */
function speak(sender: ReliableChannel, receiver: ReliableChannel, nowMs: number): { delivered: string[]; learned: Received[] } {
  const delivered: string[] = [];
  const learned: Received[] = [];
  for (let turn = 0; turn < 4; turn++) {
    for (const frame of sender.outgoing(nowMs + turn * 1_000)) {
      const received = receiver.receive(frame, nowMs);
      if (received.kind !== "deliver") continue;
      delivered.push(texts([received.frame.body])[0]!);
      receiver.handled(received.lane, received.sequence);
    }
    for (const frame of receiver.replies(10)) learned.push(sender.receive(frame as Frame, nowMs));
  }
  return { delivered, learned: learned.filter(({ kind }) => kind === "rewound") };
}

function restored(saved: ChannelSnapshot, nowMs: number): ReliableChannel {
  const channel = new ReliableChannel("a", "b", generation(1), 50, saved);
  channel.begin(nowMs, "x", () => 10_000);
  return channel;
}

test("a message whose number another one had is neither taken for handled nor lost: it is in doubt, and sent again", () => {
  const { sender, receiver, saved } = ends();
  expect(texts(sender.takeExpired(200))).toEqual(["first"]);
  expect(speak(sender, receiver, 200).delivered).toEqual(["second"]);
  const { delivered, learned } = speak(restored(saved, 300), receiver, 300);
  expect(learned.map((one) => one.kind === "rewound" && texts(one.inDoubt))).toEqual([["first", "second"]]);
  expect(delivered).toEqual(["first", "second"]);
});

test("where nothing has turned round what was handled is known by its number", () => {
  const { sender, receiver, saved } = ends();
  expect(speak(sender, receiver, 0).delivered).toEqual(["first", "second"]);
  expect(speak(restored(saved, 50), receiver, 50)).toEqual({ delivered: [], learned: [] });
});

test("what turned round before the checkpoint leaves no doubt either", () => {
  const { sender, receiver } = ends();
  sender.takeExpired(200);
  const saved = sender.snapshot();
  expect(speak(sender, receiver, 200).delivered).toEqual(["second"]);
  expect(speak(restored(saved, 300), receiver, 300)).toEqual({ delivered: [], learned: [] });
});

test("a receiver that is restored still knows under which numbers it has handled", () => {
  const { sender, receiver, saved } = ends();
  sender.takeExpired(200);
  speak(sender, receiver, 200);
  const again = new ReliableChannel("b", "a", generation(0), 90, receiver.snapshot());
  expect(speak(restored(saved, 300), again, 300).learned).toHaveLength(1);
});
