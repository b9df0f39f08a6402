/**
 * What an application file can say, on one node with real programs: probes,
 * progress, log limits, jobs; nginx and redis from the distribution; a cluster
 * that starts with a configuration.
 *
 * time limit: 150 s
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { readProcess } from "../../armors/host/process_table.ts";
import { Cluster, freePort, instances, textOf } from "./cluster.ts";
import type { ArmorEvent, InstanceStatus, Node } from "./node.ts";
import { isLiving, livingPrograms, type ProcessRole, signal } from "./processes.ts";
import { skipping, which } from "./programs.ts";
import { measured, waitFor } from "./wait.ts";

let cluster: Cluster;
let node: Node;
/** For programs to leave files in. */
let folder: string;

const configuration = `
[[application]]
name = "configured"
command = "sleep"
args = ["100000"]

[[application]]
name = "once"
command = "true"
kind = "job"
`;

beforeAll(async () => {
  cluster = await Cluster.make({ nodes: 1 });
  node = cluster.nodes[0]!;
  folder = cluster.folder("programs");
  const config = join(folder, "cluster.toml");
  writeFileSync(config, configuration);
  await node.start({ config });
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

/** Submit an application file. */
async function submit(name: string, text: string): Promise<void> {
  const path = join(folder, `${name}.toml`);
  writeFileSync(path, `name = ${JSON.stringify(name)}\n${text}`);
  await node.json("submit", path);
}

async function instance(name: string): Promise<InstanceStatus> {
  const [found] = instances(await node.status(), name);
  if (!found) throw new Error(`no instance of ${name}`);
  return found;
}

async function running(name: string, test: (found: InstanceStatus) => boolean = () => true, timeoutMs = 15_000): Promise<InstanceStatus> {
  return await waitFor(`${name} runs`, async () => {
    const found = await instance(name);
    if (found.state !== "running" || found.pid === null || !test(found)) throw new Error(JSON.stringify(found));
    return found;
  }, timeoutMs);
}

/** Events of an application, of which there is to be one at least: what it tells of may be seen in the status before. */
async function eventsOf(name: string, kind: string): Promise<ArmorEvent[]> {
  return await waitFor(`${kind} of ${name} is told`, async () => {
    const found = (await node.events()).filter((event) => event.kind === kind && event.subject.startsWith(`${name}.`));
    return found.length > 0 && found;
  }, 10_000);
}

async function remove(name: string): Promise<void> {
  expect(await node.cli("remove", name)).toMatchObject({ status: 0 });
  await waitFor(`${name} ends`, () => livingPrograms(node.dataDir).every(({ instance: id }) => !id.startsWith(`${name}.`)), 15_000);
}

describe("a cluster that starts with a configuration", () => {
  test("runs its applications, once, and does not read it again", async () => {
    const before = await running("configured");
    await waitFor("the job is completed", async () => (await instance("once")).state === "completed", 10_000);
    await node.endDaemon();
    const config = join(folder, "cluster.toml");
    writeFileSync(config, "broken");
    await node.start({ config });
    expect(await running("configured")).toMatchObject({ pid: before.pid, restarts: 0 });
    expect(await eventsOf("configured", "application.started")).toHaveLength(1);
    expect(await eventsOf("once", "application.completed")).toHaveLength(1);
  }, 40_000);

  test("that is wrong does not start, with one line and status 2", async () => {
    const other = await Cluster.make({ nodes: 1 });
    const config = join(folder, "wrong.toml");
    writeFileSync(config, '[[application]]\nname = "web"\ncommand = "x"\nprobe.type = "icmp"\n');
    const child = other.nodes[0]!.spawn({ config });
    const status = await new Promise((resolve) => child.on("exit", resolve));
    const text = textOf(other.nodes[0]!.output);
    await other.end();
    expect({ status, text }).toEqual({ status: 2, text: `armor: ${config}: application "web": probe.type must be "http", "tcp", "exec" or "progress"\n` });
  }, 30_000);
});

describe("a probe", () => {
  test("by a program: one that fails is told, the application killed and started again", async () => {
    const alive = join(folder, "alive");
    writeFileSync(alive, "");
    await submit("probed", `command = "sleep"\nargs = ["100000"]\n[probe]\ntype = "exec"\ncommand = "test"\nargs = ["-e", ${JSON.stringify(alive)}]\nintervalMs = 200\nfailures = 3\ngraceMs = 60000\n`);
    const before = await running("probed");
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect((await running("probed")).pid).toBe(before.pid);
    const startMs = performance.now();
    rmSync(alive);
    await waitFor("it is killed", () => !isLiving(before.pid!), 10_000);
    measured("probe began to fail (200 ms, 3 times), application killed", startMs);
    // Its successor has not answered yet: its grace holds.
    await running("probed", ({ pid, restarts }) => pid !== before.pid && restarts === 1);
    writeFileSync(alive, "");
    const [hung] = await eventsOf("probed", "application.hung");
    expect(hung).toMatchObject({ cause: "probe: status 1" });
    expect(hung!.durationMs).toBeGreaterThanOrEqual(400);
    await remove("probed");
  }, 40_000);

  const user = process.geteuid?.() === 0 ? 'user = "nobody"\n' : "";
  const curl = which("curl");
  if (!curl) skipping("progress", "curl");
  test.skipIf(!curl)("by progress: heard from another user's program, over a crash of the execution armor; its end is a hang", async () => {
    // Gets on for about four seconds, and then no more.
    const script = `i=0; while [ $i -lt 40 ]; do ${curl} -sf --max-time 1 --unix-socket "$ARMOR_API" -X POST http://armor/v1/progress; i=$((i+1)); sleep 0.1; done; exec sleep 100000`;
    await submit("moving", `command = "sh"\nargs = ["-c", ${JSON.stringify(script)}]\n${user}[probe]\ntype = "progress"\nwithinMs = 2000\ngraceMs = 5000\n`);
    const before = await running("moving");
    const startMs = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 500));
    signal(await node.pid("execution"), "SIGKILL");
    await waitFor("it is found hanging", () => !isLiving(before.pid!), 30_000);
    expect(performance.now() - startMs).toBeGreaterThan(4_000);
    await running("moving", ({ pid }) => pid !== before.pid);
    expect(await eventsOf("moving", "application.hung")).toMatchObject([{ cause: "no progress within 2000 ms" }]);
    await remove("moving");
  }, 60_000);
});

