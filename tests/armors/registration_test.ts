import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import type { Generation } from "../../core/generation.ts";
import { type Message, opFailed } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { registration } from "../../armors/elements/registration.ts";

const epoch = { number: 2, node: "a" };
/** What the other elements of an FTM would do with its ops. */
const others = element({
  name: "others",
  version: 1,
  state: {},
  handlers: Object.fromEntries(["liveness.watch", "liveness.unwatch", "liveness.held-failed", "node.confirm", "node.spare", "cluster.changed", "node.register", "table.commit"].map((op) => [op, () => {}])),
});

/** An FTM on node `a` that starts while its leader holds node `b` dead. */
function begin(avoid: readonly string[] = [], registered: { readonly draining?: boolean; readonly left?: boolean } = {}) {
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 2, node: "a", counter: 0 }, elements: [registration("a"), others], random: seededRandom(1) });
  const entry = (id: string) => ({ id, name: `name-${id}`, address: `127.0.0.1:${id.charCodeAt(0)}`, left: false, draining: false });
  const table = { version: { epoch, sequence: 1 }, entries: { "node:a": entry("a"), "node:b": { ...entry("b"), ...registered } } };
  const payload = { epoch, reports: [{ node: "a", table, armors: [] }], dead: ["b"], avoid, cause: "silent", leader: "heartbeat", durationMs: 1 };
  kernel.step({ kind: "start", payload: {} }, 1_000);
  const sentBy = (event: Parameters<Microkernel["step"]>[0], nowMs: number): { peer: string; ops: string[] }[] =>
    kernel.step(event, nowMs).commits.flatMap((commit) => commit.sent ?? []).map(({ peer, body }) => ({ peer, ops: (decode(body) as Message).ops.map(({ name }) => name) }));
  const greeted = sentBy({ kind: "local", op: "ftm.begin", payload: { begin: payload as unknown as Data } }, 1_000).filter(({ ops }) => ops[0] === "epoch.announce");
  return {
    /** Daemons to whom it has announced itself. */
    greeted: greeted.map(({ peer }) => peer),
    /** The daemon of `b` says hello. @returns What is sent to it. */
    hello: (returning: boolean) => {
      const sent = sentBy({ kind: "local", op: "node.hello", payload: { registration: entry("b"), returning } }, 1_100);
      return [...sent, ...sentBy({ kind: "tick" }, 1_100)].filter(({ peer }) => peer.endsWith("@b")).map(({ ops }) => ops.at(-1)!);
    },
    /** A daemon has promised this epoch. @returns Whom it tells what, and what it asks of its host. */
    promised: (number: number, promiser?: string) => {
      const { commits, commands } = kernel.step({ kind: "local", op: "epoch.announced", payload: { promised: { number, node: "x" }, ...(promiser !== undefined && { promiser }) } }, 1_100);
      const sent = commits.flatMap((commit) => commit.sent ?? []).map(({ peer, body }) => `${peer} ${(decode(body) as Message).ops.map(({ name }) => name).join(",")}`);
      return [...sent, ...commands.map(({ kind }) => kind)];
    },
    /** The daemon of `b` is asked by its system to end. */
    leaves: () => void kernel.step({ kind: "local", op: "node.leaving", payload: { node: "b" } }, 1_150),
    /** It asks once more to be taken in; the first time it has not heard of the answer. */
    joins: () => void kernel.step({ kind: "local", op: "node.join", payload: { registration: entry("b") } }, 1_150),
    wait: (milliseconds: number) => sentBy({ kind: "tick" }, 1_100 + milliseconds).map(({ peer, ops }) => `${peer} ${ops.at(-1)}`),
    /** Another node has taken the name of `b`. */
    replace: () => void kernel.step({ kind: "local", op: "node.join", payload: { registration: { ...entry("c"), name: "name-b" } } }, 1_050),
    fail: () => void kernel.step({ kind: "local", op: "node.confirmed-failed", payload: { subject: "b", silentMs: 1 } }, 1_150),
    answer: () => void kernel.step({ kind: "local", op: "liveness.changed", payload: { changes: [{ id: "guard@b", liveness: "alive", silentMs: 0 }] } }, 1_200),
    tell: () => kernel.step({ kind: "local", op: "armors.told", payload: { node: "b", armors: [] } }, 1_100),
    /** @returns Whom it has sent `armor.remove`. */
    report: (node: string, placement: number, generation: Generation | null = null) => {
      const armor = { armor: "heartbeat", role: "heartbeat", pid: 1, state: "running", incarnation: { placement, restart: 0 }, generation, elements: [] };
      const { commits } = kernel.step({ kind: "local", op: "armors.told", payload: { node, armors: [armor] } }, 1_200);
      const sent = commits.flatMap((commit) => commit.sent ?? []).map(({ peer, body }) => ({ peer, message: decode(body) as Message }));
      return sent.filter(({ message }) => message.ops.some(({ name }) => name === "armor.remove")).map(({ peer, message }) => `${peer} ${String(message.payload["placement"])}`);
    },
    /** @returns Whom it announces itself to. */
    refused: (armor: string, code: string) => {
      const { commits } = kernel.step({ kind: "local", op: opFailed, payload: { failure: { code, armor } } }, 1_300);
      return commits.flatMap((commit) => commit.sent ?? []).filter(({ body }) => (decode(body) as Message).ops[0]!.name === "epoch.announce").map(({ peer }) => peer);
    },
    /** The daemon of a node says what is on it. */
    told: (node: string, names: readonly string[]) => {
      const armors = names.map((armor) => ({ armor, role: armor, pid: 1, state: "running", incarnation: { placement: 2, restart: 0 }, generation: null, elements: [] }));
      kernel.step({ kind: "local", op: "armors.told", payload: { node, armors } }, 1_200);
    },
    /** Another FTM's table has been taken in, with this of nodes. @returns Whom it announces itself to. */
    merge: (...nodes: readonly { readonly id: string; readonly left?: boolean }[]) => {
      const merged = nodes.map(({ id, left = false }) => ({ ...entry(id), left }));
      return sentBy({ kind: "local", op: "nodes.merged", payload: { merged } }, 1_100).filter(({ ops }) => ops[0] === "epoch.announce").map(({ peer }) => peer);
    },
    stateOf: (id: string) => (kernel.volatile("registration") as { nodes: ReadonlyMap<string, { state: string }> }).nodes.get(id)?.state,
    nodeOf: (armor: string) => (kernel.volatile("registration") as { armors: ReadonlyMap<string, { node: string }> }).armors.get(armor)?.node,
    state: () => (kernel.volatile("registration") as { nodes: ReadonlyMap<string, { state: string }> }).nodes.get("b")!.state,
  };
}

