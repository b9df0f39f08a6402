/** A daemon whose checkpoint is damaged or gone, and what others make of its reports. */
import { describe, expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { epochPromise, type Vote } from "../../armors/elements/epoch_promise.ts";
import { tableReplica } from "../../armors/elements/table_replica.ts";
import { takeover } from "../../armors/elements/takeover.ts";
import { daemonOf, type TableCopy } from "../../armors/shapes.ts";

const node = (id: string) => ({ id, name: id, address: `127.0.0.1:${id.charCodeAt(0)}`, draining: false, left: false });

/** The daemon of node `b` that has promised epoch 7, has lost its checkpoint but for these armors, and answers what it is asked. */
function lostDaemon(memory: DataRecord | null, armors: readonly DataRecord[] = []) {
  const others = element({
    name: "others",
    version: 1,
    state: {},
    handlers: {
      "ftm.changed": (_state, thread) => void followed.push(thread.payload["ftm"] as DataRecord),
      "gateway.peers": () => {},
      "armors.tell": () => {},
      "armors.report": (_state, thread) => void (thread.payload["report"] = { armors }),
    },
  });
  const followed: DataRecord[] = [];
  const refused: string[] = [];
  const kernel = new Microkernel({
    armor: "daemon@b",
    generation: { epoch: 0, node: "b", counter: 1 },
    elements: [epochPromise("b"), tableReplica(), others],
    random: seededRandom(1),
    diagnose: ({ code }) => refused.push(code),
  });
  kernel.step({ kind: "start", payload: {} }, 0);
  kernel.step({ kind: "local", op: "checkpoint.restored", payload: { complete: false, damage: [], epochSeen: 5, memory } }, 0);
  return { kernel, refused, followed };
}

const epoch = (number: number): { number: number; node: string } => ({ number, node: "a" });

describe("a daemon that has lost its checkpoint", () => {
  const memory = { promised: { number: 7, node: "a" }, ftm: { epoch: { number: 7, node: "a" }, node: "a" }, generation: { epoch: 0, node: "b", counter: 0 }, nodes: [node("a"), node("b")] };

  test("keeps the promise that was written down a second time, and knows the FTM and the nodes", () => {
    const { kernel, refused } = lostDaemon(memory as unknown as DataRecord);
    expect(kernel.state("epoch_promise")).toEqual({ promised: memory.promised, ftm: memory.ftm, spent: memory.promised });
    expect(kernel.state("table_replica")).toMatchObject({ lost: true, "node:a": node("a"), "node:b": node("b") });
    // Of the FTM that it obeyed it takes orders, of one before it none.
    const order = (number: number): unknown => kernel.step({ kind: "local", op: "epoch.guard", payload: { epoch: { number, node: "a" } } }, 2);
    order(7);
    expect(refused).toEqual([]);
    order(6);
    expect(refused).toEqual(["stale-epoch"]);
  });

  test("knows no FTM if that ran on its own node: it does not run for it any more", () => {
    const { kernel } = lostDaemon({ ...memory, ftm: { ...memory.ftm, node: "b" } } as unknown as DataRecord);
    expect(kernel.state("epoch_promise")).toEqual({ promised: memory.promised, ftm: null, spent: memory.promised });
  });

  test("follows an FTM of its own node that it has installed, though its announcement is among what was lost: nobody would tell that FTM of the new process", () => {
    const own = { ...memory, ftm: { ...memory.ftm, node: "b" } } as unknown as DataRecord;
    const installed = (epoch: number): DataRecord[] => [{ armor: "ftm", generation: { epoch, node: "a", counter: 0 } }];
    const { kernel, followed } = lostDaemon(own, installed(7));
    expect(kernel.state("epoch_promise")).toEqual({ promised: memory.promised, ftm: { ...memory.ftm, node: "b" }, spent: memory.promised });
    expect(followed).toEqual([{ ...memory.ftm, node: "b" }]);
    // One before it does not count.
    expect(lostDaemon(own, installed(6)).kernel.state("epoch_promise")).toMatchObject({ ftm: null });
  });

  test("starts no FTM in an epoch in which it may have had one: that would begin it anew", () => {
    const { kernel, refused } = lostDaemon(memory as unknown as DataRecord);
    const install = (number: number, role: string): unknown => kernel.step({ kind: "local", op: "epoch.guard", payload: { epoch: { number, node: "a" }, install: { armor: role, role } } }, 3);
    install(7, "execution");
    install(8, "ftm");
    expect(refused).toEqual([]);
    install(7, "ftm");
    expect(refused).toEqual(["stale-epoch"]);
    // Also after it has followed that one, elsewhere.
    kernel.step({ kind: "local", op: "epoch.announce", payload: { ftm: { epoch: { number: 7, node: "a" }, node: "c" } } }, 3);
    install(7, "ftm");
    expect(refused).toEqual(["stale-epoch", "stale-epoch"]);
  });

  test("promises far above everything it has heard of if nothing was written down", () => {
    const { kernel } = lostDaemon(null);
    expect((kernel.state("epoch_promise") as { promised: { number: number } }).promised.number).toBeGreaterThan(1_000);
  });

  test("asks the FTM for the table until it has a copy again", () => {
    const { kernel } = lostDaemon(memory as unknown as DataRecord);
    const asks = (nowMs: number): number => kernel.step({ kind: "tick" }, nowMs).commits.flatMap(({ sent = [] }) => sent).filter(({ body }) => (decode(body) as Message).ops[0]?.name === "table.wanted").length;
    expect([asks(1), asks(2_000), asks(2_001)]).toEqual([1, 0, 1]);
    const version = { epoch: { number: 7, node: "a" }, sequence: 3 };
    const entry = { application: { name: "x", kind: "service", instances: 1 }, desired: "running", revision: 1 };
    const store = { version, lineage: [], base: null, set: { "node:a": node("a"), "app:x": entry }, unset: [] };
    kernel.step({ kind: "local", op: "table.store", payload: { store } as unknown as DataRecord as never }, 2_002);
    expect(kernel.state("table_replica")).toEqual({ version, lineage: [], "node:a": node("a"), "app:x": entry });
    expect(asks(10_000)).toBe(0);
  });
});

test("a daemon whose table turns out to be all there takes it from the FTM once more, and counts again", () => {
  const { kernel } = lostDaemon({ promised: epoch(7), ftm: { epoch: epoch(7), node: "a" }, generation: { epoch: 0, node: "b", counter: 0 }, nodes: [node("a")] } as unknown as DataRecord);
  const version = { epoch: epoch(7), sequence: 3 };
  const store = { version, lineage: [], base: null, set: { "node:a": node("a") }, unset: [] };
  const give = (): void => void kernel.step({ kind: "local", op: "table.store", payload: { store } as unknown as DataRecord as never }, 11);
  give();
  kernel.step({ kind: "local", op: "checkpoint.restored", payload: { complete: false, memory: null } }, 11);
  expect(kernel.state("table_replica")).toMatchObject({ version, lost: true });
  give();
  expect(kernel.state("table_replica")).toEqual({ version, lineage: [], "node:a": node("a") });
});

describe("a takeover of three nodes", () => {
  const entries = Object.fromEntries(["a", "b", "c"].map((id) => [`node:${id}`, node(id)]));
  const table = (sequence: number, lost = false): TableCopy => ({ version: { epoch: { number: sequence === 0 ? 0 : 1, node: "a" }, sequence }, lineage: [], entries, ...(lost && { lost: true }) });

  /** @returns The nodes whose tables the new FTM starts from, or nothing if it is not installed. */
  function takeOver(tables: { readonly [node: string]: TableCopy }): string[] | undefined {
    const kernel = new Microkernel({ armor: "heartbeat", generation: { epoch: 1, node: "a", counter: 0 }, elements: [takeover("a")], random: seededRandom(1) });
    let nowMs = 0;
    const sent: Message[] = [];
    const step = (name: string, payload: DataRecord): void => {
      const { commits } = kernel.step({ kind: "local", op: name, payload: payload as never }, ++nowMs);
      for (const { body } of commits.flatMap((commit) => commit.sent ?? [])) sent.push(decode(body) as Message);
    };
    kernel.step({ kind: "start", payload: {} }, nowMs);
    const request = { cause: "silent", nodes: ["a", "b", "c"], seen: { number: 1, node: "a" }, from: "", gone: null, dead: [], patient: false, avoid: [] };
    step("takeover.begin", { takeover: request as unknown as Data });
    const promised = (number: number): Vote => ({ promised: true, epoch: { number, node: "a" } });
    const { round } = sent.find(({ ops }) => ops[0]?.name === "epoch.poll")!.payload;
    for (const voter of ["a", "b", "c"]) step("takeover.polled", { vote: promised(1) as unknown as Data, round: round!, node: voter });
    const epoch = sent.find(({ ops }) => ops[0]?.name === "epoch.prepare")!.payload["epoch"] as DataRecord;
    for (const [voter, copy] of Object.entries(tables)) {
      const report = { node: voter, armors: [], table: copy, allowElements: false };
      step("takeover.promised", { vote: { promised: true, epoch } as unknown as Data, report: report as unknown as Data, epoch, node: voter });
    }
    step("takeover.decide", {});
    const install = sent.find(({ ops }) => ops.some(({ name }) => name === "armor.install"));
    expect(install === undefined || install.to.startsWith(daemonOf(""))).toBe(true);
    return (install?.payload["install"] as { begin: { reports: { node: string }[] } } | undefined)?.begin.reports.map(({ node: id }) => id).sort();
  }

  test.each([
    ["two good copies", { a: table(3), b: table(2) }, ["a", "b"]],
    ["one good copy and one that was lost: the third may know more", { a: table(3), b: table(0, true) }, undefined],
    ["all, one of them lost", { a: table(3), b: table(0, true), c: table(4) }, ["a", "b", "c"]],
    ["all, every one lost: nobody knows more", { a: table(0, true), b: table(0, true), c: table(0, true) }, ["a", "b", "c"]],
  ])("with %s", (_name, tables, from) => {
    expect(takeOver(tables as { [node: string]: TableCopy })).toEqual(from as string[]);
  });
});
