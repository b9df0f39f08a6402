/** On which nodes the FTM has an execution armor, by itself. */
import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { limits } from "../../core/limits.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { recovery } from "../../armors/elements/recovery.ts";
import type { NodeState } from "../../armors/shapes.ts";

/** @returns Where execution armors are ordered in a round in which none is known. */
function ordered(nodes: { readonly [id: string]: { readonly state: NodeState; readonly reported: boolean } }): string[] {
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 1, node: "a", counter: 0 }, elements: [recovery("a")], random: seededRandom(1) });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  const payload = { nodes: Object.entries(nodes).map(([id, node]) => ({ id, name: id, ...node })), armors: [], table: {}, settled: {}, takenIn: Object.keys(nodes), epoch: { number: 1, node: "a" } };
  const { commits } = kernel.step({ kind: "local", op: "recovery.decide", payload: payload as unknown as Record<string, Data> }, 1_000);
  const sent = commits.flatMap((commit) => commit.sent ?? []).map(({ body }) => decode(body) as Message);
  const installs = sent.map(({ payload: { install } }) => install as unknown as { armor: string });
  return installs.map(({ armor }) => armor).filter((armor) => armor.startsWith("execution@")).sort();
}

test("every node that is alive and has reported has an execution armor", () => {
  expect(ordered({ a: { state: "alive", reported: true }, b: { state: "alive", reported: false }, c: { state: "suspect", reported: true } })).toEqual(["execution@a"]);
});

test("a node that is told to leave as soon as it has joined gets one too, or nobody would ever know that nothing runs there", () => {
  expect(ordered({ a: { state: "alive", reported: true }, b: { state: "draining", reported: true }, c: { state: "left", reported: true } })).toEqual(["execution@a", "execution@b"]);
});

test("an armor of one's own that its node has forgotten begins anew there, and that is told", () => {
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 1, node: "a", counter: 0 }, elements: [recovery("a")], random: seededRandom(1), eventSink: "daemon@a" });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  const nodes = [{ id: "b", name: "b", state: "alive", reported: true, elements: true }];
  const told = (home: string | undefined, nowMs: number): string[] => {
    const table = { "armor:x": { id: "id-x", name: "x", node: null }, ...(home !== undefined && { "home:id-x": home }) };
    const { commits } = kernel.step({ kind: "local", op: "recovery.decide", payload: { nodes, armors: [], table, settled: table, takenIn: ["b"], epoch: { number: 1, node: "a" } } as unknown as Record<string, Data> }, nowMs);
    const messages = commits.flatMap((commit) => commit.sent ?? []).map(({ body }) => decode(body) as Message);
    const events = messages.flatMap(({ payload }) => (payload["events"] ?? []) as { kind: string; subject: string; cause: string }[]);
    const ordered = messages.flatMap(({ payload }) => ((payload["install"] as { armor?: string } | undefined)?.armor === "id-x" ? ["ordered"] : []));
    return [...ordered, ...events.map(({ kind, subject, cause }) => `${kind} ${subject}: ${cause}`)];
  };
  expect(told(undefined, 1_000)).toEqual(["ordered"]);
  expect(told("b", 2_000)).toEqual([]);
  expect(told("b", 9_000)).toEqual(["ordered", "armor.rewound id-x: began anew, its node had forgotten it"]);
});

test("an armor of one's own that is wanted again while it is being removed begins in a new generation: its node forgets the old one", () => {
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 4, node: "a", counter: 0 }, elements: [recovery("a")], random: seededRandom(1), eventSink: "daemon@a" });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  const nodes = [{ id: "b", name: "b", state: "alive", reported: true, elements: true }];
  const old = { epoch: 4, node: "A", counter: 4_001 };
  const present = { armor: "id-x", role: "own", node: "b", state: "recovering", generation: old, incarnation: { placement: 7, restart: 0 } };
  const sent = (table: object, nowMs: number, state = "recovering"): Message[] => {
    const payload = { nodes, armors: [{ ...present, state }], table, settled: table, takenIn: ["b"], epoch: { number: 4, node: "a" } } as unknown as Record<string, Data>;
    const { commits } = kernel.step({ kind: "local", op: "recovery.decide", payload }, nowMs);
    return commits.flatMap((commit) => commit.sent ?? []).map(({ body }) => decode(body) as Message);
  };
  expect(sent({}, 1_000).flatMap(({ ops }) => ops.map(({ name }) => name))).toContain("armor.remove");
  // The table of the node, which was away, has been taken in.
  const wanted = { "armor:x": { id: "id-x", name: "x", node: null }, "home:id-x": "b" };
  const installs = (messages: readonly Message[]): unknown[] =>
    messages.flatMap(({ payload }) => (payload["install"] ? [payload["install"] as unknown as { generation: unknown; armor: string }] : [])).filter(({ armor }) => armor === "id-x").map(({ generation }) => generation);
  // As long as nothing is to be done about it, nothing is ordered; then its node may not have heard yet that it is to go.
  expect(installs(sent(wanted, 1_000, "running"))).toEqual([]);
  const messages = sent(wanted, 1_001);
  const [generation] = installs(messages);
  expect(generation).not.toEqual(old);
  // Said again before it has been heard of.
  expect(installs(sent(wanted, 1_002))).toEqual([generation]);
  const events = messages.flatMap(({ payload }) => (payload["events"] ?? []) as { kind: string; cause: string }[]);
  expect(events.map(({ cause }) => cause)).toContain("began anew, it was being removed");
});

