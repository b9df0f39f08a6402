import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { type Message, opFailed } from "../../core/message.ts";
import { timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { ftmPoll } from "../../armors/elements/ftm_poll.ts";
import { gateway, isAsNew } from "../../armors/elements/gateway.ts";
import { view } from "../../armors/elements/view.ts";
import { changedView, type ViewChange } from "../../armors/elements/view_change.ts";
import type { View } from "../../armors/elements/view_shape.ts";

const epoch = { number: 2, node: "a" };
const nodes = [{ id: "a", name: "n1", address: "127.0.0.1:1", state: "alive", reported: true, plannedUntilMs: 0 }];

/** An FTM whose table is what `table` returns; `present` are the nodes, `reports` what daemons told it when it began. */
function ftm(table: () => { [key: string]: Data }, present: readonly Data[] = nodes, reports: readonly Data[] = [], armors: () => readonly Data[] = () => []) {
  let replacements = 0;
  const others = element({
    name: "others",
    version: 1,
    state: {},
    handlers: {
      "nodes.read": (_state, thread) => {
        Object.assign(thread.payload, { nodes: present, armors: armors(), epoch });
      },
      "table.read": (_state, thread) => {
        thread.payload["table"] = table();
      },
      "instances.read": (_state, thread) => {
        Object.assign(thread.payload, { instances: {}, placed: {} });
      },
      "cluster.changed": () => {},
      "heartbeat.replace": () => void replacements++,
      round: (_state, thread) => thread.insert(op("nodes.read"), op("table.read"), op("view.publish")),
      acknowledge: (_state, thread) => thread.insert(op("view.tell"), op("operator.answer", "daemon@a")),
    },
  });
  const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 2, node: "a", counter: 0 }, elements: [view(), others], random: seededRandom(1) });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  kernel.step({ kind: "local", op: "ftm.begin", payload: { begin: { reports } } }, 1_000);
  const run = (name: string, nowMs = 1_100): Message[] => {
    const { commits } = kernel.step({ kind: "local", op: name, payload: { node: "a" } }, nowMs);
    return commits.flatMap((commit) => commit.sent ?? []).map(({ body }) => decode(body) as Message);
  };
  const wants = (node: string): void => void kernel.step({ kind: "local", op: "view.want", payload: { node } }, 1_100);
  const late = (nowMs: number): void => void kernel.step({ kind: "tick" }, nowMs);
  const follows = (number: number): void => void kernel.step({ kind: "local", op: "view.followed", payload: { number } }, number === 1 ? 5_300 : 3_200);
  return { acknowledge: () => run("acknowledge"), round: (nowMs?: number) => run("round", nowMs), wants, late, follows, replaced: () => replacements };
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

const running = (armor: string, pid: number) => ({ armor, role: "own", node: "a", pid, state: "running", incarnation: { placement: 1, restart: 0 }, generation: null, elements: [{ name: "one", version: 1, ops: ["x"] }] });

test("a daemon is told the whole view once, then what has changed, and the whole again when it asks for it", () => {
  let pid = 1;
  const { round, wants } = ftm(() => ({}), nodes, [], () => [running("x", pid), running("y", 9)]);
  const sent = () => round().map(({ payload }) => payload as unknown as { view?: View; change?: ViewChange });
  const [{ view: whole } = {}] = sent();
  expect(whole).toMatchObject({ number: 1, armors: [{ armor: "x", makeup: 0 }, { armor: "y", makeup: 0 }], makeups: [[{ name: "one" }]] });
  expect(sent()).toEqual([]);
  pid += 1;
  const [{ view: none, change } = {}] = sent();
  expect(none).toBeUndefined();
  expect(change).toMatchObject({ since: 1, number: 2, fields: {}, parts: { armors: { changed: [{ armor: "x", pid: 2 }], order: null }, nodes: { changed: [], order: null } } });
  wants("a");
  const [{ view: again } = {}] = sent();
  expect(again).toEqual(changedView(whole!, change!)!);
});

test("in a large cluster all are told at intervals; who is new, and the manager's own node, at once", () => {
  let states = Array.from({ length: 20 }, () => "alive");
  const present = () => states.map((state, index) => ({ ...nodes[0]!, id: `n${index}`, state }));
  const table: Data[] = [];
  const { round } = ftm(() => ({}), table, [], () => [{ ...running("ftm", 5), node: "n3" }]);
  const told = (nowMs: number): string[] => {
    table.splice(0, table.length, ...present());
    return round(nowMs).map(({ to }) => to);
  };
  expect(told(2_000).length).toBe(20);
  states = [...states, "alive"];
  expect(told(2_010)).toEqual(["daemon@n3", "daemon@n20"]);
  expect(told(2_020)).toEqual([]);
  expect(told(2_000 + 21 * timing.viewPausePerNodeMs).length).toBe(19);
});

