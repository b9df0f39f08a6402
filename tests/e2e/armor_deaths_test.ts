/**
 * Armors that die again and again: killed from outside, by a bad state, and what
 * an operator sees and does about it; two nodes on loopback.
 *
 * time limit: 180 s
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { appendFileSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { readCheckpoints } from "../../armors/host/checkpoint_restore.ts";
import { dataDir } from "../../armors/host/data_dir.ts";
import { DeadLetterFile, deadLetterPath } from "../../armors/host/dead_letters.ts";
import { frameRecord } from "../../armors/host/record_frame.ts";
import { encode } from "../../core/codec.ts";
import { identify, programState } from "../../armors/host/process_table.ts";
import { Cluster, instances } from "./cluster.ts";
import type { ArmorEvent, Node } from "./node.ts";
import { isLiving, type ProcessRole, signal } from "./processes.ts";
import { waitFor } from "./wait.ts";

let cluster: Cluster;
let n1: Node;
let n2: Node;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 2 });
  [n1, n2] = cluster.nodes as [Node, Node];
  expect(await n1.cli("run", "--name", "sleeper", "--node", "n1", "--pin", "--", "sleep", "1000")).toMatchObject({ status: 0 });
  await program();
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

/** Pid of the program, once it runs and everything else does. */
async function program(): Promise<number> {
  const status = await cluster.settled();
  return await waitFor("the program runs", () => instances(status, "sleeper")[0]?.pid);
}

async function eventsSince(seq: number): Promise<ArmorEvent[]> {
  return (await n1.events()).filter((event) => event.seq > seq);
}

const lastSeq = async (): Promise<number> => (await n1.events()).at(-1)?.seq ?? 0;
const executionOf = async (name: string): Promise<string> => (await n1.status()).armors.find(({ role, node }) => role === "execution" && node === name)!.id;

