/**
 * The hard cases, one round each: a test plays a few, the measurements in bench/
 * many. Every function checks what has to hold and returns milliseconds, or
 * throws with what the nodes logged.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { randomInt, randomUUID } from "node:crypto";
import { readdirSync, readlinkSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { readArguments } from "../../armors/host/process_table.ts";
import { request } from "../../transports/http2_client.ts";
import { type Cluster, instances } from "./cluster.ts";
import type { ArmorEvent, Node, Status } from "./node.ts";
import { armorProcesses, isLiving, livingPrograms, runningPids, signal } from "./processes.ts";
import { httpServer } from "./programs.ts";
import { waitFor } from "./wait.ts";

const recoveredWithinMs = 20_000;
const settledWithinMs = 30_000;

/** An HTTP server of a cluster that answers with its pid. */
export interface Web {
  readonly name: string;
  readonly port: number;
}

/** Have a server kept running; returns when it answers. */
export async function runWeb(cluster: Cluster, web: Web, ...options: string[]): Promise<void> {
  const program = httpServer(cluster.folder("programs"));
  if (program === undefined) throw new Error("needs cc or python3");
  const ended = await cluster.nodes[0]!.cli("run", "--name", web.name, ...options, "--", ...program, String(web.port));
  if (ended.status !== 0) throw new Error(ended.stderr);
  await waitFor(`${web.name} answers`, async () => (await pidsOf(cluster, web)).length > 0, recoveredWithinMs);
}

/** Pids that answer, on every host of the network or on loopback. */
export async function pidsOf(cluster: Cluster, web: Web, nodes: readonly Node[] = cluster.nodes): Promise<number[]> {
  const hosts = cluster.network ? nodes.map(({ number }) => cluster.network!.address(number)) : ["127.0.0.1"];
  const answers = await Promise.all(hosts.map((host) => cluster.get(`http://${host}:${web.port}/`)));
  return answers.flatMap((answer) => (answer ? [Number(answer.text)] : []));
}

/** One FTM, where the status says; every server once, as stated. */
async function whole(cluster: Cluster, webs: readonly Web[]): Promise<Status> {
  const status = await cluster.settled(cluster.nodes, settledWithinMs);
  await waitFor("one of everything", async () => {
    const now = await cluster.nodes[0]!.status();
    const ftms = cluster.nodes.flatMap((node) => node.pids("ftm"));
    if (`${ftms}` !== `${now.ftm?.pid}`) throw new Error(`FTM: ${ftms} run, by status ${now.ftm?.pid}`);
    for (const web of webs) {
      const stated = instances(now, web.name).map(({ pid }) => pid).sort();
      const running = cluster.nodes.flatMap((node) => livingPrograms(node.dataDir)).filter(({ instance }) => instance === `${web.name}.0`).map(({ pid }) => pid).sort();
      if (stated.length !== 1 || `${stated}` !== `${running}`) throw new Error(`${web.name}: ${running} run, by status ${stated}`);
    }
    return true;
  }, settledWithinMs, 50).catch((error) => {
    throw new Error(`${error.message}\n${cluster.diagnosis()}`);
  });
  return status;
}

/** Which armors of the cluster's own were on a node. */
export type Bearing = "ftm" | "heartbeat" | "neither";

/**
 * All processes of the application's node die at once, programs too; then it is
 * started again.
 *
 * @param bearing Put the application on such a node first.
 * @returns Until another process answers.
 */
export async function killNode(cluster: Cluster, web: Web, bearing: Bearing): Promise<number> {
  const { ftm, heartbeat } = await cluster.settled(cluster.nodes, settledWithinMs);
  const lost = cluster.nodes.find(({ name }) => (name === ftm!.node ? "ftm" : name === heartbeat?.node ? "heartbeat" : "neither") === bearing);
  if (!lost) throw new Error(`no node bears ${bearing}`);
  await runWeb(cluster, web, "--node", lost.name);
  const status = await whole(cluster, [web]);
  const at = instances(status, web.name)[0]!.node;
  if (at !== lost.name || status.ftm!.node !== ftm!.node) throw new Error(`the application is on ${at}, not on ${lost.name}; the FTM on ${status.ftm!.node}`);
  const old = await pidsOf(cluster, web);
  const armors = armorProcesses(lost.dataDir).map(({ pid }) => pid);
  const programs = runningPids(lost.dataDir);
  const startMs = performance.now();
  // At once: nobody there may see another end.
  for (const pid of armors) signal(pid, "SIGSTOP");
  for (const pid of [...armors, ...programs]) signal(pid, "SIGKILL");
  await waitFor("it answers elsewhere", async () => (await pidsOf(cluster, web)).some((pid) => !old.includes(pid)), recoveredWithinMs, 2);
  const tookMs = performance.now() - startMs;
  await lost.crash();
  await lost.start();
  await whole(cluster, [web]);
  await cluster.nodes[0]!.cli("remove", web.name);
  await waitFor(`${web.name} is removed`, async () => (await pidsOf(cluster, web)).length === 0, settledWithinMs);
  return tookMs;
}