test("a heartbeat armor that the FTM does not hear is placed anew where it is, in a generation above all that were", () => {
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 2, node: "a", counter: 0 }, elements: [recovery("a")], random: seededRandom(1) });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  const present = { armor: "heartbeat", role: "heartbeat", node: "b", pid: 1, state: "running", incarnation: { placement: 1, restart: 2 }, generation: { epoch: 1, node: "a", counter: 3_002 }, elements: [] };
  const replace = (state: string): Message[] => {
    const payload = { nodes: [], armors: [{ ...present, state }], epoch: { number: 2, node: "a" } } as unknown as Record<string, Data>;
    const { commits } = kernel.step({ kind: "local", op: "heartbeat.replace", payload }, 9_000);
    return commits.flatMap((commit) => commit.sent ?? []).map(({ body }) => decode(body) as Message);
  };
  // Its recovery is under way.
  expect(replace("recovering")).toEqual([]);
  expect(replace("running")).toMatchObject([{ to: "daemon@b", payload: { install: { armor: "heartbeat", placement: 2 * 2 ** 20 + 1, generation: { epoch: 2, node: "a" } } } }]);
});

test.each([
  ["daemon@a", 1, 1],
  ["daemon@a", 2, 0],
  ["heartbeat", 1, 0],
])("an FTM elected by %s, of epoch 2, and a heartbeat armor placed in epoch %i: it is placed anew %i times, or daemons that have heard a later one would not listen to it", (leader, placedIn, times) => {
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 2, node: "a", counter: 0 }, elements: [recovery("a")], random: seededRandom(1), eventSink: "daemon@a" });
  const step = (op: string, payload: unknown): Message[] => {
    const { commits } = kernel.step({ kind: "local", op, payload: payload as Record<string, Data> }, 1_000);
    return commits.flatMap((commit) => commit.sent ?? []).map(({ body }) => decode(body) as Message);
  };
  const epoch = { number: 2, node: "a" };
  const nodes = ["a", "b"].map((id) => ({ id, name: id, state: "alive", reported: true }));
  const armor = (id: string, role: string, node: string) => ({
    armor: id, role, node, pid: 1, state: "running", incarnation: { placement: 1, restart: 0 }, generation: { epoch: placedIn, node: "a", counter: 1 }, elements: [],
  });
  const armors = [armor("heartbeat", "heartbeat", "b"), armor("execution@a", "execution", "a"), armor("execution@b", "execution", "b")];
  kernel.step({ kind: "start", payload: {} }, 1_000);
  step("ftm.begin", { begin: { epoch, cause: "crashed", leader, durationMs: 1 } });
  const installs = step("recovery.decide", { nodes, armors, table: {}, settled: {}, takenIn: [], epoch }).filter(({ payload }) => payload["install"] !== undefined);
  expect(installs.map(({ to }) => to)).toEqual(times === 0 ? [] : ["daemon@b"]);
});

test("a heartbeat armor that was ordered elsewhere and is found where it was gets a new generation: it has been told to end there", () => {
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 2, node: "a", counter: 0 }, elements: [recovery("a")], random: seededRandom(1) });
  const epoch = { number: 2, node: "a" };
  const armor = (id: string, role: string, node: string, state = "running") => ({
    armor: id, role, node, pid: 1, state, incarnation: { placement: 2 * 2 ** 20 + 1, restart: 0 }, generation: { epoch: 2, node: "a", counter: 1_000 }, elements: [],
  });
  const ordered = (b: NodeState, state: string, nowMs: number): unknown => {
    const nodes = [["a", "alive"], ["b", b], ["c", "alive"]].map(([id, now]) => ({ id, name: id, state: now, reported: true }));
    const armors = [armor("heartbeat", "heartbeat", "b", state), ...["a", "b", "c"].map((id) => armor(`execution@${id}`, "execution", id))];
    const { commits } = kernel.step({ kind: "local", op: "recovery.decide", payload: { nodes, armors, table: {}, settled: {}, takenIn: [], epoch } as unknown as Record<string, Data> }, nowMs);
    const sent = commits.flatMap((commit) => commit.sent ?? []).map(({ body }) => decode(body) as Message);
    const install = sent.find(({ payload }) => payload["install"] !== undefined);
    return install && { to: install.to, counter: (install.payload["install"] as { generation: { counter: number } }).generation.counter };
  };
  kernel.step({ kind: "start", payload: {} }, 1_000);
  expect(ordered("alive", "running", 1_000)).toBeUndefined();
  expect(ordered("alive", "recovering", 1_100)).toEqual({ to: "daemon@b", counter: 1_000 });
  expect(ordered("suspect", "running", 5_000)).toEqual({ to: "daemon@c", counter: 2 * limits.generationsPerPlacement });
  expect(ordered("alive", "recovering", 6_000)).toEqual({ to: "daemon@b", counter: 3 * limits.generationsPerPlacement });
});
