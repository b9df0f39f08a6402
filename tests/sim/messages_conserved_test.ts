/** What a receiver has lost in a rewind must be named, unless it has its effect again, or is over. */
import { describe, expect, test } from "bun:test";
import type { ChannelSnapshot, CommitRecord } from "../../core/checkpoint.ts";
import type { Effects } from "../../core/effects.ts";
import type { Generation } from "../../core/generation.ts";
import type { KernelEvent } from "../../core/kernel_event.ts";
import type { Life } from "./checkers/checker.ts";
import { messagesConserved } from "./checkers/messages_conserved.ts";

const body = new Uint8Array([1, 2, 3]);
const line = (counter: number): Generation => ({ epoch: 1, node: "n", counter });

/** One message that its receiver handles in commit 5. */
function handled() {
  const failures: string[] = [];
  const checker = messagesConserved((_rule, text) => failures.push(text));
  const begin = (armor: string, counter: number, commit: number, follows: boolean, node = "n1"): Life => {
    const kernel = { armor, generation: line(counter), snapshot: () => ({ channels: [], commit }) };
    const life = { kernel, node: { name: node, identity: { cluster: "c" } }, follows } as unknown as Life;
    checker.made!(life);
    return life;
  };
  const step = (life: Life, event: object, record: Partial<CommitRecord>): void =>
    checker.stepped!(life, event as KernelEvent, { commits: [{ generation: life.kernel.generation, ...record }] } as unknown as Effects);
  const handle = (receiver: Life, commit: number): void => {
    const frame = { type: "data", from: "a", fromGeneration: line(0), lane: "system", sequence: 1, body };
    step(receiver, { kind: "frame", frame }, { commit, handled: [{ peer: "a", lane: "system", sequence: 1 }] });
  };
  const sender = begin("a", 0, 0, false);
  step(sender, { kind: "tick" }, { commit: 1, sent: [{ peer: "b", lane: "system", sequence: 1, body }] });
  handle(begin("b", 0, 0, false), 5);
  return {
    failures,
    /** It is lost: its receiver goes on from commit 3. */
    rewind: () => begin("b", 1, 3, true),
    goesOn: (node: string, counter: number, commit: number) => begin("b", counter, commit, true, node),
    anew: (node = "n1") => begin("b", 2, 0, false, node),
    handle,
    /** The sender commits that it has agreed with this line, and that nothing waits. */
    agree: (counter: number) => {
      const channel: Partial<ChannelSnapshot> = { peer: "b", outbound: line(counter), outbox: [] };
      step(sender, { kind: "tick" }, { commit: 2, channels: [channel as ChannelSnapshot] });
    },
  };
}

test("a message that was lost and is neither sent again nor named is missed", () => {
  const { failures, agree, rewind } = handled();
  rewind();
  agree(1);
  expect(failures).toEqual(["1 messages from a of n1 to b are gone without a word"]);
});

test("one that was sent again and handled is not", () => {
  const { failures, agree, handle, rewind } = handled();
  handle(rewind(), 4);
  agree(1);
  expect(failures).toEqual([]);
});

test("one that was lost by a line before the receiver began anew by order is over", () => {
  const { failures, agree, anew, rewind } = handled();
  rewind();
  anew();
  agree(2);
  expect(failures).toEqual([]);
});

test("one that is lost by an old copy, after the receiver has begun anew on another node, is over", () => {
  const { failures, agree, anew, goesOn, rewind } = handled();
  anew("n2");
  rewind();
  goesOn("n2", 3, 0);
  agree(3);
  expect(failures).toEqual([]);
});

test("a copy that was left on another node and goes on there for a while has lost nothing of what this one has handled", () => {
  const { failures, agree, handle, rewind, goesOn } = handled();
  handle(rewind(), 4);
  goesOn("n2", 2, 1);
  goesOn("n1", 3, 4);
  agree(3);
  expect(failures).toEqual([]);
});

describe("what a sender put into its outbox with a commit, and has not after its next start,", () => {
  const restored = (taken: number): string[] => {
    const failures: string[] = [];
    const checker = messagesConserved((_rule, text) => failures.push(text));
    const channel = { peer: "b", numbered: line(0), outbox: [] };
    const life = (channels: object[]): Life =>
      ({ kernel: { armor: "a", generation: line(0), snapshot: () => ({ channels, commit: 2 }) }, node: { name: "n1", identity: { cluster: "c" } }, store: { taken }, follows: true }) as unknown as Life;
    const sender = life([]);
    checker.made!(sender);
    checker.stepped!(sender, { kind: "tick" } as KernelEvent, { commits: [{ commit: 2, generation: line(0), sent: [{ peer: "b", lane: "system", sequence: 1, body }] }] } as unknown as Effects);
    checker.died!(sender);
    checker.made!(life([channel]));
    return failures;
  };

  test("is missed", () => expect(restored(2)).toEqual(["a of n1 was restored without 1 messages to b"]));
  // Another commit of the same number may have been.
  test("is not if the disk had no room for that commit", () => expect(restored(1)).toEqual([]));
});
