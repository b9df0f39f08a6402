import { expect, test } from "bun:test";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { nodeConfirmation } from "../../armors/elements/node_confirmation.ts";

const generation = { epoch: 2, node: "a", counter: 0 };
const beganMs = 1_000;

/**
 * The FTM of node `a`, which doubts node `b`; nobody else can be asked, but `c` where it has just begun and `c` reports.
 *
 * @returns Nodes declared failed.
 */
function doubts(heardAtMs: number | undefined, { silent, withinMs = timing.nodeConfirmMs + 300 }: { readonly silent?: readonly string[]; readonly withinMs?: number } = {}): string[] {
  const failed: string[] = [];
  let nowMs = beganMs;
  const others = element({
    name: "others",
    version: 1,
    state: {},
    handlers: {
      "nodes.read": (_state, thread) => {
        const third = silent ? [{ id: "c", state: "alive", address: "" }] : [];
        thread.payload["nodes"] = [{ id: "a", state: "alive", address: "" }, { id: "b", state: "suspect", address: "" }, ...third];
      },
      "liveness.read": (_state, thread) => {
        thread.payload["heard"] = heardAtMs === undefined ? {} : { "guard@b": thread.nowMs - heardAtMs };
      },
      "node.confirmed-failed": (_state, thread) => void failed.push(thread.payload["subject"] as string),
    },
  });
  const kernel = new Microkernel({ armor: "ftm", generation, elements: [nodeConfirmation("a"), others], random: seededRandom(1) });
  kernel.step({ kind: "start", payload: {} }, nowMs);
  const reports = silent ? [{ node: "a", silent: ["b"] }, { node: "c", silent }] : [];
  kernel.step({ kind: "local", op: "node.confirm", payload: { subjects: ["b"], begin: { reports } } as unknown as Record<string, Data> }, nowMs);
  for (; nowMs < beganMs + withinMs; nowMs += 10) kernel.step({ kind: "tick" }, nowMs);
  return failed;
}

test("a silent node that nobody else hears is failed", () => {
  expect(doubts(undefined)).toEqual(["b"]);
  expect(doubts(beganMs)).toEqual(["b"]);
});

test("a node that is heard while others are asked is not failed: nothing would call it alive again", () => {
  expect(doubts(beganMs + 1)).toEqual([]);
  expect(doubts(beganMs + timing.nodeConfirmMs)).toEqual([]);
});

test("after a takeover nobody is asked again who has just asked in vain", () => {
  expect(doubts(undefined, { silent: ["b"], withinMs: 50 })).toEqual(["b"]);
  expect(doubts(undefined, { silent: [], withinMs: 50 })).toEqual([]);
});
