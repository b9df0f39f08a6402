/** Whether anybody can launch a program, where not everybody answers. */
import { expect, test } from "bun:test";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { type Failure, opFailed } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { admission } from "../../armors/elements/admission.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

/** @param answers What the execution armor of each node says; `undefined`: nothing. @returns What the operator is told, and how many questions the FTM keeps of five. */
function look(...answers: readonly (string | undefined)[]): { text: string; kept: number } {
  const network = new KernelNetwork(1);
  const nodes = answers.map((_, index) => ({ id: `n${index + 1}`, name: `n${index + 1}`, state: "alive" }));
  let text = "taken";
  network.add("ftm", [admission()]);
  answers.forEach((reason, index) => {
    const looked = element({ name: "look", version: 1, state: {}, handlers: { "program.look": (_state, thread) => (reason === undefined ? thread.finish() : void (thread.payload["reason"] = reason)) } });
    network.add(`execution@n${index + 1}`, [looked]);
  });
  network.add("daemon@n1", [element({
    name: "operator",
    version: 1,
    state: {},
    handlers: {
      ask: (_state, thread) => void thread.send({ ops: [op("admission.look", "ftm"), op("taken", thread.self)], payload: { nodes: nodes as unknown as Data, args: { application: { name: "web", command: "/nope" } } } }),
      taken: () => {},
      [opFailed]: (_state, thread) => void (text = (thread.payload["failure"] as Failure).text),
    },
  })]);
  for (let times = 0; times < 5; times++) {
    network.local("daemon@n1", "ask");
    network.advance(10_000);
  }
  const { gathers } = network.armor("ftm").kernel!.volatile("admission") as { gathers: ReadonlyMap<string, unknown> };
  return { text, kept: gathers.size };
}

test("one that can is enough", () => {
  expect(look("no such program", "")).toEqual({ text: "taken", kept: 1 });
  expect(look("", undefined)).toEqual({ text: "taken", kept: 1 });
});

test("what some have said is told also where another does not answer", () => {
  expect(look("no such program", undefined)).toEqual({ text: 'no node can launch "/nope": n1: no such program', kept: 1 });
});

test("where nobody answers that is told", () => {
  expect(look(undefined)).toMatchObject({ text: expect.stringContaining("no execution armor answered"), kept: 1 });
});
