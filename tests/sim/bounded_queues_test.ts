/** What grows without bound would take hours of virtual time: the checker of queues is shown one that has grown. */
import { expect, test } from "bun:test";
import { element } from "../../core/element.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { op } from "../../core/micro_operation.ts";
import { seededRandom } from "../../core/random.ts";
import { boundedQueues } from "./checkers/bounded_queues.ts";
import type { Life } from "./checkers/checker.ts";

test("a queue that grows is noticed, be it of messages or of suspended threads", () => {
  const heard = (go: string, times: number): string[] => {
    const talker = element({
      name: "talker",
      version: 1,
      state: {},
      blocking: ["wait.now"],
      handlers: {
        "say.now": (_state, thread) => void thread.send({ ops: [op("hear.now", "nobody")] }),
        "wait.now": (_state, thread) => void thread.block({ kind: "wait" }),
      },
    });
    const kernel = new Microkernel({ armor: "a", generation: { epoch: 1, node: "n", counter: 0 }, elements: [talker], random: seededRandom(1) });
    for (let said = 0; said < times; said++) kernel.step({ kind: "local", op: go, payload: {} }, 1);
    const failures: string[] = [];
    boundedQueues((rule) => failures.push(rule)).died!({ kernel, node: { name: "n1" } } as unknown as Life);
    return failures;
  };
  expect(heard("say.now", 50)).toEqual([]);
  expect(heard("say.now", 1_000)).toEqual(["bounded queues"]);
  expect(heard("wait.now", 200)).toEqual(["bounded queues"]);
});
