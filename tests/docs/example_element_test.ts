/**
 * The worked example of CONTRIBUTING.md does what it says, inside a real execution
 * armor, also across a restart.
 */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { executionArmor } from "../../armors/execution_armor.ts";
import { root } from "../../build/tools.mjs";
import type { CommitRecord } from "../../core/checkpoint.ts";
import { decode } from "../../core/codec.ts";
import type { DataRecord } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel, type MicrokernelOptions } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import exitCounter from "../../examples/exit_counter.ts";

function start(restored?: MicrokernelOptions["restored"]): { kernel: Microkernel; exit(launch: number): CommitRecord[] } {
  const kernel = new Microkernel({
    armor: "execution@n1",
    generation: { epoch: 1, node: "n1", counter: 0 },
    elements: [...executionArmor({ node: "n1" }), exitCounter({ element })],
    random: seededRandom(1),
    eventSink: "daemon@n1",
    ...(restored && { restored }),
  });
  kernel.step({ kind: "start" }, 0);
  const exit = (launch: number): CommitRecord[] => [
    ...kernel.step({ kind: "local", op: "program.exited", payload: { id: "web.0", launch, status: 1 } }, launch).commits,
  ];
  return { kernel, exit };
}

/** Kinds of the events in commit records. */
function events(records: readonly CommitRecord[]): string[] {
  const messages = records.flatMap(({ sent = [] }) => sent.map(({ body }) => decode(body) as Message));
  return messages.flatMap(({ payload }) => ((payload["events"] ?? []) as DataRecord[]).map(({ kind }) => String(kind)));
}

describe("examples/exit_counter.ts", () => {
  test("counts each launch once and tells at the third end", () => {
    const { kernel, exit } = start();
    expect(events([...exit(1), ...exit(2), ...exit(2)])).toEqual([]);
    expect(events(exit(3))).toEqual(["application.ends-often"]);
    expect(events([...exit(3), ...exit(4)])).toEqual([]);
    expect(kernel.state("exit_counter")).toEqual({ "web.0": { launch: 4, ended: 4 } });
  });

  test("goes on counting after a restart of its armor", () => {
    const before = start();
    const snapshot = before.kernel.snapshot();
    const records = [...before.exit(1), ...before.exit(2)];
    const { exit } = start({ snapshot, records });
    expect(events(exit(3))).toEqual(["application.ends-often"]);
  });

  test("stands in CONTRIBUTING.md as it is", () => {
    const file = readFileSync(join(root, "examples", "exit_counter.ts"), "utf8");
    expect(readFileSync(join(root, "CONTRIBUTING.md"), "utf8")).toContain(`\`\`\`ts\n${file}\`\`\`\n`);
  });
});