test("a daemon that has missed a change, or has none of this epoch, asks for the whole view", () => {
  const others = element({ name: "others", version: 1, state: {}, handlers: { "heartbeat.located": () => {} } });
  const kernel = new Microkernel({ armor: "daemon@a", generation: { epoch: 2, node: "a", counter: 0 }, elements: [gateway(), others], random: seededRandom(1) });
  const whole: View = { epoch, number: 3, stale: false, nodes: [], armors: [], makeups: [], names: {}, applications: [] };
  const none = { changed: [], order: null };
  const change = (since: number, number: number, more = {}) => ({ epoch, since, number, stale: false, fields: {}, parts: { nodes: none, armors: none, applications: none }, ...more });
  const take = (payload: object) => {
    const { commits } = kernel.step({ kind: "local", op: "view.update", payload: payload as Record<string, Data> }, 1_000);
    const asked = commits.flatMap((commit) => commit.sent ?? []).map(({ body }) => (decode(body) as Message).ops[0]!.name);
    return [(kernel.volatile("gateway") as { view: View | null }).view?.number, asked];
  };
  expect(take({ change: change(2, 3) })).toEqual([undefined, ["view.want"]]);
  expect(take({ view: whole })).toEqual([3, []]);
  kernel.step({ kind: "local", op: "view.update", payload: { change: change(3, 5, { stale: true }) as never } }, 1_000);
  expect(take({ change: change(5, 6) })).toEqual([6, []]);
  expect(take({ change: change(7, 8) })).toEqual([6, ["view.want"]]);
  expect(take({ change: change(6, 7, { epoch: { number: 3, node: "a" } }) })).toEqual([6, ["view.want"]]);
});

test("the heartbeat armor is told of the nodes and of the FTM, when one of them changes or it is another process", () => {
  let heart = running("heartbeat", 1);
  let other = 1;
  const { round } = ftm(() => ({}), nodes, [], () => [running("ftm", 5), heart, running("x", other)]);
  const told = (): unknown[] => round().filter(({ to }) => to === "heartbeat").map(({ payload }) => payload["follow"]);
  const follow = { epoch, ftm: "a", nodes: [{ id: "a", address: "127.0.0.1:1", state: "alive", absent: false }] };
  expect(told()).toEqual([follow]);
  other += 1;
  expect(told()).toEqual([]);
  heart = running("heartbeat", 2);
  expect(told()).toEqual([follow]);
});

test("a copy of the heartbeat armor on another node does not take what is said to the one that stays, which is told again", () => {
  const { round, late, follows } = ftm(() => ({}), nodes, [], () => [running("ftm", 5), running("heartbeat", 1)]);
  const told = (nowMs?: number) => round(nowMs).filter(({ to }) => to === "heartbeat").map(({ payload }) => payload["at"]);
  const [message] = round().filter(({ to }) => to === "heartbeat");
  const takes = (node: string): Data => {
    const others = element({ name: "others", version: 1, state: {}, handlers: { "liveness.watch": () => {}, "liveness.unwatch": () => {}, [opFailed]: () => {} } });
    const kernel = new Microkernel({ armor: "heartbeat", generation: { epoch: 2, node, counter: 0 }, elements: [ftmPoll(node), others], random: seededRandom(1) });
    kernel.step({ kind: "start", payload: {} }, 1_000);
    kernel.step({ kind: "local", op: "heartbeat.follow", payload: message!.payload }, 1_000);
    return (kernel.state("ftm_poll") as { ftm: Data }).ftm;
  };
  expect([takes("a"), takes("b")]).toEqual(["a", ""]);
  expect(told()).toEqual([]);
  // Nobody has said that it follows; then it has, but an earlier word.
  const number = message!.payload["number"] as number;
  late(3_200);
  expect(told(3_200)).toEqual(["a"]);
  follows(number + 1);
  late(5_300);
  expect(told(5_300)).toEqual(["a"]);
  follows(number);
  late(60_000);
  expect(told(60_000)).toEqual([]);
});

test("one that does not answer three times, though it is said to run, is to be placed anew", () => {
  const { round, late, replaced } = ftm(() => ({}), nodes, [], () => [running("ftm", 5), running("heartbeat", 1)]);
  for (const nowMs of [1_100, 3_200, 5_300]) {
    expect(replaced()).toBe(0);
    round(nowMs);
    late(nowMs + 2_000);
  }
  expect(replaced()).toBe(1);
});