describe("a log", () => {
  test("is kept within its limits under a writer as fast as it can, while the execution armor is killed; no line is lost or doubled", async () => {
    const total = 600_000;
    const release = join(folder, "release");
    // In four bursts, and then it waits until its log is cut to its limit.
    const burst = `awk -v from=$((part * ${total / 4})) 'BEGIN { for (n = from; n < from + ${total / 4}; n++) printf "%015d\\n", n }'`;
    const script = `for part in 0 1 2 3; do ${burst}; sleep 0.5; done; while [ ! -e ${release} ]; do sleep 0.1; done`;
    await submit("writer", `command = "sh"\nkind = "job"\nargs = ["-c", ${JSON.stringify(script)}]\n[log]\nmaxBytes = 1000000\nkeep = 50\n`);
    for (let round = 0; round < 3; round++) {
      await new Promise((resolve) => setTimeout(resolve, 700));
      signal(await node.pid("execution"), "SIGKILL");
    }
    const logs = join(node.dataDir, "logs", "writer");
    await waitFor("it is cut to its limit", () => existsSync(join(logs, "writer.0.log.9")), 20_000, 50);
    writeFileSync(release, "");
    await waitFor("the job is completed", async () => (await instance("writer")).state === "completed", 20_000);
    const { status, stdout } = await node.cli("logs", "writer");
    expect(status).toBe(0);
    const lines = stdout.split("\n").slice(0, -1);
    expect(lines.length).toBe(total);
    for (const [number, line] of lines.entries()) if (Number(line) !== number || line.length !== 15) throw new Error(`line ${number} is ${line}`);
    expect((await node.cli("logs", "--lines", "2", "writer")).stdout).toBe(`${lines.slice(-2).join("\n")}\n`);
    await remove("writer");
  }, 60_000);
});

describe("a job", () => {
  test.each(["execution", "daemon", "ftm"] as const)("whose end comes with that of the %s is run once and completed once", async (role: ProcessRole) => {
    const names = ["early", "together", "late"];
    for (const [index, when] of names.entries()) {
      const name = `job-${role}-${when}`;
      const runs = join(folder, name);
      await submit(name, `command = "sh"\nkind = "job"\nargs = ["-c", ${JSON.stringify(`echo run >>${runs}; sleep 0.4`)}]\n`);
      await waitFor("it has begun", () => textOf(runs) === "run\n", 5_000, 2);
      await new Promise((resolve) => setTimeout(resolve, [100, 395, 410][index]));
      signal(await node.pid(role), "SIGKILL");
      await waitFor(`${name} is completed`, async () => (await node.statusNow())?.applications.some((one) => one.name === name && one.state === "completed"), 15_000);
      await eventsOf(name, "application.completed");
    }
    await cluster.settled();
    for (const when of names) {
      const name = `job-${role}-${when}`;
      expect(textOf(join(folder, name))).toBe("run\n");
      expect(await eventsOf(name, "application.completed")).toHaveLength(1);
      await remove(name);
    }
  }, 90_000);
});

