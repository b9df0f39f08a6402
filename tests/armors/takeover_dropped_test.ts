/** A takeover of an FTM that was silent and is heard again by whoever leads. */
import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import type { Effects } from "../../core/effects.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { takeover } from "../../armors/elements/takeover.ts";

const ftm = { number: 3, node: "c" };

/** The daemon of node `a` leads; `gone`: the FTM's own daemon says that its process is. */
function leader(gone: Data = null) {
  const kernel = new Microkernel({ armor: "daemon@a", generation: { epoch: 0, node: "a", counter: 0 }, elements: [takeover("a")], random: seededRandom(1) });
  let nowMs = 1_000;
  const asked: string[] = [];
  let round: Data = null;
  const take = ({ commits }: Effects): void => {
    for (const { sent = [] } of commits) {
      for (const { body } of sent) {
        const { ops, payload } = decode(body) as Message;
        asked.push(ops[0]!.name);
        if (ops[0]!.name === "epoch.poll") round = payload["round"]!;
      }
    }
  };
  const local = (op: string, payload: { [field: string]: Data }): void => take(kernel.step({ kind: "local", op, payload }, nowMs));
  take(kernel.step({ kind: "start", payload: {} }, nowMs));
  local("takeover.begin", { takeover: { cause: "silent", nodes: ["a", "b", "c"], seen: ftm, from: "c", gone, dead: ["c"], patient: true, avoid: [] } });
  return {
    /** Questions in the next minute. */
    later: () => {
      asked.length = 0;
      for (let count = 0; count < 600; count++) take(kernel.step({ kind: "tick" }, nowMs += 100));
      return [...new Set(asked)];
    },
    wait: (milliseconds: number) => take(kernel.step({ kind: "tick" }, nowMs += milliseconds)),
    heard: () => local("liveness.changed", { changes: [{ id: "ftm", liveness: "alive", silentMs: 0 }] }),
    polled: (node: string) => local("takeover.polled", { node, round, vote: { promised: true, epoch: ftm } }),
  };
}

test("it is dropped: nobody is asked any more, while answers are awaited or in the pause after them", () => {
  for (const waitMs of [0, 3_001]) {
    const { later, wait, heard } = leader();
    wait(waitMs);
    heard();
    expect(later()).toEqual([]);
  }
});

test("it goes on as long as the FTM is not heard", () => {
  expect(leader().later()).toEqual(["epoch.poll"]);
});

test("it goes on if the FTM's process is known to be gone: what is heard came before that", () => {
  const { later, heard } = leader(ftm);
  heard();
  expect(later()).toEqual(["epoch.poll"]);
});

test("it goes on once promises were asked for", () => {
  const { later, heard, polled } = leader();
  for (const node of ["a", "b"]) polled(node);
  heard();
  expect(later()).toEqual(["epoch.poll"]);
});
