/**
 * What a program finds when Armor runs it, how it is restarted, stopped, moved,
 * and what its log holds; two nodes on loopback.
 *
 * time limit: 150 s
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { createConnection } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { readArguments, readProcess } from "../../armors/host/process_table.ts";
import { leftLogsMax } from "../../armors/host/log_sweep.ts";
import { Cluster, freePort, instances, textOf } from "./cluster.ts";
import type { ArmorEvent, InstanceStatus, Node } from "./node.ts";
import { isLiving, livingPrograms, runningPids, signal } from "./processes.ts";
import { httpServer, pythonServer, skipping, which } from "./programs.ts";
import { measured, waitFor } from "./wait.ts";

let cluster: Cluster;
let n1: Node;
let n2: Node;
/** For programs to leave files in. */
let folder: string;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 2 });
  [n1, n2] = cluster.nodes as [Node, Node];
  folder = cluster.folder("programs");
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

/** Submit; options before `--` are part of `argv`. */
async function run(...argv: string[]): Promise<void> {
  await n1.json("run", ...argv);
}

/** A shell script as a program. */
function script(name: string, text: string): string[] {
  const path = join(folder, `${name}.sh`);
  writeFileSync(path, text);
  return ["/bin/sh", path];
}

async function instance(name: string): Promise<InstanceStatus> {
  const [found] = instances(await n1.status(), name);
  if (!found) throw new Error(`no instance of ${name}`);
  return found;
}

/** Wait for a state. @returns The instance then. */
async function state(name: string, wanted: string, timeoutMs = 10_000): Promise<InstanceStatus> {
  return await waitFor(`${name} is ${wanted}`, async () => {
    const found = await instance(name);
    if (found.state !== wanted) throw new Error(`it is ${found.state}`);
    return (wanted !== "running" || found.pid !== null) && found;
  }, timeoutMs);
}

async function eventsOf(name: string, kind: string): Promise<ArmorEvent[]> {
  return (await n1.events()).filter((event) => event.subject.startsWith(`${name}.`) && event.kind === kind);
}

/** Wait until these ends are in the events, in this order. */
async function causes(name: string, ...wanted: string[]): Promise<void> {
  await waitFor(`the ends of ${name} are events`, async () => {
    const found = (await eventsOf(name, "application.exited")).map(({ cause }) => cause);
    if (`${found}` !== `${wanted}`) throw new Error(`${found}`);
    return true;
  });
}

async function remove(...names: string[]): Promise<void> {
  for (const name of names) await n1.json("remove", name);
}

/** Environment of a process as it was when it was executed. */
function environmentOf(pid: number): Record<string, string> {
  const entries = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").filter((entry) => entry !== "");
  return Object.fromEntries(entries.map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]));
}

function statusField(pid: number, field: string): string {
  return new RegExp(`^${field}:\\s*(.*)$`, "m").exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1] ?? "";
}

/** Run until it crashes too often on n2; takes half a minute, so it begins before everything else. */
const crashLoop = { name: "looping", started: 0 };
/** Stopped while it ignores SIGTERM: the grace is 10 s. */
const stubborn = { name: "stubborn", stoppedMs: 0, pids: [] as number[] };

describe("slow things begin", () => {
  test("a crash loop on one node", async () => {
    await run("--name", crashLoop.name, "--node", "n2", "--", ...script(crashLoop.name, `[ "$ARMOR_NODE" = n2 ] && exit 3; exec sleep 1000`));
    crashLoop.started = performance.now();
    await waitFor("it crashes", async () => (await eventsOf(crashLoop.name, "application.exited")).length >= 2);
  }, 30_000);

  test("a stop of a program that ignores SIGTERM", async () => {
    await run("--name", stubborn.name, "--", ...script(stubborn.name, `trap "" TERM; echo ready >${folder}/stubborn; sleep 1001 & while :; do sleep 1; done`));
    await waitFor("it is ready", () => existsSync(join(folder, "stubborn")));
    const { pid } = await state(stubborn.name, "running");
    stubborn.pids = await waitFor("its group is complete", () => {
      const group = readdirSync("/proc").map(Number).filter((one) => one > 0 && readProcess(one)?.group === pid);
      return group.length >= 3 && group;
    });
    await n1.json("stop", stubborn.name);
    stubborn.stoppedMs = performance.now();
    await state(stubborn.name, "stopping");
  }, 30_000);
});

