/** The FTM's own node leaves: it is out only when another lives, or the cluster would have none but those that do not, perhaps without their disks. */
import { expect, test } from "bun:test";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { registration } from "../../armors/elements/registration.ts";
import type { NodeRegistration, NodeState } from "../../armors/shapes.ts";

const epoch = { number: 2, node: "a" };

/** Node `a` with the FTM is to leave, and nothing runs on it any more; `b` is in this state, and in `later` when that is stored. @returns What is stored of `a`, each time. */
function leaves(state: NodeState, later: NodeState = state): { readonly left: boolean[]; readonly dismissed: () => boolean; wait(ms: number, state: NodeState): void } {
  const left: boolean[] = [];
  let dismissed = false;
  let nowMs = 1_000;
  const set = (id: string, now: NodeState): void => {
    const known = kernel.volatile("registration") as { nodes: Map<string, { state: NodeState }> };
    known.nodes.set(id, { ...known.nodes.get(id)!, state: now });
  };
  const table = element({
    name: "table",
    version: 1,
    state: {},
    handlers: {
      ...Object.fromEntries(["liveness.watch", "liveness.unwatch", "node.confirm", "cluster.changed"].map((op) => [op, () => {}])),
      "node.register": (_state, thread) => void left.push((thread.payload["registration"] as NodeRegistration).left),
      "table.commit": () => set("b", later),
    },
  });
  const kernel: Microkernel = new Microkernel({ armor: "ftm", generation: { epoch: 2, node: "a", counter: 0 }, elements: [registration("a"), table], random: seededRandom(1), eventSink: "daemon@a" });
  const take = ({ commits }: ReturnType<Microkernel["step"]>): void => {
    for (const { body } of commits.flatMap(({ sent = [] }) => sent)) if (Buffer.from(body).includes("membership.end")) dismissed = true;
  };
  const entry = (id: string, draining: boolean) => ({ id, name: id, address: `${id}:1`, left: false, draining });
  const entries = { "node:a": entry("a", true), "node:b": entry("b", false) };
  const reports = ["a", "b"].map((node) => ({ node, armors: [], table: { version: { epoch, sequence: 1 }, lineage: [], entries } }));
  kernel.step({ kind: "start", payload: {} }, nowMs);
  kernel.step({ kind: "local", op: "ftm.begin", payload: { begin: { epoch, reports, dead: [], avoid: [], cause: "silent", leader: "heartbeat", durationMs: 1 } as unknown as Data } }, nowMs);
  kernel.step({ kind: "local", op: "node.settled", payload: { settling: "takeover" } }, nowMs);
  set("b", state);
  take(kernel.step({ kind: "local", op: "node.drained", payload: { subject: "a" } }, nowMs));
  return {
    left,
    dismissed: () => dismissed,
    wait: (ms, now) => {
      set("b", now);
      take(kernel.step({ kind: "tick" }, nowMs += ms));
    },
  };
}

test("another lives: it has left, and ends", () => {
  const node = leaves("alive");
  expect([node.left, node.dismissed()]).toEqual([[true], true]);
});

test("the other has failed: it ends and stays a member", () => {
  const node = leaves("failed");
  expect([node.left, node.dismissed()]).toEqual([[false], true]);
});

test.each([["alive", true], ["failed", false]] as const)("of the other nothing is known: it waits, and goes on when that is found %s", (found, left) => {
  const node = leaves("suspect", found);
  expect([node.left, node.dismissed()]).toEqual([[], false]);
  node.wait(1_100, "suspect");
  expect([node.left, node.dismissed()]).toEqual([[], false]);
  node.wait(1_100, found);
  expect([node.left, node.dismissed()]).toEqual([[left], true]);
});

test("the other fails while its leaving is stored: that is taken back", () => {
  const node = leaves("alive", "failed");
  expect([node.left, node.dismissed()]).toEqual([[true, false], true]);
});