describe("programs of the distribution", () => {
  const nginx = which("nginx");
  if (!nginx) skipping("nginx", "nginx");
  test.skipIf(!nginx)("nginx: its master is replaced with all its workers; a worker is its master's business", async () => {
    const port = await freePort();
    const place = join(folder, "nginx");
    mkdirSync(place);
    chmodSync(place, 0o755);
    const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((name) => `${name}_temp_path ${place}/${name};`).join(" ");
    writeFileSync(join(place, "nginx.conf"), `worker_processes 2; pid ${place}/pid; error_log stderr; events {} http { access_log off; ${paths} server { listen 127.0.0.1:${port}; location / { return 200 "here"; } } }\n`);
    await submit("nginx", `command = ${JSON.stringify(nginx)}\nargs = ["-p", ${JSON.stringify(place)}, "-c", ${JSON.stringify(join(place, "nginx.conf"))}, "-g", "daemon off;"]\n[probe]\ntype = "http"\nurl = "http://127.0.0.1:${port}/health"\nintervalMs = 500\n`);
    const answers = (): Promise<boolean> => cluster.get(`http://127.0.0.1:${port}/`).then((answer) => answer?.text === "here");
    const workers = (master: number): number[] => livingPrograms(node.dataDir).some(({ pid }) => pid === master) ? childrenOf(master) : [];
    await waitFor("nginx answers", answers, 10_000);
    const master = (await running("nginx")).pid!;
    const [worker] = await waitFor("its workers run", () => workers(master).length === 2 && workers(master));
    signal(worker!, "SIGKILL");
    await waitFor("its master replaces the worker", () => workers(master).length === 2 && !workers(master).includes(worker!));
    expect(await running("nginx")).toMatchObject({ pid: master, restarts: 0 });
    const before = workers(master);
    const startMs = performance.now();
    signal(master, "SIGKILL");
    await running("nginx", ({ pid, restarts }) => pid !== master && restarts === 1);
    await waitFor("nginx answers again", answers, 10_000);
    measured("nginx killed, answers again", startMs);
    expect(before.some(isLiving)).toBe(false);
    await remove("nginx");
    expect(await answers()).toBe(false);
  }, 60_000);

  const redis = which("redis-server");
  const cli = which("redis-cli");
  if (!redis || !cli) skipping("redis", "redis-server and redis-cli");
  test.skipIf(!redis || !cli)("redis: one that sleeps fails its probe and is replaced; its data come back", async () => {
    const port = await freePort();
    const place = join(folder, "redis");
    mkdirSync(place);
    const args = ["--port", String(port), "--bind", "127.0.0.1", "--dir", place, "--appendonly", "yes", "--enable-debug-command", "local"];
    await submit("redis", `command = ${JSON.stringify(redis)}\nargs = ${JSON.stringify(args)}\n[probe]\ntype = "exec"\ncommand = ${JSON.stringify(cli)}\nargs = ["-p", "${port}", "ping"]\nintervalMs = 300\ntimeoutMs = 300\nfailures = 3\ngraceMs = 3000\n`);
    const say = async (...words: string[]): Promise<string> => (await node.run([cli!, "-p", String(port), ...words])).stdout.trim();
    await waitFor("redis answers", async () => (await say("ping")) === "PONG", 10_000);
    await say("set", "colour", "red");
    const before = await running("redis");
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("DEBUG SLEEP 1000\r\n");
    const startMs = performance.now();
    await waitFor("it is found hanging", () => !isLiving(before.pid!), 20_000);
    measured("redis put to sleep (probe every 300 ms, 3 failures), killed", startMs);
    socket.destroy();
    await running("redis", ({ pid }) => pid !== before.pid);
    await waitFor("redis answers again", async () => (await say("get", "colour")) === "red", 10_000);
    expect(await eventsOf("redis", "application.hung")).toMatchObject([{ cause: "probe: no answer within 300 ms" }]);
    await remove("redis");
  }, 60_000);
});

/** Living children of a process. */
function childrenOf(parent: number): number[] {
  return textOf(`/proc/${parent}/task/${parent}/children`).trim().split(" ").map(Number)
    .filter((pid) => pid > 0 && (readProcess(pid)?.state ?? "Z") !== "Z");
}