test("an answer begins the count anew", () => {
  const { round, late, follows, replaced } = ftm(() => ({}), nodes, [], () => [running("ftm", 5), running("heartbeat", 1)]);
  round(1_100);
  late(3_100);
  const [message] = round(3_150).filter(({ to }) => to === "heartbeat");
  follows(message!.payload["number"] as number);
  late(9_000);
  expect(replaced()).toBe(0);
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
    const given: View = { epoch: { number: epochNumber, node: "a" }, number, stale: false, nodes: [], armors: [], makeups: [], names: {}, applications: [] };
    kernel.step({ kind: "local", op: "view.offer", payload: { view: given as unknown as Data } }, 1_000);
    const { view: kept } = kernel.volatile("gateway") as { view: View | null };
    return kept ? `${kept.epoch.number}.${kept.number}` : "none";
  };
  expect([take(1, 9), take(3, 2), take(3, 1), take(2, 9), take(3, 3), take(4, 1)]).toEqual(["none", "3.2", "3.2", "3.2", "3.3", "4.1"]);
});

test("instances of a node that is absent as planned are shown as they were before the FTM was handed over", () => {
  const instance = (pid: number) => ({ id: "web.0", node: "b", pid, state: "running", restarts: 1 });
  const shownBy = (epochNumber: number, number: number, pid: number): Data => ({ node: "x", shown: { epoch: { number: epochNumber, node: "a" }, number, instances: [instance(pid)] } });
  const away = (plannedUntilMs: number): Data => ({ id: "b", name: "n2", address: "127.0.0.1:2", state: "suspect", reported: false, plannedUntilMs });
  const seen = (present: readonly Data[]) => {
    const table = { "app:web": entry as unknown as Data };
    const [told] = ftm(() => table, present, [shownBy(1, 7, 70), { node: "y" }, shownBy(1, 9, 90), shownBy(1, 8, 80)]).acknowledge();
    return (told!.payload["view"] as unknown as View).applications[0]!.instances;
  };
  expect(seen([...nodes, away(60_000)])).toEqual([instance(90)] as never);
  expect(seen([...nodes, away(0)])).toMatchObject([{ state: "pending", node: null }]);
});

test("a daemon reports what it was shown of the nodes that are to be absent, and of no others", () => {
  const others = element({ name: "others", version: 1, state: {}, handlers: { "heartbeat.located": () => {}, "armors.report": (_state, thread) => void (looked = thread.payload["report"]) } });
  let looked: Data | undefined;
  const kernel = new Microkernel({ armor: "daemon@a", generation: { epoch: 2, node: "a", counter: 0 }, elements: [gateway(), others], random: seededRandom(1) });
  const instances = ["a", "b", null].map((node, index) => ({ id: `web.${index}`, node, pid: index, state: "running", restarts: 0 }));
  const given = { epoch, number: 3, stale: false, nodes: [], armors: [], names: {}, applications: [{ name: "web", desired: "running", state: "running", revision: 1, instances }] };
  kernel.step({ kind: "local", op: "view.update", payload: { view: given } }, 1_000);
  const report = (avoid: readonly string[]): Data | undefined => {
    kernel.step({ kind: "local", op: "armors.report", payload: { report: { node: "a" }, avoid } }, 1_000);
    return looked;
  };
  expect(report(["b"])).toEqual({ node: "a", shown: { epoch, number: 3, instances: [instances[1]!] } });
  expect(report([])).toEqual({ node: "a" });
});

test("a view tells where armors are that move, but for the FTM: it may send one before it has heard of its own process", () => {
  const others = element({ name: "others", version: 1, state: {}, handlers: { "heartbeat.located": () => {} } });
  const kernel = new Microkernel({ armor: "daemon@a", generation: { epoch: 2, node: "a", counter: 0 }, elements: [gateway(), others], random: seededRandom(1) });
  const armors = ["ftm", "heartbeat", "execution@b"].map((armor) => ({ ...running(armor, 1), node: "b" }));
  const given = { epoch, number: 3, stale: false, nodes: [], armors, names: {}, applications: [] };
  const { commands } = kernel.step({ kind: "local", op: "view.update", payload: { view: given as unknown as Data } }, 1_000);
  expect(commands.find(({ kind }) => kind === "routes.armors")?.args).toEqual({ armors: { heartbeat: "b" } });
});
