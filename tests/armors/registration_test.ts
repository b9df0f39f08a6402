import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { registration } from "../../armors/elements/registration.ts";

const epoch = { number: 2, node: "a" };
/** What the other elements of an FTM would do with its ops. */
const others = element({
  name: "others",
  version: 1,
  state: {},
  handlers: Object.fromEntries(["liveness.watch", "node.confirm", "cluster.changed"].map((op) => [op, () => {}])),
});

/** An FTM on node `a` that starts while its leader holds node `b` dead. */
function begin(avoid: readonly string[] = []) {
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 2, node: "a", counter: 0 }, elements: [registration("a"), others], random: seededRandom(1) });
  const entry = (id: string) => ({ id, name: `name-${id}`, address: `127.0.0.1:${id.charCodeAt(0)}`, left: false, draining: false });
  const table = { version: { epoch, sequence: 1 }, entries: { "node:a": entry("a"), "node:b": entry("b") } };
  const payload = { epoch, reports: [{ node: "a", table, armors: [] }], dead: ["b"], avoid, cause: "silent", leader: "heartbeat", durationMs: 1 };
  kernel.step({ kind: "start", payload: {} }, 1_000);
  kernel.step({ kind: "local", op: "ftm.begin", payload: { begin: payload as unknown as Data } }, 1_000);
  return {
    tell: () => kernel.step({ kind: "local", op: "armors.told", payload: { node: "b", armors: [] } }, 1_100),
    /** @returns Whom it has sent `armor.remove`. */
    report: (node: string, placement: number) => {
      const armor = { armor: "heartbeat", role: "heartbeat", pid: 1, state: "running", incarnation: { placement, restart: 0 }, generation: null, elements: [] };
      const { commits } = kernel.step({ kind: "local", op: "armors.told", payload: { node, armors: [armor] } }, 1_200);
      const sent = commits.flatMap((commit) => commit.sent ?? []).map(({ peer, body }) => ({ peer, message: decode(body) as Message }));
      return sent.filter(({ message }) => message.ops.some(({ name }) => name === "armor.remove")).map(({ peer, message }) => `${peer} ${String(message.payload["placement"])}`);
    },
    state: () => (kernel.volatile("registration") as { nodes: ReadonlyMap<string, { state: string }> }).nodes.get("b")!.state,
  };
}

test("a node that a takeover held dead is alive again once its daemon speaks", () => {
  const ftm = begin();
  expect(ftm.state()).toBe("suspect");
  ftm.tell();
  expect(ftm.state()).toBe("alive");
});

test("a daemon that speaks while it leaves as planned stays suspect", () => {
  const ftm = begin(["b"]);
  ftm.tell();
  expect(ftm.state()).toBe("suspect");
});

test("of two placements of an armor the earlier is ended, whichever is reported first", () => {
  const late = begin();
  expect([late.report("a", 7), late.report("b", 5)]).toEqual([[], ["daemon@b 5"]]);
  const early = begin();
  expect([early.report("a", 5), early.report("b", 7), early.report("b", 7)]).toEqual([[], ["daemon@a 5"], []]);
});
