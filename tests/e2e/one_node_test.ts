/**
 * One node: every process of it killed and stopped, in a table; and adoption:
 * whatever part of Armor dies, programs go on and never run twice.
 *
 * time limit: 120 s
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster, freePort, instances, textOf } from "./cluster.ts";
import type { Node } from "./node.ts";
import { armorProcesses, isLiving, type ProcessRole, runningPids, signal } from "./processes.ts";
import { readArguments } from "../../armors/host/process_table.ts";
import { httpServer, skipping } from "./programs.ts";
import { measured, waitFor } from "./wait.ts";

const roles = ["guard", "daemon", "ftm", "execution"] as const;
/** Generous: the machine may be busy. What is promised is measured in bench/. */
const bounds = { SIGKILL: 3_000, SIGSTOP: 6_000 } as const;

let cluster: Cluster;
let node: Node;
let url: string;
let command: readonly string[] | undefined;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 1 });
  node = cluster.nodes[0]!;
  command = httpServer(cluster.folder("programs"));
  if (!command) return skipping("programs on one node", "cc or python3");
  const port = await freePort();
  url = `http://127.0.0.1:${port}/`;
  expect(await node.cli("run", "--name", "web", "--", ...command, String(port))).toMatchObject({ status: 0 });
  await waitFor("the program answers", pidThatAnswers);
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

/** The server's answer is its pid. */
async function pidThatAnswers(): Promise<number | undefined> {
  const answer = await cluster.get(url);
  return answer && Number(answer.text);
}

/** Everything runs, once, and `status` says so. @returns The program's pid. */
async function whole(withinMs: number): Promise<number> {
  const program = await waitFor("the node is whole", async () => {
    const status = await node.status();
    const [web] = instances(status, "web");
    const pids = new Map(armorProcesses(node.dataDir).map(({ role, pid }) => [pid, role]));
    const good = !status.stale && web?.state === "running" && web.pid === (await pidThatAnswers()) &&
      status.armors.every(({ state, pid, role }) => state === "running" && pids.get(pid!) === role) &&
      pids.size === roles.length + node.pids("shim").length && roles.every((role) => [...pids.values()].includes(role));
    if (!good) throw new Error(JSON.stringify({ processes: [...pids], web, stale: status.stale, armors: status.armors.map(({ id, pid, state }) => ({ id, pid, state })) }));
    return web.pid!;
  }, withinMs);
  expect(runningPids(node.dataDir)).toEqual([program]);
  return program;
}

describe.each(Object.entries(bounds) as ["SIGKILL" | "SIGSTOP", number][])("%s", (name, boundMs) => {
  test.each([...roles])("of the %s: it is replaced, the program untouched", async (role) => {
    if (!command) return;
    const program = await whole(10_000);
    const victim = await node.pid(role);
    const startMs = performance.now();
    signal(victim, name);
    const successor = await waitFor(`a new ${role}`, () => node.pids(role).find((pid) => pid !== victim), boundMs, 2);
    // Killed from outside it may be ending yet: it has no memory any more, so nothing of it runs. A guard that has just been started itself does not wait for the rest.
    expect(readArguments(victim)).toEqual([]);
    expect(await whole(boundMs)).toBe(program);
    measured(`${name} of the ${role}, node whole again`, startMs);
    expect(await node.pid(role)).toBe(successor);
  }, 40_000);

  test("of the program: it is replaced, every armor untouched", async () => {
    if (!command) return;
    const victim = await whole(10_000);
    const armors = armorsOf();
    const startMs = performance.now();
    signal(victim, name);
    const successor = await waitFor("another program answers", async () => {
      const pid = await pidThatAnswers();
      return pid !== undefined && pid !== victim && pid;
    }, boundMs, 1);
    measured(`${name} of the program, answers again`, startMs);
    expect(isLiving(victim)).toBe(false);
    expect(await whole(boundMs)).toBe(successor);
    expect(armorsOf()).toEqual(armors);
  }, 40_000);

  test("of the launch shim: the program goes on, and its end is seen", async () => {
    if (!command) return;
    const program = await whole(10_000);
    const shim = await node.pid("shim");
    signal(shim, name);
    expect(await pidThatAnswers()).toBe(program);
    const before = (await node.events()).length;
    signal(program, "SIGKILL");
    const successor = await waitFor("another program answers", async () => {
      const pid = await pidThatAnswers();
      return pid !== undefined && pid !== program && pid;
    }, boundMs + 2_000);
    const event = await waitFor("its end is an event", async () => (await node.events()).slice(before).find(({ kind }) => kind === "application.exited"));
    // A stopped shim is woken to say it.
    expect(event.cause).toBe(name === "SIGSTOP" ? "signal 9" : "unknown");
    signal(shim, "SIGKILL");
    expect(await whole(10_000)).toBe(successor);
  }, 40_000);
});

