import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import type { Message } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { gateway } from "../../armors/elements/gateway.ts";
import { isAsNew } from "../../armors/elements/gateway.ts";
import { type View, view } from "../../armors/elements/view.ts";

const epoch = { number: 2, node: "a" };
const nodes = [{ id: "a", name: "n1", address: "127.0.0.1:1", state: "alive", reported: true, plannedUntilMs: 0 }];

/** An FTM whose table is what `table` returns. */
function ftm(table: () => { [key: string]: Data }) {
  const others = element({
    name: "others",
    version: 1,
    state: {},
    handlers: {
      "nodes.read": (_state, thread) => {
        Object.assign(thread.payload, { nodes, armors: [], epoch });
      },
      "table.read": (_state, thread) => {
        thread.payload["table"] = table();
      },
      "instances.read": (_state, thread) => {
        Object.assign(thread.payload, { instances: {}, placed: {} });
      },
      acknowledge: (_state, thread) => thread.insert(op("view.tell"), op("operator.answer", "daemon@a")),
    },
  });
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 2, node: "a", counter: 0 }, elements: [view(), others], random: seededRandom(1) });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  const run = (name: string): Message[] => {
    const { commits } = kernel.step({ kind: "local", op: name, payload: { node: "a" } }, 1_100);
    return commits.flatMap((commit) => commit.sent ?? []).map(({ body }) => decode(body) as Message);
  };
  return { acknowledge: () => run("acknowledge") };
}

const entry = { serial: "1", application: { name: "web", instances: 1 }, desired: "running", revision: 1, revisionEpoch: epoch, restart: 0, completed: [] };

test("an acknowledgement travels with the view that shows the change, before the answer", () => {
  let table: { [key: string]: Data } = { "app:web": entry as unknown as Data };
  const { acknowledge } = ftm(() => table);
  const [first] = acknowledge();
  expect(first!.ops.map(({ name, at }) => [name, at])).toEqual([["view.offer", "daemon@a"], ["operator.answer", "daemon@a"]]);
  const shown = first!.payload["view"] as unknown as View;
  expect(shown.applications.map(({ name, state }) => [name, state])).toEqual([["web", "pending"]]);
  table = {};
  const [second] = acknowledge();
  const next = second!.payload["view"] as unknown as View;
  expect(next.applications).toEqual([]);
  expect([next.number > shown.number, isAsNew(next, shown), isAsNew(shown, next)]).toEqual([true, true, false]);
  expect((acknowledge()[0]!.payload["view"] as unknown as View).number).toBe(next.number);
});

test("a daemon keeps the newest view, in whatever order they arrive, and none from before its promise", () => {
  const others = element({
    name: "others",
    version: 1,
    state: {},
    handlers: {
      "heartbeat.located": () => {},
      "epoch.read": (_state, thread) => {
        thread.payload["epochs"] = { promised: epoch };
      },
    },
  });
  const kernel = new Microkernel({ armor: "daemon@a", generation: { epoch: 2, node: "a", counter: 0 }, elements: [gateway(), others], random: seededRandom(1) });
  const take = (epochNumber: number, number: number): string => {
    const given: View = { epoch: { number: epochNumber, node: "a" }, number, stale: false, nodes: [], armors: [], names: {}, applications: [] };
    kernel.step({ kind: "local", op: "view.offer", payload: { view: given as unknown as Data } }, 1_000);
    const { view: kept } = kernel.volatile("gateway") as { view: View | null };
    return kept ? `${kept.epoch.number}.${kept.number}` : "none";
  };
  expect([take(1, 9), take(3, 2), take(3, 1), take(2, 9), take(3, 3), take(4, 1)]).toEqual(["none", "3.2", "3.2", "3.2", "3.3", "4.1"]);
});