describe("killed ten times within two seconds from outside", () => {
  test.each(["execution", "daemon", "ftm"] as ProcessRole[])("the %s comes back, and nothing is a dead letter", async (role) => {
    const before = await program();
    const seq = await lastSeq();
    const node = [n1, n2].find((one) => one.pids(role).length > 0)!;
    const untilMs = performance.now() + 2_000;
    const killed = new Set<number>();
    while (killed.size < 10 && performance.now() < untilMs) {
      // Wherever it starts next.
      for (const one of [n1, n2]) {
        if (one !== node && role !== "ftm" && role !== "heartbeat") continue;
        for (const pid of one.pids(role)) if (!killed.has(pid) && signal(pid, "SIGKILL")) killed.add(pid);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(killed.size).toBeGreaterThan(2);
    expect(await program()).toBe(before);
    expect(isLiving(before)).toBe(true);
    const kinds = (await eventsSince(seq)).map(({ kind }) => kind);
    for (const odd of ["armor.failed", "message.dead-lettered", "application.restarted", "node.failed"]) expect(kinds).not.toContain(odd);
    expect(await n2.json("dead-letters")).toEqual({ letters: [], silent: [] });
  }, 60_000);
});

describe("guard and daemon stopped at once", () => {
  test("are woken by their execution armor; the program goes on", async () => {
    const before = await program();
    const seq = await lastSeq();
    const pair = [...n1.pids("guard"), ...n1.pids("daemon")];
    for (const pid of pair) signal(pid, "SIGSTOP");
    const woken = async () => (await n2.events()).filter((event) => event.seq > seq && event.kind === "armor.woken");
    await waitFor("both are woken", async () => (await woken()).length >= 2, 20_000);
    expect((await woken()).map(({ subject }) => subject.split("@")[0]).sort()).toEqual(["daemon", "guard"]);
    expect(await program()).toBe(before);
    for (const role of ["guard", "daemon"] as ProcessRole[]) expect(n1.pids(role).length).toBe(1);
  }, 60_000);
});

describe("a second guard that is stopped before it finds that there is one", () => {
  test("is woken after the first was replaced: one is left", async () => {
    const before = await program();
    const seq = await lastSeq();
    const [first] = n1.pids("guard");
    n1.spawn();
    const second = await waitFor("it starts", () => n1.pids("guard").find((pid) => pid !== first), 5_000, 1);
    signal(second, "SIGSTOP");
    signal(first!, "SIGKILL");
    await waitFor("the first is replaced", async () => (await eventsSince(seq)).some(({ kind, node }) => kind === "guard.recovered" && node === "n1"));
    // A guard that an operator started takes the place of one that the daemon did; one that hangs would stay beside it.
    await waitFor("one guard is left, and runs", () => {
      const guards = n1.pids("guard");
      return guards.length === 1 && programState(identify(guards[0]!)!) === "running";
    }, 20_000);
    expect(await program()).toBe(before);
  }, 60_000);
});

describe("a bad state", () => {
  test("makes the armor failed, not the program; the operator begins it anew", async () => {
    const before = await program();
    const seq = await lastSeq();
    const armor = await executionOf("n1");
    const folder = dataDir(n1.dataDir).armor(armor);
    await n1.endDaemon();
    n1.killArmor();
    await waitFor("all of it has ended", () => n1.pids("execution").length === 0);
    // A record that is whole and next in order, but says what cannot be.
    const { snapshot, records, last } = readCheckpoints(folder, armor);
    const { commit, generation } = records.at(-1) ?? snapshot!;
    const sent = [{ peer: "ftm", lane: "user", sequence: 999_999, body: new Uint8Array([0xa0]) }];
    appendFileSync(join(folder, `${String(last).padStart(8, "0")}.cborseq`), frameRecord(encode({ commit: commit + 1, generation, sent })));
    n1.spawn();

    const failed = await waitFor("it is failed", async () => (await eventsSince(seq)).find(({ kind, subject }) => kind === "armor.failed" && subject === armor), 30_000);
    expect(failed.cause).toMatch(/state is bad/);
    await waitFor("status says so", async () => (await n2.status()).armors.find(({ id }) => id === armor)?.state === "failed");
    expect(isLiving(before)).toBe(true);
    expect(await n2.json<{ text: string }>("reset", "execution@n1")).toMatchObject({ ok: true, changed: true });
    // The old launch is adopted, though the armor remembers nothing of it.
    expect(await program()).toBe(before);
    const rewound = (await eventsSince(seq)).find(({ kind, subject }) => kind === "armor.rewound" && subject === armor);
    expect(rewound).toMatchObject({ cause: "reset by the operator", node: "n1" });
    expect(readdirSync(join(folder, "before-reset")).some((name) => name.endsWith(".cborseq"))).toBe(true);
    await waitFor("it has lasted", () => !existsSync(join(folder, "hand")), 10_000);
  }, 90_000);

  test("of a running armor can be thrown away too; the FTM's and a daemon's cannot", async () => {
    const before = await program();
    const armor = await executionOf("n1");
    const [{ generation }] = (await n1.status()).armors.filter(({ id }) => id === armor) as unknown as [{ generation: string }];
    expect((await n2.cli("reset", armor)).stdout).toBe(`"${armor}" begins anew on node "n1", without its state\n`);
    await waitFor("it has another generation", async () =>
      ((await n1.status()).armors.find(({ id }) => id === armor) as unknown as { generation: string } | undefined)?.generation !== generation);
    expect(await program()).toBe(before);
    const daemon = (await n1.status()).armors.find(({ role }) => role === "daemon")!.id;
    for (const [name, text] of [["ftm", "table of applications"], [daemon, "promises"], ["daemon@n2", "promises"], ["nobody", "there is no armor"]] as const) {
      const { status, stderr } = await n1.cli("reset", name);
      expect(status).toBe(1);
      expect(stderr).toContain(text);
    }
  }, 60_000);
});

describe("armor dead-letters", () => {
  test("shows what any node keeps, from any node, and says who did not answer", async () => {
    const armor = await executionOf("n1");
    const file = new DeadLetterFile(deadLetterPath(dataDir(n1.dataDir), armor), armor, () => {});
    const message = { id: "ftm/3.x.0/9", from: "ftm", to: armor, ops: [{ name: "instances.order" }], payload: { some: "thing", bytes: new Uint8Array([1, 2]) } };
    file.add({ message, failure: { code: "poison", op: "instances.order", element: "", armor, text: "it died of it", committed: 0 } }, "2026-01-01T00:00:00.000Z");
    const { letters, silent } = await n2.json<{ letters: unknown[]; silent: string[] }>("dead-letters", armor);
    expect(silent).toEqual([]);
    expect(letters).toEqual([{ node: "n1", at: "2026-01-01T00:00:00.000Z", armor, message: { ...message, payload: { some: "thing", bytes: { base64: "AQI=" } } }, failure: expect.objectContaining({ code: "poison" }) }]);
    expect((await n2.cli("dead-letters")).stdout).toBe(
      `2026-01-01T00:00:00.000Z  ${armor} on n1  poison: it died of it\n  message ftm/3.x.0/9 from ftm  ops instances.order  payload {"bytes":{"base64":"AQI="},"some":"thing"}\n`,
    );
    expect((await n1.cli("dead-letters", "ftm")).stdout).toBe("no dead letters\n");
    expect((await n1.cli("dead-letters", "a/b")).status).toBe(2);
    await n1.endDaemon();
    expect((await n2.cli("dead-letters")).stdout).toBe("no dead letters\nno answer from n1: what they hold is missing here\n");
    await n1.start();
  }, 60_000);
});
