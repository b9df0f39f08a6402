/** Who may lead a takeover, and against whom: the majority is that of the freshest table, not that of the leader. */
import { expect, test } from "bun:test";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import type { Epoch } from "../../core/generation.ts";
import { takeover, type TakeoverRequest } from "../../armors/elements/takeover.ts";
import type { Vote } from "../../armors/elements/epoch_promise.ts";
import type { NodeReport } from "../../armors/shapes.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

const epoch = { number: 5, node: "a" };
const registration = (id: string, left = false, joining = false) => ({ id, name: id, address: `${id}:7000`, draining: false, left, ...(joining && { joining }) });

/**
 * The daemon of `a` leads; it was away and knows but some of the nodes.
 *
 * @param hears A node that hears an FTM, at the poll or only when it is to promise.
 * @returns Where the FTM is installed.
 */
function lead(known: readonly string[], answering: readonly string[], registered: readonly ReturnType<typeof registration>[], hears?: { node: string; from: "poll" | "prepare" }): string[] {
  const network = new KernelNetwork(1);
  const installed: string[] = [];
  const entries = Object.fromEntries(registered.map((one) => [`node:${one.id}`, one]));
  for (const node of answering) {
    const isLeader = node === "a";
    const table = isLeader && answering.length > 1
      ? { version: { epoch: { number: 2, node: "a" }, sequence: 9 }, lineage: [], entries: { "node:a": registration("a") } }
      : { version: { epoch, sequence: 3 }, lineage: [], entries };
    const refuses = (at: string): Vote | undefined => hears?.node === node && (hears.from === at || at === "prepare")
      ? { promised: false, epoch, because: "hears-ftm", ftm: { epoch, node }, address: null }
      : undefined;
    const report: NodeReport = { node, armors: [], table, allowElements: false };
    const world = element({
      name: "world",
      version: 1,
      state: {},
      handlers: {
        "epoch.poll": (_state, thread) => void (thread.payload["vote"] = refuses("poll") ?? { promised: true, epoch }),
        "epoch.prepare": (_state, thread) => {
          thread.payload["vote"] = refuses("prepare") ?? { promised: true, epoch: thread.payload["epoch"]! };
          thread.payload["report"] = report as unknown as Data;
        },
        "epoch.guard": () => {},
        "armor.install": () => void installed.push(node),
      },
    });
    network.add(`daemon@${node}`, isLeader ? [takeover("a"), world] : [world]);
  }
  const request: TakeoverRequest = { cause: "silent", nodes: known, seen: epoch, from: "", gone: null, dead: [], patient: false, avoid: [] };
  network.local("daemon@a", "takeover.begin", { takeover: request as unknown as Data });
  network.advance(5_000);
  return [...new Set(installed)];
}

const five = ["a", "b", "c", "d", "e"].map((id) => registration(id));

test("a majority of the nodes a leader knows is not enough if the table knows more", () => {
  expect(lead(["a", "b", "c"], ["a", "b"], five)).toEqual([]);
});

test("a leader learns of the others by the table, and asks them too", () => {
  expect(lead(["a", "b", "c"], ["a", "b", "d"], five).length).toBe(1);
});

test("a node that has left counts for nothing and gets no FTM", () => {
  const registered = [registration("a", true), registration("b"), registration("c"), registration("d")];
  expect(lead(["a", "b", "c"], ["a", "b"], registered)).toEqual([]);
  expect(lead(["a", "b", "c"], ["a", "b", "c"], registered)).toEqual(["b"]);
});

test("while nodes join together a leader needs a majority with them and one without them", () => {
  const registered = [...five.slice(0, 3), ...["d", "e", "f"].map((id) => registration(id, false, true))];
  expect(lead(["a", "b", "c"], ["a", "d", "e", "f"], registered)).toEqual([]);
  expect(lead(["a", "b", "c"], ["a", "b", "c"], registered)).toEqual([]);
  expect(lead(["a", "b", "c"], ["a", "b", "d", "e"], registered).length).toBe(1);
});

test("the last node that has left, started again, is enough", () => {
  expect(lead(["a"], ["a"], [registration("a", true)])).toEqual(["a"]);
});

for (const from of ["poll", "prepare"] as const) {
  test(`of two nodes one's own vote is not enough while the other hears an FTM (it says so when asked to ${from})`, () => {
    const two = five.slice(0, 2);
    expect(lead(["a", "b"], ["a", "b"], two, { node: "b", from })).toEqual([]);
    expect(lead(["a", "b"], ["a", "b"], two).length).toBe(1);
    expect(lead(["a", "b"], ["a"], two)).toEqual(["a"]);
  });
}

