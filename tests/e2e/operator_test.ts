/**
 * What operators and their scripts rely on: the status document, idempotent
 * commands, exit statuses, one clear line for every refusal; two nodes on loopback.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Cluster, freePort, instances } from "./cluster.ts";
import type { ArmorEvent, Ended, Node } from "./node.ts";
import { isLiving, signal } from "./processes.ts";
import { waitFor } from "./wait.ts";

let cluster: Cluster;
let n1: Node;
let n2: Node;
/** A daemon that is not the FTM's. */
let other: Node;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 2 });
  [n1, n2] = cluster.nodes as [Node, Node];
  const status = await cluster.settled();
  other = cluster.nodes.find(({ name }) => name !== status.ftm!.node)!;
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

/** Refused: nothing on standard output, one line that matches on standard error. */
function refused(ended: Ended, status: 1 | 2, ...words: (string | RegExp)[]): void {
  expect(ended).toMatchObject({ status, stdout: "" });
  expect(ended.stderr).toMatch(/^armor: [^\n]+\n$/);
  for (const word of words) expect(ended.stderr).toMatch(word instanceof RegExp ? word : new RegExp(word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")));
}

describe("status --json", () => {
  const id = expect.stringMatching(/^[A-Za-z0-9_-]{8,}$/);
  const address = expect.stringMatching(/^127\.0\.0\.1:\d+$/);

  test("has the documented shape on every node", async () => {
    await n1.json("run", "--name", "shape", "--", "sleep", "1000");
    await waitFor("it runs", async () => instances(await n1.status(), "shape")[0]?.pid);
    for (const node of cluster.nodes) {
      const status = await waitFor("the node knows of it", async () => {
        const found = await node.json<any>("status");
        return found.applications[0]?.state === "running" && found;
      });
      expect(Object.keys(status).sort()).toEqual(["applications", "armors", "cluster", "epoch", "ftm", "heartbeat", "nodes", "stale"]);
      expect(status).toMatchObject({ cluster: id, epoch: { number: expect.any(Number), node: id }, stale: false });
      for (const role of ["ftm", "heartbeat"]) {
        expect(Object.keys(status[role]).sort()).toEqual(["id", "incarnation", "node", "pid", "state"]);
        expect(status[role]).toMatchObject({ id: role, node: expect.stringMatching(/^n[12]$/), pid: expect.any(Number), state: "running" });
      }
      expect(status.nodes.map((one: any) => one.name).sort()).toEqual(["n1", "n2"]);
      for (const one of status.nodes) expect(one).toEqual({ name: expect.any(String), id, address, state: "alive" });
      const nodeIds = status.nodes.map((one: any) => one.id);
      const ids = status.armors.map((one: any) => one.id).sort();
      expect(ids).toEqual([...nodeIds.flatMap((one: string) => [`daemon@${one}`, `execution@${one}`]), "ftm", "heartbeat"].sort());
      for (const armor of status.armors) {
        expect(Object.keys(armor).sort()).toEqual(["elements", "generation", "id", "incarnation", "node", "pid", "role", "state"]);
        expect(armor.state).toBe("running");
        expect(isLiving(armor.pid)).toBe(true);
        for (const element of armor.elements) expect(element).toEqual({ name: expect.any(String), version: expect.any(Number), ops: expect.any(Array) });
        const names = armor.elements.map(({ name }: any) => name);
        for (const basic of ["messaging", "heartbeat_reply", "checkpointing", "reconfiguration", "self_audit"]) expect(names).toContain(basic);
      }
      const [{ instances: [instance], ...application }] = status.applications;
      expect(application).toEqual({ name: "shape", desired: "running", state: "running", revision: 1 });
      expect(instance).toEqual({ id: expect.any(String), node: expect.stringMatching(/^n[12]$/), pid: expect.any(Number), state: "running", restarts: 0 });
    }
    await n1.json("remove", "shape");
  }, 30_000);

  test("status for people names nodes, armors and applications", async () => {
    await n1.json("run", "--name", "people", "--", "sleep", "1000");
    const { status, stdout } = await other.cli("status");
    expect(status).toBe(0);
    for (const word of ["n1", "n2", "ftm", "heartbeat", "execution", "daemon", "people"]) expect(stdout).toContain(word);
    await n1.json("remove", "people");
  });
});

describe("run", () => {
  test("is idempotent: the same again changes nothing, another specification is refused and names remove", async () => {
    const same = ["run", "--name", "twice", "--env", "A=1", "--", "sleep", "1000"];
    expect(await n1.json(...same)).toEqual({ ok: true, changed: true, revision: 1 });
    const { pid } = await waitFor("it runs", async () => instances(await n1.status(), "twice").find((one) => one.pid !== null));
    for (const node of cluster.nodes) {
      const again = await node.cli(...same);
      expect(again).toMatchObject({ status: 0, stderr: "" });
      expect(again.stdout).toContain("nothing changed");
      expect(await node.json(...same)).toEqual({ ok: true, changed: false, revision: 1 });
    }
    for (const differing of [["--env", "A=2"], ["--env", "A=1", "--instances", "2"], ["--env", "A=1", "--job"]]) {
      refused(await n1.cli("run", "--name", "twice", ...differing, "--", "sleep", "1000"), 1, "twice", "armor remove twice");
    }
    expect(instances(await n1.status(), "twice")).toEqual([expect.objectContaining({ pid, restarts: 0 })]);
    await n1.json("remove", "twice");
  }, 30_000);

  test("works from a node that is not the FTM's, and all commands with it", async () => {
    expect(await other.cli("run", "--name", "remote", "--", "sleep", "1000")).toMatchObject({ status: 0, stderr: "" });
    for (const command of ["stop", "start", "restart", "remove"]) {
      const ended = await other.cli(command, "remote");
      expect(ended).toMatchObject({ status: 0, stderr: "" });
      expect(ended.stdout).toMatch(/^[^\n]+\n$/);
    }
    expect((await other.status()).applications.filter(({ name }) => name === "remote")).toEqual([]);
  }, 30_000);

  test("options may stand anywhere before --", async () => {
    const ended = await n1.run([cluster.place.binary, "--data-dir", n1.dataDir, "--json", "run", "--name", "order", "--", "sleep", "1000"]);
    expect(ended).toMatchObject({ status: 0, stderr: "" });
    await n1.json("remove", "order");
  });

  test("--address asks a daemon over the network, with the cluster's secret only", async () => {
    const remote = ["--address", n2.address, "--secret-file", cluster.place.secretFile];
    expect(await n1.cli("run", "--name", "far", ...remote, "--", "sleep", "1000")).toMatchObject({ status: 0, stderr: "" });
    const status = JSON.parse((await n1.cli("status", "--json", ...remote)).stdout);
    expect(status.cluster).toBe((await n1.status()).cluster);
    expect(await n1.cli("remove", "far", ...remote)).toMatchObject({ status: 0 });
    const secretFile = join(cluster.place.folder, "another-secret");
    expect(await n1.run([cluster.place.binary, "init", "--secret-file", secretFile])).toMatchObject({ status: 0 });
    refused(await n1.cli("status", "--address", n2.address, "--secret-file", secretFile), 1, "secret");
    refused(await n1.cli("status", "--address", n2.address), 2, "--secret-file");
    refused(await n1.cli("status", "--address", `127.0.0.1:${await freePort()}`, "--secret-file", cluster.place.secretFile), 1, "no daemon answers");
  }, 30_000);

  test("a program that cannot be launched is refused, naming path and nodes", async () => {
    const folder = cluster.folder("refused");
    const plain = join(folder, "plain");
    writeFileSync(plain, "text");
    chmodSync(plain, 0o644);
    const inner = join(folder, "folder");
    mkdirSync(inner, { recursive: true });
    const missing = join(folder, "missing");
    const everywhere = ["n1", "n2"];
    for (const [path, words] of [[missing, ["does not exist"]], [plain, ["not executable"]], [inner, ["directory"]], ["no-such-program", ["PATH"]]] as const) {
      const name = `bad-${path.split("/").at(-1)}`;
      refused(await other.cli("run", "--name", name, "--", path), 1, path, ...words, ...everywhere);
    }
    refused(await n1.cli("run", "--name", "pinned", "--node", "n2", "--pin", "--", missing), 1, missing, "n2");
    if (process.geteuid?.() === 0) refused(await n1.cli("run", "--name", "nobody", "--user", "no_such_user", "--", "sleep", "1"), 1, "no_such_user");
    refused(await n1.cli("run", "--name", "nowhere", "--cwd", join(folder, "not-there"), "--", "sleep", "1"), 1, "not-there");
    refused(await n1.cli("run", "--name", "far", "--node", "n9", "--", "sleep", "1"), 1, "n9", ...everywhere);
    expect((await n1.status()).applications).toEqual([]);
  }, 30_000);

  test("--singleton is refused clearly", async () => {
    refused(await n1.cli("run", "--name", "single", "--singleton", "--", "sleep", "1"), 1, "--singleton");
    expect((await n1.status()).applications).toEqual([]);
  });
});

describe("exit statuses", () => {
  test.each([
    ["stop"], ["start"], ["restart"], ["remove"], ["logs"],
  ])("%s of an unknown application: 1", async (command) => {
    for (const node of cluster.nodes) refused(await node.cli(command, "unknown"), 1, "unknown");
  });

  test.each([
    [["run"], "program"],
    [["run", "--", ""], "program"],
    [["run", "--name", "a/b", "--", "sleep", "1"], "a/b"],
    [["run", "--instances", "0", "--", "sleep", "1"], "--instances"],
    [["run", "--instances", "many", "--", "sleep", "1"], "--instances"],
    [["run", "--pin", "--", "sleep", "1"], "--node"],
    [["run", "--env", "=x", "--", "sleep", "1"], "--env"],
    [["run", "--kind", "thing", "--", "sleep", "1"], "--kind"],
    [["run", "--nonsense", "--", "sleep", "1"], "--nonsense"],
    [["stop"], "NAME"],
    [["stop", "a", "b"], "too many"],
    [["events", "--since", "x"], "--since"],
    [["logs", "--lines", "-1", "x"], "--lines"],
    [["nonsense"], "nonsense"],
  ] as const)("wrong by the command line alone: 2: %j", async (argv, word) => {
    refused(await n1.cli(...argv), 2, word);
  });

  test("no daemon: 1", async () => {
    refused(await n1.run([cluster.place.binary, "status", "--data-dir", "/nowhere"]), 1, "no daemon answers");
  });

  test("--json: one document, or one a line", async () => {
    await n1.json("run", "--name", "lines", "--", "sleep", "1000");
    expect(await n1.json("stop", "lines")).toMatchObject({ ok: true, changed: true, revision: 2 });
    await n1.json("remove", "lines");
    const { stdout } = await n1.cli("events", "--json");
    const events = stdout.trimEnd().split("\n").map((line) => JSON.parse(line));
    expect(events.length).toBeGreaterThan(5);
  });
});

describe("events", () => {
  test("have the documented fields, the same on every node, numbered upwards", async () => {
    await n1.json("run", "--name", "seen", "--", "sleep", "1000");
    await waitFor("it is an event", async () => (await n1.events()).some(({ subject, kind }) => subject === "seen.0" && kind === "application.started"));
    const all = await waitFor("both nodes have the same", async () => {
      const [one, two] = (await Promise.all(cluster.nodes.map((node) => node.events()))) as [ArmorEvent[], ArmorEvent[]];
      // A node holds what happened since it joined.
      const known = new Set(two.map(({ seq }) => seq));
      return one.at(-1)!.seq === two.at(-1)!.seq && two.every((event) => one.some(({ seq, kind }) => seq === event.seq && kind === event.kind)) && known.size === two.length && one;
    });
    for (const event of all) {
      // Before the others: toMatchObject() writes its matchers into what it was given.
      expect(Math.abs(Date.now() - Date.parse(event.at))).toBeLessThan(600_000);
      expect(Math.floor(event.seq / 2 ** 32)).toBe(event.epoch as number);
      expect({ ...event }).toMatchObject({
        seq: expect.any(Number),
        at: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        boot: expect.any(String),
        atMs: expect.any(Number),
        epoch: expect.any(Number),
        kind: expect.stringMatching(/^[a-z]+\.[a-z-]+$/),
        subject: expect.any(String),
      });
    }
    const numbers = all.map(({ seq }) => seq);
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b));
    await n1.json("remove", "seen");
  }, 30_000);

  test("--since leaves out what was seen, --follow goes on", async () => {
    const { seq } = (await n1.events()).at(-1)!;
    const follower = other.follow("events", "--json", "--follow", "--since", String(seq));
    try {
      const { pid } = (await n1.status()).armors.find(({ role, node }) => role === "execution" && node === "n1")!;
      signal(pid!, "SIGKILL");
      const kinds = await waitFor("its recovery is told", () => {
        const lines = follower.text().split("\n").slice(0, -1).map((line) => JSON.parse(line) as ArmorEvent);
        return lines.some(({ kind }) => kind === "armor.recovered") && lines;
      });
      expect(kinds.every((event) => event.seq > seq)).toBe(true);
      expect(kinds.find(({ kind }) => kind === "armor.crashed")).toMatchObject({ subject: expect.stringMatching(/^execution@/), node: "n1", cause: "signal SIGKILL" });
      expect(kinds.find(({ kind }) => kind === "armor.recovered")!.durationMs).toBeGreaterThan(0);
    } finally {
      follower.child.kill("SIGKILL");
    }
    await cluster.settled();
  }, 30_000);
});