describe("a program finds", () => {
  let pid = 0;
  let at: InstanceStatus;

  beforeAll(async () => {
    await run("--name", "plain", "--env", "A=b c", "--env", "HOME=/elsewhere", "--", "sleep", "1000");
    at = await state("plain", "running");
    pid = at.pid!;
  }, 30_000);
  afterAll(async () => await remove("plain"));

  test("the standard environment, its own on top, and nothing of the daemon's", async () => {
    for (const role of ["guard", "daemon", "execution"] as const) expect(environmentOf(await n1.pid(role))).toHaveProperty("MIMALLOC_PURGE_HOLES", role === "daemon" ? "1" : "0");
    const user = process.geteuid?.() === 0 ? "root" : process.env["USER"]!;
    const { SHELL, ...rest } = environmentOf(pid);
    expect(SHELL).toStartWith("/");
    const { PWD: _shells, ARMOR_API, ...exact } = rest;
    expect(ARMOR_API).toMatch(/^\/.+\.sock$/);
    expect(exact).toEqual({
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/elsewhere",
      USER: user,
      LOGNAME: user,
      LANG: "C.UTF-8",
      ARMOR_NODE: at.node!,
      ARMOR_APPLICATION: "plain",
      ARMOR_INSTANCE: at.id,
      A: "b c",
    });
  });

  test("folder /, nothing on its input, its log as output, and no other descriptor", () => {
    expect(readlinkSync(`/proc/${pid}/cwd`)).toBe("/");
    const descriptors = Object.fromEntries(readdirSync(`/proc/${pid}/fd`).map((fd) => [fd, readlinkSync(`/proc/${pid}/fd/${fd}`)]));
    const log = join(cluster.node(at.node!).dataDir, "logs", "plain", `${at.id}.log`);
    expect(descriptors).toEqual({ 0: "/dev/null", 1: log, 2: log });
    // Appended to: it may be cut while the program writes.
    for (const fd of [1, 2]) {
      const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/${pid}/fdinfo/${fd}`, "utf8"))![1]!;
      expect(Number.parseInt(flags, 8) & 0o2000).toBe(0o2000);
    }
  });

  test("a session and a group of its own, no terminal, and no signal ignored or blocked", () => {
    const entry = readProcess(pid)!;
    expect([entry.session, entry.group]).toEqual([pid, pid]);
    expect(Number(readFileSync(`/proc/${pid}/stat`, "latin1").split(") ")[1]!.split(" ")[4])).toBe(0);
    expect(readArguments(entry.parent)).toContain("--data-dir");
    for (const field of ["SigIgn", "SigBlk"]) expect(Number.parseInt(statusField(pid, field), 16)).toBe(0);
  });

  test("its arguments unchanged, whatever they hold", async () => {
    const odd = ["", "a b", "'", '"', "$HOME", "`id`", "\\n", "*", "-n", "--", "ü\u{1F600}", "a\nb", "#", ";exit"];
    await run("--name", "odd", "--", "/bin/sh", "-c", "exec sleep 1000", ...odd);
    const { pid: one } = await state("odd", "running");
    // The shell becomes sleep, so the arguments are read where they were given: before its last word.
    writeFileSync(join(folder, "arguments.sh"), 'for word; do printf "<%s>" "$word"; done >"$OUT"; exec sleep 1000\n');
    const out = join(folder, "arguments");
    await run("--name", "arguments", "--env", `OUT=${out}`, "--", "/bin/sh", join(folder, "arguments.sh"), ...odd);
    await waitFor("they are written", () => textOf(out).endsWith("exit>"));
    expect(textOf(out)).toBe(odd.map((word) => `<${word}>`).join(""));
    expect(isLiving(one!)).toBe(true);
    await remove("odd", "arguments");
  }, 30_000);

  test("the folder and the user asked for", async () => {
    if (process.geteuid?.() !== 0) return skipping("programs of another user", "root");
    await run("--name", "user", "--user", "nobody", "--cwd", "/usr", "--", "sleep", "1000");
    const { pid: one, node } = await state("user", "running");
    expect(statusField(one!, "Uid").split("\t")).toEqual(Array(4).fill("65534"));
    expect(statusField(one!, "Gid").split("\t")).toEqual(Array(4).fill("65534"));
    expect(statusField(one!, "Groups").trim()).not.toContain("0 ");
    expect(readlinkSync(`/proc/${one}/cwd`)).toBe("/usr");
    expect(environmentOf(one!)).toMatchObject({ USER: "nobody", LOGNAME: "nobody", ARMOR_NODE: node! });
    await remove("user");
  }, 30_000);
});

describe("the end of a program", () => {
  test("a job that exits with status 0 is completed, and stays so", async () => {
    await run("--name", "job", "--job", "--", ...script("job", `echo run >>${folder}/job; exit 0`));
    const done = await state("job", "completed");
    expect(done).toMatchObject({ pid: null, restarts: 0 });
    expect(await n1.json("start", "job")).toMatchObject({ ok: true, changed: false });
    // Its execution armor starts again from its checkpoint: it still knows.
    const node = cluster.node(done.node!);
    signal(await node.pid("execution"), "SIGKILL");
    await cluster.settled(cluster.nodes, 20_000, false);
    expect(textOf(join(folder, "job"))).toBe("run\n");
    await waitFor("its completion is one event", async () =>
      (await n1.events()).filter(({ kind, subject }) => kind === "application.completed" && subject.startsWith("job")).length === 1);
    // Asked for, it runs again.
    await n1.json("restart", "job");
    await waitFor("it runs again", () => textOf(join(folder, "job")) === "run\nrun\n");
    await state("job", "completed");
    await remove("job");
  }, 40_000);

  test("a job that fails is started again until it exits with status 0", async () => {
    await run("--name", "retry", "--job", "--", ...script("retry", `echo run >>${folder}/retry; [ "$(wc -l <${folder}/retry)" -ge 3 ]`));
    expect(await state("retry", "completed")).toMatchObject({ restarts: 2 });
    expect(textOf(join(folder, "retry"))).toBe("run\n".repeat(3));
    await causes("retry", "status 1", "status 1", "status 0");
    await remove("retry");
  }, 30_000);

  test("a service is started again whatever its exit status; status and signal are in the events", async () => {
    const ends = ["exit 0", "exit 7", "kill -TERM $$", "kill -KILL $$", "exec sleep 1000"];
    const text = `echo run >>${folder}/service; case $(wc -l <${folder}/service) in ${ends.map((end, index) => `${index + 1}) ${end};;`).join(" ")} esac`;
    await run("--name", "service", "--", ...script("service", text));
    await waitFor("the fifth runs", () => textOf(join(folder, "service")) === "run\n".repeat(5));
    expect(await state("service", "running")).toMatchObject({ restarts: 4 });
    await causes("service", "status 0", "status 7", "signal 15", "signal 9");
    await remove("service");
  }, 30_000);

  test("what a dead program left behind ends before its replacement starts", async () => {
    await run("--name", "family", "--", ...script("family", `sleep 1002 & echo $! >>${folder}/children; wait`));
    const { pid } = await state("family", "running");
    const child = Number(await waitFor("it has a child", () => textOf(join(folder, "children")).trim()));
    signal(pid!, "SIGKILL");
    const children = await waitFor("it has another child", () => {
      const lines = textOf(join(folder, "children")).trim().split("\n");
      return lines.length === 2 && lines;
    });
    expect(isLiving(child)).toBe(false);
    await remove("family");
    await waitFor("the other child ends too", () => !isLiving(Number(children[1])));
  }, 30_000);

  test("a program that is stopped hangs: it is replaced, with an event", async () => {
    await run("--name", "hang", "--", "sleep", "1000");
    const { pid } = await state("hang", "running");
    signal(pid!, "SIGSTOP");
    await waitFor("another runs", async () => {
      const now = await instance("hang");
      return now.state === "running" && now.pid !== pid;
    });
    expect(isLiving(pid!)).toBe(false);
    const [event] = await waitFor("there is an event", async () => {
      const found = await eventsOf("hang", "application.hung");
      return found.length > 0 && found;
    });
    expect(event).toMatchObject({ cause: "stopped", detectedBy: expect.stringMatching(/^execution@/) });
    await remove("hang");
  }, 30_000);
});

describe("the operator", () => {
  test("stop lets a program end by itself; it stays stopped; start runs it again", async () => {
    await run("--name", "polite", "--", ...script("polite", `trap 'echo bye >>${folder}/polite; exit 0' TERM; echo up >>${folder}/polite; while :; do sleep 0.05; done`));
    const { pid, node } = await state("polite", "running");
    await waitFor("it is up", () => textOf(join(folder, "polite")) === "up\n");
    const startMs = performance.now();
    expect(await n2.json("stop", "polite")).toMatchObject({ ok: true, changed: true });
    expect(await state("polite", "stopped", 5_000)).toMatchObject({ pid: null });
    measured("stop of a polite program", startMs);
    expect(isLiving(pid!)).toBe(false);
    expect(textOf(join(folder, "polite"))).toBe("up\nbye\n");
    expect(await n2.json("stop", "polite")).toMatchObject({ ok: true, changed: false });
    // Not even a restart of its node brings it back.
    const home = cluster.node(node!);
    home.killArmor();
    await home.start();
    await cluster.settled(cluster.nodes, 20_000, false);
    expect(await instance("polite")).toMatchObject({ state: "stopped", pid: null });
    expect(await n1.json("start", "polite")).toMatchObject({ ok: true, changed: true });
    await waitFor("it is up again", () => textOf(join(folder, "polite")) === "up\nbye\nup\n");
    expect(await state("polite", "running")).toMatchObject({ restarts: 0 });
    await remove("polite");
  }, 60_000);

  test("restart replaces a program where it was; that is no crash", async () => {
    await run("--name", "again", "--", "sleep", "1000");
    const before = await state("again", "running");
    expect(await n2.json("restart", "again")).toMatchObject({ ok: true, changed: true, revision: 2 });
    await waitFor("another runs", async () => (await state("again", "running")).pid !== before.pid);
    expect(await instance("again")).toMatchObject({ node: before.node, restarts: 0 });
    expect(isLiving(before.pid!)).toBe(false);
    await remove("again");
  }, 30_000);

  test("remove ends a program with its children and frees its name; its log stays", async () => {
    await run("--name", "gone", "--", ...script("gone", `echo word; sleep 1003 & echo $! >${folder}/gone; wait`));
    const { pid, node, id } = await state("gone", "running");
    const child = Number(await waitFor("it has a child", () => textOf(join(folder, "gone")).trim()));
    await remove("gone");
    await waitFor("both end", () => !isLiving(pid!) && !isLiving(child));
    expect(instances(await n1.status(), "gone")).toEqual([]);
    expect(textOf(join(cluster.node(node!).dataDir, "logs", "gone", `${id}.log`))).toBe("word\n");
    await run("--name", "gone", "--", "sleep", "1004");
    const other = await state("gone", "running");
    expect(readArguments(other.pid!)).toEqual([expect.stringMatching(/(^|\/)sleep$/), "1004"]);
    // Of logs of applications that are gone the newest stay.
    const logs = join(cluster.node(other.node!).dataDir, "logs");
    const old = Array.from({ length: leftLogsMax }, (_, number) => `left-${number}`);
    for (const name of old) mkdirSync(join(logs, name));
    await remove("gone");
    await waitFor("an old log goes", () => old.some((name) => !existsSync(join(logs, name))), 10_000);
    expect(existsSync(join(logs, "gone", `${other.id}.log`))).toBe(true);
  }, 30_000);

  test("--node is where it starts, --pin where it stays, --instances how many there are", async () => {
    await run("--name", "there", "--node", "n2", "--", "sleep", "1000");
    await run("--name", "pinned", "--node", "n1", "--pin", "--instances", "3", "--", "sleep", "1000");
    await run("--name", "spread", "--instances", "4", "--", "sleep", "1000");
    expect(await state("there", "running")).toMatchObject({ node: "n2" });
    const nodesOf = async (name: string): Promise<(string | null)[]> =>
      await waitFor(`all of ${name} run`, async () => {
        const all = instances(await n1.status(), name);
        return all.length > 0 && all.every((one) => one.state === "running" && one.pid !== null) && all.map(({ node }) => node).sort();
      });
    expect(await nodesOf("pinned")).toEqual(["n1", "n1", "n1"]);
    expect(await nodesOf("spread")).toEqual(["n1", "n1", "n2", "n2"]);
    const ids = instances(await n1.status(), "spread").map(({ id }) => id);
    expect(new Set(ids).size).toBe(4);
    await remove("there", "pinned", "spread");
  }, 30_000);
});

describe("logs", () => {
  test("hold standard output and error; any node prints them; --lines cuts", async () => {
    await run("--name", "talk", "--node", "n2", "--", ...script("talk", "echo one; echo two >&2; echo three; exec sleep 1000"));
    const there = await state("talk", "running");
    expect(there.node).toBe("n2");
    await waitFor("it has spoken", async () => (await n2.cli("logs", "talk")).stdout === "one\ntwo\nthree\n");
    for (const node of [n1, n2]) {
      expect(await node.cli("logs", "talk")).toEqual({ status: 0, stdout: "one\ntwo\nthree\n", stderr: "" });
      expect((await node.cli("logs", "talk", "--lines", "2")).stdout).toBe("two\nthree\n");
      expect((await node.cli("logs", "talk", "--instance", there.id)).stdout).toBe("one\ntwo\nthree\n");
    }
    const lines = (await n1.cli("logs", "talk", "--json")).stdout.trim().split("\n").map((line) => JSON.parse(line));
    expect(lines).toEqual(["one", "two", "three"].map((line) => expect.objectContaining({ application: "talk", line })));
    await remove("talk");
  }, 30_000);

  test("logs --follow goes on while the program is replaced, from another node too", async () => {
    await run("--name", "chat", "--node", "n2", "--", ...script("chat", `echo "I am $$"; exec sleep 1000`));
    const { pid } = await state("chat", "running");
    const followers = [n1.follow("logs", "chat", "--follow"), n2.follow("logs", "chat", "-f")];
    try {
      for (const { text } of followers) await waitFor("the first line", () => text() === `I am ${pid}\n`);
      signal(pid!, "SIGKILL");
      const next = await waitFor("another runs", async () => {
        const now = await instance("chat");
        return now.state === "running" && now.pid !== pid && now;
      });
      for (const { text } of followers) await waitFor("the line of the next", () => text() === `I am ${pid}\nI am ${next.pid}\n`);
    } finally {
      for (const { child } of followers) child.kill("SIGKILL");
    }
    await remove("chat");
  }, 30_000);
});

describe("real servers", () => {
  /** Kill and stop it; it answers again each time, and is adopted when all of Armor on its node dies. */
  async function survives(name: string, answers: () => Promise<unknown>): Promise<void> {
    for (const way of ["SIGKILL", "SIGSTOP"] as const) {
      await waitFor(`${name} answers`, answers, 10_000);
      const { pid } = await state(name, "running");
      const startMs = performance.now();
      signal(pid!, way);
      await waitFor(`another ${name}`, async () => (await state(name, "running")).pid !== pid, 10_000);
      await waitFor(`${name} answers again`, answers, 10_000);
      measured(`${way} of ${name}, answers again`, startMs);
      expect(isLiving(pid!)).toBe(false);
    }
    const before = await state(name, "running");
    const home = cluster.node(before.node!);
    home.killArmor();
    expect(await answers()).toBeTruthy();
    await home.start();
    await cluster.settled(cluster.nodes, 20_000, false);
    expect(await state(name, "running")).toMatchObject({ pid: before.pid, node: before.node });
    expect(runningPids(home.dataDir).filter((pid) => pid === before.pid)).toHaveLength(1);
    expect(livingPrograms(home.dataDir).filter(({ instance: id }) => id === before.id)).toHaveLength(1);
    expect(await answers()).toBeTruthy();
    await remove(name);
    await waitFor(`${name} ends`, () => !isLiving(before.pid!));
  }

  const redis = which("redis-server");
  if (redis === undefined) skipping("supervision of redis-server", "redis-server (Debian: redis-server)");
  test.skipIf(redis === undefined)("redis-server, which writes over its environment", async () => {
    const port = await freePort();
    await run("--name", "redis", "--cwd", folder, "--", redis!, "--port", String(port), "--save", "", "--appendonly", "no");
    await state("redis", "running");
    await survives("redis", () => ping(port));
  }, 60_000);

  test("an HTTP server in Python", async () => {
    const python = pythonServer(folder);
    if (!python) return skipping("supervision of a Python server", "python3");
    const port = await freePort();
    await run("--name", "python", "--", ...python, String(port));
    await survives("python", async () => (await cluster.get(`http://127.0.0.1:${port}/`))?.status === 200);
  }, 60_000);

  test("a program killed again and again answers again each time", async () => {
    const server = httpServer(folder);
    if (!server) return skipping("a server killed often", "cc or python3");
    const port = await freePort();
    await run("--name", "often", "--", ...server, String(port));
    let last = 0;
    for (let count = 0; count < 4; count++) {
      const pid = await waitFor("another answers", async () => {
        const answer = await cluster.get(`http://127.0.0.1:${port}/`);
        return answer && Number(answer.text) !== last && Number(answer.text);
      }, 10_000, 2);
      last = pid;
      signal(pid, "SIGKILL");
    }
    await waitFor("it is counted", async () => (await instance("often")).restarts === 4);
    await remove("often");
  }, 30_000);
});

describe("slow things end", () => {
  test("a program that ignores SIGTERM is killed with its group after the grace", async () => {
    await state(stubborn.name, "stopped", 20_000);
    const tookMs = performance.now() - stubborn.stoppedMs;
    expect(stubborn.pids.filter(isLiving)).toEqual([]);
    expect(tookMs).toBeGreaterThan(9_900);
    expect(await instance(stubborn.name)).toMatchObject({ pid: null });
    await remove(stubborn.name);
  }, 40_000);

  test("a crash loop moves a program to another node, where it runs", async () => {
    const moved = await waitFor("it has moved", async () => {
      const now = await instance(crashLoop.name);
      return now.node === "n1" && now.state === "running" && now;
    }, 70_000, 100);
    measured("crash loop, moved", crashLoop.started);
    expect(isLiving(moved.pid!)).toBe(true);
    const [event] = await waitFor("its move is told", async () => {
      const found = await eventsOf(crashLoop.name, "application.moved");
      return found.length > 0 && found;
    });
    expect(await eventsOf(crashLoop.name, "application.crash-loop")).toHaveLength(1);
    expect(event).toMatchObject({ from: "n2", node: "n1" });
    await remove(crashLoop.name);
  }, 80_000);

  test("nothing is left", async () => {
    await waitFor("every program has ended", () => cluster.nodes.every((node) => livingPrograms(node.dataDir).length === 0), 12_000);
    expect((await n1.status()).applications).toEqual([]);
  }, 20_000);
});

/** Redis answers a line with a line. */
async function ping(port: number): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = createConnection({ port, host: "127.0.0.1" }, () => socket.write("PING\r\n"));
    socket.setTimeout(400, () => socket.destroy());
    socket.on("data", (data) => {
      resolve(data.toString() === "+PONG\r\n");
      socket.destroy();
    });
    socket.on("error", () => resolve(false));
    socket.on("close", () => resolve(false));
  });
}