test("a minority of three that hears the FTM does not keep it", () => {
  const three = five.slice(0, 3);
  expect(lead(["a", "b", "c"], ["a", "b", "c"], three, { node: "c", from: "poll" }).length).toBe(1);
});

/** Node `a` leads; what the daemon of `b` says at each poll and to each promise asked of it. */
function against({ polled, asked, gone = null }: { readonly polled: readonly Vote[]; readonly asked?: Vote; readonly gone?: Epoch | null }) {
  const network = new KernelNetwork(1);
  const installed: number[] = [];
  const polls: string[] = [];
  const table = { version: { epoch, sequence: 3 }, lineage: [], entries: { "node:a": registration("a"), "node:b": registration("b") } };
  for (const node of ["a", "b"]) {
    const report: NodeReport = { node, armors: [], table, allowElements: false };
    const world = element({
      name: "world",
      version: 1,
      state: {},
      handlers: {
        "epoch.poll": (_state, thread) => {
          polls.push(node);
          const said = polls.filter((one) => one === node).length - 1;
          thread.payload["vote"] = node === "a" ? { promised: true, epoch } : polled[Math.min(said, polled.length - 1)]!;
        },
        "epoch.prepare": (_state, thread) => {
          const promise: Vote = { promised: true, epoch: thread.payload["epoch"] as Epoch };
          const vote = node === "a" ? promise : asked ?? promise;
          thread.payload["vote"] = vote;
          if (vote.promised) thread.payload["report"] = report as unknown as Data;
        },
        "epoch.guard": () => {},
        "armor.install": (_state, thread) => void installed.push((thread.payload["epoch"] as Epoch).number),
      },
    });
    network.add(`daemon@${node}`, node === "a" ? [takeover("a"), world] : [world]);
  }
  const request: TakeoverRequest = { cause: "silent", nodes: ["a", "b"], seen: epoch, from: "a", gone, dead: [], patient: false, avoid: [] };
  const begin = (): void => network.local("daemon@a", "takeover.begin", { takeover: request as unknown as Data });
  begin();
  return {
    network,
    begin,
    /** Epochs of the FTMs that were installed so far. */
    installed: (): number[] => [...new Set(installed)],
    pollsOfB: (): number => polls.filter((one) => one === "b").length,
  };
}

const willing: Vote = { promised: true, epoch };
const hears: Vote = { promised: false, epoch: { number: 9, node: "b" }, because: "hears-ftm", ftm: { epoch: { number: 9, node: "b" }, node: "b" }, address: null };

test("of two nodes one is not enough while the other has promised more: it asks above that", () => {
  const { network, installed } = against({ polled: [willing], asked: { promised: false, epoch: { number: 20, node: "b" }, because: "older" } });
  network.advance(600);
  expect(installed()).toEqual([]);
});

test("a daemon whose look at a silent FTM is not over yet is asked again at once", () => {
  const { network, installed } = against({ polled: [hears, willing] });
  network.advance(200);
  expect(installed().length).toBe(1);
});

test("a daemon that hears the FTM is believed after five polls", () => {
  const { network, installed, pollsOfB } = against({ polled: [hears] });
  network.advance(10_000);
  expect(installed()).toEqual([]);
  expect(pollsOfB()).toBe(5);
});

test("what was answered to a poll of a life before is no answer: an FTM whose process is gone is replaced", () => {
  const { network, begin, installed } = against({ polled: [hears, willing], gone: epoch });
  for (const pair of ["daemon@a daemon@b", "daemon@b daemon@a"]) network.cut.add(pair);
  network.advance(10);
  network.crashAfter("daemon@a", 0);
  network.restart("daemon@a");
  network.cut.clear();
  begin();
  network.advance(1_000);
  expect(installed().length).toBe(1);
});