/**
 * Two nodes: the one with FTM and application is cut off, and healed.
 *
 * @returns Until the application answers on the other, and which node was cut.
 */
export async function cutWithFtm(cluster: Cluster, web: Web): Promise<{ readonly tookMs: number; readonly cut: string }> {
  const before = await whole(cluster, [web]);
  const cut = cluster.node(before.ftm!.node);
  const other = cluster.nodes.filter((node) => node !== cut);
  const at = instances(before, web.name)[0]!.node;
  if (at !== cut.name) throw new Error(`the application is on ${at}, the FTM on ${cut.name}`);
  const startMs = performance.now();
  cluster.network!.setLink(cut.number, "down");
  try {
    await waitFor("it answers on the other node", async () => (await pidsOf(cluster, web, other)).length > 0, recoveredWithinMs, 2);
    return { tookMs: performance.now() - startMs, cut: cut.name };
  } finally {
    cluster.network!.setLink(cut.number, "up");
    await whole(cluster, [web]);
  }
}

/** What became of one acknowledgement. */
export interface Acknowledged {
  readonly name: string;
  /** Between acknowledgement and cut. */
  readonly cutAfterMs: number;
}

/**
 * A submission is acknowledged by a daemon, then the FTM's node is cut off at
 * once, until another FTM serves; then healed.
 *
 * @param by Asked: the FTM's own daemon, or another.
 */
export async function acknowledgeAndCut(cluster: Cluster, name: string, by: "ftm" | "other"): Promise<Acknowledged> {
  const before = await cluster.settled(cluster.nodes, settledWithinMs);
  const cut = cluster.node(before.ftm!.node);
  const others = cluster.nodes.filter((node) => node !== cut);
  await submit(by === "ftm" ? cut : others[0]!, name);
  const acknowledgedMs = performance.now();
  await cluster.network!.cut(cut.number);
  const cutAfterMs = performance.now() - acknowledgedMs;
  try {
    await waitFor("another FTM", async () => {
      const status = await others[0]!.status();
      return !status.stale && status.ftm?.state === "running" && status.ftm.node !== cut.name;
    }, recoveredWithinMs);
    // The majority, or the survivor of two, has it without the one that acknowledged.
    await expectKnown(others[0]!, [name]);
  } finally {
    cluster.network!.setLink(cut.number, "up");
  }
  await cluster.settled(cluster.nodes, settledWithinMs);
  return { name, cutAfterMs };
}

/** @throws Naming applications that no longer exist. */
export async function expectKnown(node: Node, names: readonly string[]): Promise<void> {
  await waitFor(`${node.name} knows ${names.length} applications`, async () => {
    const known = (await node.status()).applications.map(({ name }) => name);
    const lost = names.filter((name) => !known.includes(name));
    if (lost.length > 0) throw new Error(`lost: ${lost}`);
    return true;
  }, 5_000);
}

/** As `armor run`, without the time that a process takes to start and end. */
async function submit(node: Node, name: string): Promise<void> {
  const socket = join(readlinkSync(join(node.dataDir, "run")), "daemon.sock");
  const application = { name, command: "/bin/sleep", args: ["100000"], instances: 1, kind: "service" };
  const json = { operation: "application.submit", application };
  // Not acknowledged: nothing is promised, it is repeated.
  await waitFor(`${name} is acknowledged`, async () => {
    const response = await request({ address: { path: socket }, method: "POST", path: "/v1/operations", json });
    const answer = (await response.json()) as { ok: boolean; error?: string };
    if (!answer.ok) throw new Error(answer.error);
    return true;
  }, 20_000, 50);
}

/** Kinds of events that nothing but a failure explains. */
const alarms = [/^node\.(suspected|failed|replaced)$/, /^armor\.(crashed|hung|failed|rewound)$/, /^application\.(exited|hung|restarted|moved|failed|crash-loop)$/, /^ftm\.takeover$/];

/**
 * Keep every core busy.
 *
 * @returns Events that should not be: a failure that was none.
 */
export async function keepBusy(cluster: Cluster, spinners: number, forMs: number, say: (text: string) => void = () => {}): Promise<ArmorEvent[]> {
  await cluster.settled();
  const { seq } = (await cluster.nodes[0]!.events()).at(-1)!;
  // Each in a session of its own: the kernel may share processors out by session.
  const spinning = Array.from({ length: spinners }, () => spawn("/bin/sh", ["-c", "while :; do :; done"], { stdio: "ignore", detached: true }));
  try {
    for (const endMs = performance.now() + forMs; performance.now() < endMs;) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(30_000, endMs - performance.now())));
      say(`${Math.max(0, Math.round((endMs - performance.now()) / 1_000))} s to go`);
    }
  } finally {
    for (const child of spinning) child.kill("SIGKILL");
  }
  await cluster.settled(cluster.nodes, settledWithinMs);
  return (await cluster.nodes[0]!.events()).filter((event) => event.seq > seq && alarms.some((alarm) => alarm.test(event.kind)));
}

