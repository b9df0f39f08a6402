/** What is new is taken as long as a majority of the nodes has room on its disk. */
import { expect, test } from "bun:test";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { type Failure, opFailed } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { admission } from "../../armors/elements/admission.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

/** @param disks Of each node, from `n1`: `full` or `room`; `away` is out of reach. @returns `taken`, or why something new is refused. */
function admit(...disks: readonly ("full" | "room" | "away")[]): string | undefined {
  const nodes = disks.map((disk, index) => ({ id: `n${index + 1}`, name: `n${index + 1}`, state: disk === "away" ? "suspect" : "alive", full: disk === "full" }));
  const seen: string[] = [];
  const operator = element({
    name: "operator",
    version: 1,
    state: {},
    handlers: {
      ask: (_state, thread) => void thread.send({ ops: [op("admission.room", "ftm"), op("taken", thread.self)], payload: { nodes: nodes as unknown as Data } }),
      taken: () => void seen.push("taken"),
      [opFailed]: (_state, thread) => void seen.push((thread.payload["failure"] as Failure).text),
    },
  });
  const network = new KernelNetwork(1);
  network.add("ftm", [admission()]);
  network.add("daemon@n1", [operator]);
  network.local("daemon@n1", "ask");
  network.advance(100);
  return seen[0];
}

test.each([
  [["room"], false],
  [["full"], true],
  [["full", "room"], false],
  [["full", "full"], true],
  [["full", "room", "room"], false],
  [["full", "full", "room"], true],
  [["full", "away", "room"], true],
] as const)("%p: refused is %p", (disks, refused) => {
  expect(admit(...disks) !== "taken").toBe(refused);
});

test("the refusal names the nodes", () => {
  expect(admit("full", "room", "full")).toContain("n1, n3");
});
