/**
 * Whom a daemon polls as FTM, when it is told of it and of the cluster.
 */
import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import type { Message } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { ftmWatch } from "../../armors/elements/ftm_watch.ts";

/** The daemon of node `a`; `polled` is where it looks for the FTM. `table`: what it knows; `returning`: it was taken out of the cluster. */
function daemon(table: { [key: string]: Data } = {}, returning = false) {
  const polled: string[] = [];
  const led: number[] = [];
  const others = element({
    name: "others",
    version: 1,
    state: {},
    handlers: {
      "epoch.read": (_state, thread) => void (thread.payload["epochs"] = { ftm: null, promised: { number: 0, node: "" } }),
      "table.read": (_state, thread) => void (thread.payload["table"] = table),
      "membership.read": (_state, thread) => void (thread.payload["returning"] = returning),
      "ask.make": (_state, thread) => thread.insert(op("table.read"), op("ftm.ask-around")),
      "takeover.begin": (_state, thread) => void led.push(thread.nowMs),
      "liveness.unwatch": () => void polled.push("nobody"),
      "liveness.watch": (_state, thread) => void polled.push(...(thread.payload["targets"] as { address: string }[]).map(({ address }) => address)),
    },
  });
  const elements = [ftmWatch({ id: "a", name: "n1", address: "a:1" }, false), others];
  const kernel = new Microkernel({ armor: "daemon@a", generation: { epoch: 0, node: "a", counter: 0 }, elements, random: seededRandom(1) });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  const local = (op: string, payload: Record<string, Data>): void => void kernel.step({ kind: "local", op, payload }, 1_000);
  return {
    polled,
    /** When it leads a takeover, for the FTM of its node is gone. */
    leadsAt: () => {
      local("ftm.lost", { gone: { number: 1, node: "a" } });
      for (let nowMs = 1_000; nowMs < 30_000 && led.length === 0; nowMs += 100) kernel.step({ kind: "tick" }, nowMs);
      return led[0];
    },
    /** What it asks whom about an FTM. */
    askedAround: () => {
      const { commits } = kernel.step({ kind: "local", op: "ask.make", payload: {} }, 1_000);
      const sent = commits.flatMap((commit) => commit.sent ?? []).map(({ peer, body }) => ({ peer, message: decode(body) as Message }));
      return sent.map(({ peer, message: { ops, payload } }) => `${peer} ${ops[0]!.name} ${String(payload["node"])} ${String(payload["gone"])}`);
    },
    announced: (node: string) => local("ftm.changed", { ftm: { epoch: { number: 2, node }, node }, address: `${node}:1` }),
    located: (address: string) => local("heartbeat.located", { addresses: { a: "a:1", b: address }, heartbeat: "b" }),
  };
}

test("the FTM has moved to another address: it is polled there", () => {
  const { polled, announced, located } = daemon();
  announced("b");
  expect(polled).toEqual(["nobody", "b:1"]);
  located("b:2");
  expect(polled).toEqual(["nobody", "b:1", "b:2"]);
});

test("the FTM of this node is not polled as a stranger", () => {
  const { polled, announced, located } = daemon();
  announced("a");
  located("b:1");
  expect(polled).toEqual([]);
});

test("it asks every other node whom that hears, also those that had left: the FTM that it knew may have a successor which does not look for it", () => {
  const entry = (id: string, rest = {}): { [key: string]: Data } => ({ [`node:${id}`]: { id, left: false, ...rest } });
  const { askedAround } = daemon({ "app:x": {}, ...entry("a", { left: true }), ...entry("b"), ...entry("c", { left: true }), ...entry("d", { left: true, replaced: true }) });
  expect(askedAround()).toEqual(["daemon@b epoch.poll b null", "daemon@c epoch.poll c null"]);
});

test("a node that was taken out of the cluster looks for those that went on before it acts alone; the last one to leave does not", () => {
  const node = (id: string, left = false): Data => ({ id, name: id, address: `${id}:1`, draining: false, left });
  const both = { "node:a": node("a"), "node:b": node("b") };
  expect(daemon(both).leadsAt()).toBeLessThan(2_000);
  expect(daemon(both, true).leadsAt()).toBeGreaterThan(10_000);
  expect(daemon({ "node:a": node("a"), "node:b": node("b", true) }, true).leadsAt()).toBeLessThan(2_000);
});