test("each FTM that does not announce itself in time has a more patient successor, until one does", () => {
  const network = new KernelNetwork(1);
  const installs: number[] = [];
  const world = element({
    name: "world",
    version: 1,
    state: {},
    handlers: {
      "epoch.poll": (_state, thread) => void (thread.payload["vote"] = { promised: true, epoch }),
      "epoch.prepare": (_state, thread) => {
        thread.payload["vote"] = { promised: true, epoch: thread.payload["epoch"]! };
        const table = { version: { epoch, sequence: 3 }, lineage: [], entries: { "node:a": registration("a") } };
        thread.payload["report"] = { node: "a", armors: [], table, allowElements: false } satisfies NodeReport as unknown as Data;
      },
      "epoch.guard": () => {},
      "armor.install": (_state, thread) => void installs.push(thread.nowMs),
    },
  });
  network.add("daemon@a", [takeover("a"), world]);
  const begin = (seen: Epoch): void => {
    const request: TakeoverRequest = { cause: "silent", nodes: ["a"], seen, from: "", gone: null, dead: [], patient: false, avoid: [] };
    network.local("daemon@a", "takeover.begin", { takeover: request as unknown as Data });
  };
  /** Between installations, in whole threes of seconds. */
  const pauses = (): number[] => installs.slice(1).map((at, index) => Math.floor((at - installs[index]!) / 3_000));
  begin(epoch);
  network.advance(50_000);
  expect(pauses().slice(0, 4)).toEqual([1, 2, 4, 4]);
  // One has come up; when it is lost, the next takeover is as quick as the first.
  const up = { number: 100, node: "a" };
  network.local("daemon@a", "ftm.changed", { ftm: { epoch: up, node: "a" } });
  installs.length = 0;
  begin(up);
  network.advance(5_000);
  expect(pauses()).toEqual([1]);
});

test("of the copies that promises bring only the freshest is kept as a whole, with what it does not contain", () => {
  const network = new KernelNetwork(1);
  const nodes = five.map(({ id }) => id);
  const entries = Object.fromEntries(five.map((one) => [`node:${one.id}`, one]));
  for (const [index, node] of nodes.entries()) {
    const report = { node, armors: [], table: { version: { epoch, sequence: index }, lineage: [], entries, ...(node === "b" && { lost: true }) }, allowElements: false };
    const world = element({
      name: "world",
      version: 1,
      state: {},
      handlers: {
        "epoch.poll": (_state, thread) => void (thread.payload["vote"] = { promised: true, epoch }),
        "epoch.prepare": (_state, thread) => Object.assign(thread.payload, { vote: { promised: true, epoch: thread.payload["epoch"]! }, report }),
      },
    });
    network.add(`daemon@${node}`, node === "a" ? [takeover("a"), world] : [world]);
  }
  // One of them is silent: the leader waits for it, with the answers of the others.
  network.cut.add("daemon@e daemon@a");
  network.local("daemon@a", "takeover.begin", { takeover: { cause: "silent", nodes, seen: epoch, from: "", gone: null, dead: [], patient: false, avoid: [] } });
  network.advance(700);
  const { attempt } = network.armor("daemon@a").kernel!.volatile("takeover") as { attempt: { reports: { readonly [node: string]: NodeReport } } };
  const kept = Object.values(attempt.reports).map(({ node, table }) => [node, Object.keys(table.entries).length, table.lost ?? false]);
  expect(kept.toSorted()).toEqual([["a", 0, false], ["b", 0, true], ["c", 0, false], ["d", 5, false]]);
});

test.each([[["a"], 0], [["b"], 1], [["a", "b"], 1]] as const)("of two nodes, of which %p promise, a heartbeat armor on b leads %i times: its own daemon knows which epochs were asked for on that node", (answering, times) => {
  const network = new KernelNetwork(1);
  let installed = 0;
  const entries = Object.fromEntries(["a", "b"].map((id) => [`node:${id}`, registration(id)]));
  for (const node of answering) {
    const report: NodeReport = { node, armors: [], table: { version: { epoch, sequence: 3 }, lineage: [], entries }, allowElements: false };
    network.add(`daemon@${node}`, [element({
      name: "world",
      version: 1,
      state: {},
      handlers: {
        "epoch.poll": (_state, thread) => void (thread.payload["vote"] = { promised: true, epoch }),
        "epoch.prepare": (_state, thread) => void Object.assign(thread.payload, { vote: { promised: true, epoch: thread.payload["epoch"]! }, report: report as unknown as Data }),
        "epoch.guard": () => {},
        "armor.install": () => void (installed = 1),
      },
    })]);
  }
  network.add("heartbeat", [takeover("b")]);
  const request: TakeoverRequest = { cause: "silent", nodes: ["a", "b"], seen: epoch, from: "", gone: null, dead: [], patient: false, avoid: [] };
  network.local("heartbeat", "takeover.begin", { takeover: request as unknown as Data });
  network.advance(5_000);
  expect(installed).toBe(times);
});