/** Processes of Armor that are no shims, by role and pid. */
function armorsOf(): string[] {
  return armorProcesses(node.dataDir).filter(({ role }) => role !== "shim").map(({ role, pid }) => `${role} ${pid}`).sort();
}

describe("adoption", () => {
  const losses: ProcessRole[][] = [
    ["guard", "daemon", "ftm", "execution"],
    ["guard", "daemon"],
    ["guard", "daemon", "execution"],
    ["guard", "daemon", "ftm"],
    ["daemon", "ftm", "execution"],
    ["daemon", "execution"],
    ["ftm", "execution"],
    ["guard", "ftm"],
    ["guard", "execution"],
    ["guard", "daemon", "ftm", "execution", "shim"],
  ];
  test.each(losses.map((lost) => [lost.join(", "), lost] as const))("after losing %s at once, the same program runs, once", async (_name, lost) => {
    if (!command) return;
    const program = await whole(10_000);
    // Successors may be there at once; the killed ones must not.
    const killed = node.killArmor(lost);
    await waitFor("they are dead", () => killed.every((pid) => !isLiving(pid)));
    if (lost.includes("guard") && lost.includes("daemon")) await node.start();
    expect(await whole(15_000)).toBe(program);
  }, 60_000);

  test("a program that ended while no armor lived is started again, once", async () => {
    if (!command) return;
    const program = await whole(10_000);
    node.killArmor();
    signal(program, "SIGKILL");
    await waitFor("it is dead", () => !isLiving(program));
    await node.start();
    expect(await whole(15_000)).not.toBe(program);
  }, 60_000);

  test("a job that ended while no armor lived is completed by its exit status on record", async () => {
    const folder = cluster.folder("jobs");
    writeFileSync(join(folder, "job.sh"), `echo run >>${folder}/runs; while [ ! -e ${folder}/go ]; do sleep 0.05; done; exit 0\n`);
    await node.json("run", "--name", "job", "--job", "--", "/bin/sh", join(folder, "job.sh"));
    await waitFor("the job runs", () => textOf(join(folder, "runs")) === "run\n");
    const pid = await waitFor("it is reported", async () => instances(await node.status(), "job")[0]?.pid);
    node.killArmor();
    writeFileSync(join(folder, "go"), "");
    await waitFor("it has ended", () => !isLiving(pid));
    await node.start();
    await waitFor("it is completed", async () => instances(await node.status(), "job")[0]?.state === "completed", 10_000);
    expect(textOf(join(folder, "runs"))).toBe("run\n");
    await node.json("remove", "job");
  }, 60_000);
});

describe.each(["SIGTERM", "SIGINT"] as const)("%s to the daemon", (name) => {
  test("ends guard and daemon; armors and programs go on, and are found again", async () => {
    if (!command) return;
    const program = await whole(10_000);
    const armors = (): string[] => armorsOf().filter((text) => /^(ftm|execution) /.test(text));
    const before = armors();
    const events = (await node.events()).length;
    await node.endDaemon(name);
    expect(await pidThatAnswers()).toBe(program);
    expect(armors()).toEqual(before);
    expect((await node.cli("status")).status).toBe(1);
    await node.start();
    expect(await whole(10_000)).toBe(program);
    expect(armors()).toEqual(before);
    const kinds = (await node.events()).slice(events).map(({ kind }) => kind);
    for (const odd of ["application.exited", "application.moved", "armor.crashed", "ftm.takeover", "node.failed"]) expect(kinds).not.toContain(odd);
  }, 60_000);
});