describe("changes while the FTM is gone", () => {
  test("a command finds the next FTM, or says that it is unknown whether it took effect; repeated, it is done", async () => {
    const { pid } = (await n1.status()).ftm!;
    signal(pid!, "SIGKILL");
    const first = await other.cli("run", "--name", "patient", "--", "sleep", "1000");
    if (first.status !== 0) refused(first, 1, /unknown|stale|repeat/);
    await cluster.settled();
    expect(await other.json("run", "--name", "patient", "--", "sleep", "1000")).toMatchObject({ ok: true });
    await waitFor("it runs once", async () => instances(await other.status(), "patient").filter(({ state }) => state === "running").length === 1);
    await other.json("remove", "patient");
  }, 40_000);

  test("one of two nodes is enough once the other has failed", async () => {
    const survivor = other;
    const lost = cluster.nodes.find((node) => node !== other)!;
    await lost.crash();
    await waitFor("the survivor leads", async () => {
      const status = await survivor.status();
      return !status.stale && status.ftm?.node === survivor.name && status.nodes.some(({ name, state }) => name === lost.name && state === "failed");
    }, 15_000);
    expect(await survivor.json("run", "--name", "alone", "--", "sleep", "1000")).toMatchObject({ ok: true, changed: true });
    await waitFor("it runs", async () => instances(await survivor.status(), "alone")[0]?.state === "running");
    await lost.start();
    await cluster.settled();
    expect((await lost.status()).applications.map(({ name }) => name)).toEqual(["alone"]);
    await survivor.json("remove", "alone");
  }, 60_000);
});