/** How a power cut is played. */
export interface PowerCutOptions {
  /** What was not synced may be gone: files lose their ends, new ones vanish. */
  readonly loseTails: boolean;
  /** The machines start anew: other boot ids; needs root. */
  readonly reboot: boolean;
}

/**
 * All nodes lose power and start again.
 *
 * @returns Until every server answers and the cluster is settled.
 */
export async function cutPower(cluster: Cluster, webs: readonly Web[], { loseTails, reboot }: PowerCutOptions): Promise<number> {
  await cluster.settled(cluster.nodes, settledWithinMs);
  const before = await Promise.all(webs.map((web) => pidsOf(cluster, web)));
  killAll(cluster);
  await Promise.all(cluster.nodes.map((node) => node.crash()));
  for (const web of webs) if ((await pidsOf(cluster, web)).length > 0) throw new Error(`${web.name} survived`);
  if (loseTails) for (const node of cluster.nodes) loseUnsynced(node.dataDir);
  const prefix = reboot ? otherBoot(cluster.folder("boots")) : [];
  const startMs = performance.now();
  for (const node of cluster.nodes) node.spawn({ prefix });
  await waitFor("everything answers again", async () => {
    const now = await Promise.all(webs.map((web) => pidsOf(cluster, web)));
    return now.every((pids, index) => pids.length === 1 && !before[index]!.includes(pids[0]!));
  }, settledWithinMs).catch(async (error) => {
    const seen = await Promise.all(cluster.nodes.map(async (node) => `${node.name}: ${JSON.stringify(await node.statusNow())}`));
    const events = await cluster.nodes[0]!.events().catch(() => []);
    throw new Error(`${error.message}\n${seen.join("\n")}\n${events.slice(-40).map((event) => JSON.stringify(event)).join("\n")}\n${cluster.diagnosis()}`);
  });
  await cluster.settled(cluster.nodes, settledWithinMs);
  const tookMs = performance.now() - startMs;
  await expectOnce(cluster, webs);
  return tookMs;
}

/** Programs of the cluster are in its folder; counted by their arguments, because boot ids may be made up. */
function programs(cluster: Cluster): { readonly pid: number; readonly port: string }[] {
  const folder = join(cluster.place.folder, "programs");
  return readdirSync("/proc").map(Number).filter((pid) => pid > 0).flatMap((pid) => {
    const argv = readArguments(pid);
    return argv[0]?.startsWith(folder) && isLiving(pid) ? [{ pid, port: argv.at(-1)! }] : [];
  });
}

/** End every program of the cluster, whatever boot it belongs to. */
export function killAll(cluster: Cluster): void {
  for (const node of cluster.nodes) for (const { role, pid } of armorProcesses(node.dataDir)) if (role !== "shim") signal(pid, "SIGSTOP");
  for (const node of cluster.nodes) for (const { pid } of armorProcesses(node.dataDir)) signal(pid, "SIGKILL");
  for (const { pid } of programs(cluster)) signal(pid, "SIGKILL");
}

/** Also a little later: a second copy may be on its way. */
async function expectOnce(cluster: Cluster, webs: readonly Web[]): Promise<void> {
  const ports = webs.map(({ port }) => String(port)).sort();
  for (let look = 0; look < 5; look++) {
    const found = programs(cluster).map(({ port }) => port).sort();
    if (`${found}` !== `${ports}`) throw new Error(`programs on ports ${found} instead of ${ports}\n${cluster.diagnosis()}`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

/** What is never synced: logs of armors of class `process`, launch records, events. The daemon's own log is. */
function loseUnsynced(dataDir: string): void {
  const lose = (path: string, mayVanish: boolean): void => {
    const { size } = statSync(path);
    if (mayVanish && randomInt(4) === 0) rmSync(path);
    else if (randomInt(2) === 0) truncateSync(path, randomInt(size + 1));
  };
  for (const armor of readdirSync(join(dataDir, "armors"))) {
    if (armor.startsWith("daemon")) continue;
    const folder = join(dataDir, "armors", armor);
    const last = readdirSync(folder).filter((name) => name.endsWith(".cborseq")).sort().at(-1);
    if (last) lose(join(folder, last), false);
  }
  for (const instance of readdirSync(join(dataDir, "launches"))) {
    const folder = join(dataDir, "launches", instance);
    for (const name of readdirSync(folder)) lose(join(folder, name), true);
  }
  for (const name of readdirSync(dataDir).filter((one) => one.endsWith(".jsonl"))) lose(join(dataDir, name), true);
}

/** Runs a program in a mount namespace in which the machine has another boot id. */
function otherBoot(folder: string): string[] {
  const id = randomUUID();
  const file = join(folder, id);
  writeFileSync(file, `${id}\n`);
  const script = 'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"';
  return ["unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script, file];
}

/** Whether boots can be made up here: tried, because a container may refuse it to root. */
export const mayReboot = process.geteuid?.() === 0 &&
  spawnSync("unshare", ["--mount", "--propagation", "private", "/bin/sh", "-c", "mount --bind /dev/null /proc/sys/kernel/random/boot_id"]).status === 0;
