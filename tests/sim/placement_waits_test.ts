/** What an FTM orders is judged by the nodes that it knew of when it decided. */
import { expect, test } from "bun:test";
import { encode } from "../../core/codec.ts";
import type { Effects } from "../../core/effects.ts";
import type { KernelEvent } from "../../core/kernel_event.ts";
import type { Handling, Life } from "./checkers/checker.ts";
import { placementWaits } from "./checkers/placement_waits.ts";

/** A step in which an FTM decides, knowing of these nodes, and orders; `told`: whose execution armors have told what runs. */
function step(known: readonly string[], told: readonly string[]): string[] {
  const failures: string[] = [];
  const checker = placementWaits((_rule, text) => failures.push(text));
  const life = { process: {}, kernel: { armor: "ftm" }, node: { name: "n1" } } as unknown as Life;
  const nodes = known.map((id) => ({ id, name: id, state: "alive", replaced: false }));
  const handling = (op: string, payload: object): void => checker.handling!(life, op, { payload } as unknown as Handling);
  checker.made!(life);
  for (const node of told) handling("instances.told", { node });
  handling("placement.decide", { nodes });
  const body = encode({ ops: [{ name: "instances.assign" }], payload: { instances: [{ id: "web.0" }] } });
  checker.stepped!(life, { kind: "tick" } as KernelEvent, { commits: [{ sent: [{ peer: "execution@a", body }] }] } as unknown as Effects);
  return failures;
}

test("who has not told what runs there is waited for", () => {
  expect(step(["a", "b"], ["a"])).toEqual(["the FTM of n1 orders a before it knows what runs on b"]);
  expect(step(["a", "b"], ["a", "b"])).toEqual([]);
});

test("one that joins after the decision, in the same step, is not", () => {
  expect(step(["a"], ["a"])).toEqual([]);
});