test("a node that a takeover held dead is alive again once its daemon speaks", () => {
  const ftm = begin();
  expect(ftm.state()).toBe("suspect");
  ftm.tell();
  expect(ftm.state()).toBe("alive");
});

test("a node that another FTM took in meanwhile is greeted, and counts as soon as it speaks", () => {
  const ftm = begin();
  ftm.tell();
  expect(ftm.merge({ id: "a" }, { id: "b" }, { id: "c" }, { id: "d", left: true })).toEqual(["daemon@c"]);
  expect([ftm.stateOf("b"), ftm.stateOf("c"), ftm.stateOf("d")]).toEqual(["alive", "suspect", undefined]);
  ftm.told("c", []);
  expect(ftm.stateOf("c")).toBe("alive");
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

test("a node that has left and was never told so is told when it says hello", () => {
  const ftm = begin([], { left: true });
  expect(ftm.greeted).toEqual(["daemon@a", "daemon@b"]);
  expect(ftm.hello(false)).toEqual(["membership.end"]);
  expect(ftm.state()).toBe("left");
});

test("a node that was started again after it had left belongs to the cluster", () => {
  const ftm = begin([], { left: true });
  expect(ftm.hello(true)).toEqual(["epoch.announced"]);
  expect(ftm.state()).toBe("alive");
  // Said twice, it is heard once.
  expect(ftm.hello(true)).toEqual([]);
});

test("a node that has left, missed that and lost its name, ends its programs, then itself", () => {
  const ftm = begin([], { left: true });
  ftm.replace();
  expect(ftm.hello(false)).toEqual(["instances.assign"]);
  expect(ftm.wait(11_000)).toEqual([]);
  expect(ftm.wait(12_000)).toEqual(["daemon@b membership.end"]);
});

test("a node whose name another has taken since it left does not return", () => {
  const ftm = begin([], { left: true });
  ftm.replace();
  expect(() => ftm.hello(true)).not.toThrow();
  expect(ftm.state()).toBe("left");
});

test("a node that was to leave and was lost goes on leaving when it is back", () => {
  const ftm = begin([], { draining: true });
  expect(ftm.state()).toBe("suspect");
  ftm.tell();
  expect(ftm.state()).toBe("draining");
  ftm.fail();
  expect(ftm.state()).toBe("failed");
  ftm.answer();
  expect(ftm.state()).toBe("draining");
});

test("a daemon that refuses an order because of a higher promise is asked for it, so that this FTM ends", () => {
  const ftm = begin();
  expect(ftm.refused("daemon@b", "stale-epoch")).toEqual(["daemon@b"]);
  expect(ftm.refused("daemon@b", "refused")).toEqual([]);
  expect(ftm.refused("execution@b", "stale-epoch")).toEqual([]);
});

test("of copies that two FTMs of one number have placed, the one of the later generation stays: channels listen to no older one", () => {
  const ftm = begin();
  const generation = (node: string, counter: number): Generation => ({ epoch: 2, node, counter });
  expect(ftm.report("a", 7, generation("c", 3_000))).toEqual([]);
  expect(ftm.report("b", 5, generation("s", 1_000))).toEqual(["daemon@a 7"]);
  expect(ftm.report("a", 7, generation("c", 3_000))).toEqual(["daemon@a 7"]);
  expect(ftm.nodeOf("heartbeat")).toBe("b");
});

test("another FTM, of one number or one before, is not taken for this one, whoever speaks first and also when it ends", () => {
  const ftm = begin();
  ftm.told("b", ["ftm"]);
  expect(ftm.nodeOf("ftm")).toBeUndefined();
  ftm.told("a", ["ftm"]);
  ftm.told("b", ["ftm"]);
  expect(ftm.nodeOf("ftm")).toBe("a");
  ftm.told("b", []);
  expect(ftm.nodeOf("ftm")).toBe("a");
});

test("of two copies of the table the fresher one says who has left, whoever reports it: a node that returned was taken for a member", () => {
  const entry = (left: boolean): Data => ({ id: "b", name: "name-b", address: "127.0.0.1:2", left, draining: false });
  const copy = (sequence: number, left: boolean) => ({ version: { epoch, sequence }, lineage: [], entries: { "node:b": entry(left) } });
  for (const order of [0, 1]) {
    const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 2, node: "a", counter: 0 }, elements: [registration("a"), others], random: seededRandom(1) });
    const reports = [{ node: "a", table: copy(1, false), armors: [] }, { node: "b", table: copy(2, true), armors: [] }];
    const begun = { epoch, reports: order === 0 ? reports : reports.toReversed(), dead: [], avoid: [], cause: "silent", leader: "heartbeat", durationMs: 1 };
    kernel.step({ kind: "start", payload: {} }, 1_000);
    kernel.step({ kind: "local", op: "ftm.begin", payload: { begin: begun as unknown as Data } }, 1_000);
    const { nodes } = kernel.volatile("registration") as { nodes: ReadonlyMap<string, { state: string }> };
    expect(nodes.get("b")?.state).toBe("left");
  }
});

test("it ends when a higher epoch has been promised; by a node that has left, not before its own daemon knows: its successor would not be above that", () => {
  expect(begin().promised(1)).toEqual([]);
  expect(begin().promised(3)).toEqual(["exit"]);
  expect(begin().promised(3, "b")).toEqual(["exit"]);
  expect(begin([], { left: true }).promised(9, "b")).toEqual(["daemon@a epoch.raise,epoch.over"]);
});

test("a node that has left, or is held dead, does not count again because its daemon is told to end", () => {
  const left = begin([], { left: true });
  left.leaves();
  expect(left.state()).toBe("left");
  const failed = begin();
  failed.fail();
  failed.leaves();
  expect(failed.state()).toBe("failed");
  const alive = begin();
  alive.tell();
  alive.leaves();
  expect(alive.state()).toBe("suspect");
});

test("a node that is to leave goes on leaving when a late request to be taken in comes from it", () => {
  const ftm = begin([], { draining: true });
  ftm.tell();
  expect(ftm.state()).toBe("draining");
  ftm.joins();
  expect(ftm.state()).toBe("draining");
});
