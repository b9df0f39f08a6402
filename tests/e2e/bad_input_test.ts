/**
 * Bad input of every kind: each is refused with one clear line, or does no harm;
 * the daemon goes on, and so do the programs.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { createSocket } from "node:dgram";
import { chmodSync, copyFileSync, existsSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { hostileFolder } from "../runtime/binary.ts";
import { Cluster, freePort, instances, textOf } from "./cluster.ts";
import { type Ended, Node, type StartOptions, toItsEnd } from "./node.ts";
import { endNode, isLiving, livingPrograms, type ProcessRole, runningPids, signal } from "./processes.ts";
import { httpServer, skipping } from "./programs.ts";
import { waitFor } from "./wait.ts";

let cluster: Cluster;
let node: Node;
let url = "";
let program = 0;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 1 });
  node = cluster.nodes[0]!;
  const server = httpServer(cluster.folder("programs"));
  if (!server) return skipping("a program beside bad input", "cc or python3");
  const port = await freePort();
  url = `http://127.0.0.1:${port}/`;
  await node.json("run", "--name", "web", "--", ...server, String(port));
  program = await waitFor("it answers", async () => (await answer()) || undefined);
}, 60_000);

afterAll(async () => await cluster?.end(), 30_000);

async function answer(): Promise<number> {
  return Number((await cluster.get(url))?.text ?? 0);
}

/** The daemon answers at once, nothing has been replaced. */
async function unharmed(pids: number[]): Promise<void> {
  expect((await node.json("status"))["stale"]).toBe(false);
  if (url) expect(await answer()).toBe(program);
  expect(armors()).toEqual(pids);
}

function armors(): number[] {
  return (["guard", "daemon", "ftm", "execution"] as const).flatMap((role) => node.pids(role));
}

describe("a daemon that cannot start says why in one line, exit status 1", () => {
  let last = 1;
  let made: Node[] = [];
  afterEach(async () => {
    for (const one of made) await endNode(one.dataDir);
    made = [];
  });

  /** Another node on this machine, to be started in vain. */
  async function another(options: StartOptions & { address?: string; dataDir?: string } = {}): Promise<Ended & { node: Node }> {
    const one = new Node(cluster.place, ++last, options.address ?? `127.0.0.1:${await freePort()}`);
    if (options.dataDir !== undefined) Object.assign(one, { dataDir: options.dataDir });
    else made.push(one);
    const ended = await toItsEnd(one.spawn(options), 10_000);
    return { ...ended, stderr: textOf(one.output), node: one };
  }

  function refusal({ status, stderr }: Ended, ...words: string[]): void {
    expect(stderr).toMatch(/^armor: [^\n]+\n$/);
    expect(status).toBe(1);
    for (const word of words) expect(stderr).toContain(word);
  }

  test("another secret than the cluster's", async () => {
    const secretFile = join(cluster.place.folder, "wrong");
    await node.run([cluster.place.binary, "init", "--secret-file", secretFile]);
    const pids = armors();
    refusal(await another({ join: [node.address], secretFile }), "secret", node.address);
    await unharmed(pids);
    expect((await node.status()).nodes).toHaveLength(1);
  }, 20_000);

  test.each([
    ["missing", () => {}, "not"],
    ["empty", (path: string) => writeFileSync(path, "", { mode: 0o600 }), ""],
    ["of other bytes", (path: string) => writeFileSync(path, randomBytes(200), { mode: 0o600 }), ""],
    ["open to others", (path: string) => {
      copyFileSync(cluster.place.secretFile, path);
      chmodSync(path, 0o644);
    }, "chmod 600"],
    ["a folder", (path: string) => mkdirSync(path), ""],
  ])("a secret file that is %s", async (name, make, word) => {
    const secretFile = join(cluster.place.folder, `secret-${name.replaceAll(" ", "-")}`);
    make(secretFile);
    refusal(await another({ secretFile }), secretFile, word);
  }, 20_000);

  test("a port in use by TCP, by UDP, and by the node itself", async () => {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as { port: number };
    const byTcp = await another({ address: `127.0.0.1:${port}` });
    refusal(byTcp, String(port));
    await new Promise<void>((done) => server.close(() => done()));
    const socket = createSocket("udp4");
    await new Promise<void>((done) => socket.bind(0, "127.0.0.1", done));
    const byUdp = await another({ address: `127.0.0.1:${socket.address().port}` });
    refusal(byUdp, String(socket.address().port));
    // Neither has started a cluster: the next start may still join one.
    for (const one of [byTcp, byUdp]) expect(existsSync(join(one.node.dataDir, "identity.cbor"))).toBe(false);
    await new Promise<void>((done) => socket.close(done));
    const pids = armors();
    refusal(await another({ address: node.address }), node.address.split(":")[1]!);
    await unharmed(pids);
  }, 30_000);

  test("an address that is not this machine's", async () => {
    refusal(await another({ address: "192.0.2.1:7000" }), "192.0.2.1");
  }, 20_000);

  test("a data dir that a node runs on already", async () => {
    const pids = armors();
    refusal(await another({ dataDir: node.dataDir }), node.dataDir);
    await unharmed(pids);
  }, 20_000);

  test("a data dir that cannot be made, that is a file, that is somebody else's, that is of another node", async () => {
    refusal(await another({ dataDir: "/proc/armor-data" }), "/proc/armor-data");
    const file = join(cluster.place.folder, "file");
    writeFileSync(file, "");
    refusal(await another({ dataDir: file }), file);
    refusal(await another({ dataDir: join(file, "below") }), file);
    const open = cluster.folder("open");
    chmodSync(open, 0o755);
    writeFileSync(join(open, "precious"), "text");
    refusal(await another({ dataDir: open }), open);
    expect(statSync(open).mode & 0o777).toBe(0o755);
    if (process.geteuid?.() === 0) {
      const { spawnSync } = await import("node:child_process");
      const theirs = cluster.folder("theirs");
      spawnSync("chown", ["65534", theirs]);
      refusal(await another({ dataDir: theirs }), theirs, "65534");
    } else skipping("a data dir of another user", "root");
  }, 30_000);

  test("a damaged identity: nothing is overwritten, and no second cluster is founded", async () => {
    const dataDir = cluster.folder("damaged");
    chmodSync(dataDir, 0o700);
    const path = join(dataDir, "identity.cbor");
    const bytes = randomBytes(60);
    writeFileSync(path, bytes);
    refusal(await another({ dataDir }), "identity.cbor");
    expect(readFileSync(path)).toEqual(bytes);
  }, 20_000);

  test("a role that only daemons start, while its armor runs", async () => {
    const pids = armors();
    for (const role of ["execution", "ftm", "heartbeat"]) {
      const ended = await node.run([cluster.place.binary, "--role", role, "--data-dir", node.dataDir]);
      refusal(ended, role);
    }
    await unharmed(pids);
  }, 20_000);
});

describe("random bytes", () => {
  test("to the UDP port", async () => {
    const pids = armors();
    const [host, port] = node.address.split(":") as [string, string];
    const socket = createSocket("udp4");
    for (let count = 0; count < 3_000; count++) {
      socket.send(randomBytes(1 + (count % 1_400)), Number(port), host);
      if (count % 100 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await new Promise<void>((done) => socket.close(done));
    await unharmed(pids);
  }, 20_000);

  test("to the TCP port: nonsense, plain HTTP, connections that say nothing", async () => {
    const pids = armors();
    const [host, port] = node.address.split(":") as [string, string];
    const texts = [randomBytes(20_000), Buffer.from("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n"), Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), Buffer.from([0x16, 3, 1, 2, 0, ...randomBytes(508)])];
    const sockets = Array.from({ length: 100 }, (_, index) => {
      const socket = createConnection({ host, port: Number(port) });
      socket.on("error", () => {}).on("data", (data) => {
        expect(data.toString("latin1")).not.toContain("cluster");
      });
      const text = texts[index % (texts.length + 1)];
      if (text) socket.write(text);
      return socket;
    });
    await unharmed(pids);
    // Who says nothing is not kept for ever, and meanwhile keeps nobody away.
    const remote = ["--address", node.address, "--secret-file", cluster.place.secretFile];
    expect(await node.cli("status", ...remote)).toMatchObject({ status: 0 });
    for (const socket of sockets) socket.destroy();
    await unharmed(pids);
  }, 20_000);

  test("to the daemon's Unix socket", async () => {
    const pids = armors();
    const socket = createConnection(join(node.dataDir, "run", "daemon.sock"));
    socket.on("error", () => {});
    socket.write(randomBytes(50_000));
    await unharmed(pids);
    socket.destroy();
    await unharmed(pids);
  }, 20_000);
});

describe("a damaged checkpoint", () => {
  /** Checkpoint files of a role, the newest last. */
  function files(role: ProcessRole, extension: "cbor" | "cborseq"): string[] {
    return globSync(`${node.dataDir}/armors/${role}*/*.${extension}`).sort();
  }

  /** Kill every armor, damage, start again; the program must have been adopted. */
  async function damaged(damage: () => void): Promise<void> {
    node.killArmor();
    damage();
    await node.start();
    await cluster.settled();
    // Restored as it was for a moment: its end is among what was lost.
    if ((await node.status()).applications.some(({ name }) => name === "more")) await node.json("remove", "more");
    await waitFor("one program runs", () => livingPrograms(node.dataDir).length === 1);
    const [web] = instances(await node.status(), "web");
    expect(web?.pid).toBe(program);
    expect(await answer()).toBe(program);
    expect(runningPids(node.dataDir)).toEqual([program]);
    expect(livingPrograms(node.dataDir)).toHaveLength(1);
  }

  async function newDamageEvents(before: number): Promise<string[]> {
    return (await node.events()).slice(before).filter(({ kind }) => kind === "checkpoint.damaged").map(({ subject }) => subject);
  }

  const overwrite = (path: string, from: number, length: number): void => {
    const bytes = readFileSync(path);
    randomBytes(length).copy(bytes, from);
    writeFileSync(path, bytes);
  };

  /** Write some commits. @returns Bytes of a role's newest log before them, when `web` was in it. */
  async function moreCommits(role: ProcessRole): Promise<number> {
    const { size } = statSync(files(role, "cborseq").at(-1)!);
    await node.json("run", "--name", "more", "--", "sleep", "1000");
    await waitFor("it runs", async () => instances(await node.status(), "more")[0]?.pid);
    await node.json("remove", "more");
    await waitFor("it has ended", () => livingPrograms(node.dataDir).length === 1);
    return size;
  }

  describe.each(["daemon", "execution"] as const)("of the %s armor", (role) => {
    test("a torn end is cut without a word", async () => {
      if (!url) return;
      const before = (await node.events()).length;
      await damaged(() => {
        // A record of 100 bytes of which 3 were written.
        writeFileSync(files(role, "cborseq").at(-1)!, Uint8Array.of(0x82, 0x1a, 1, 2, 3, 4, 0x5a, 0, 0, 0, 100, 1, 2, 3), { flag: "a" });
      });
      expect(await newDamageEvents(before)).toEqual([]);
    }, 30_000);

    test("random bytes at the end do no harm", async () => {
      if (!url) return;
      await damaged(() => writeFileSync(files(role, "cborseq").at(-1)!, randomBytes(500), { flag: "a" }));
    }, 30_000);

    test("random bytes in the middle: what was before them is restored, an event names the armor", async () => {
      if (!url) return;
      const size = await moreCommits(role);
      const before = (await node.events()).length;
      await damaged(() => {
        const path = files(role, "cborseq").at(-1)!;
        overwrite(path, Math.floor(size + (statSync(path).size - size) / 2), 8);
      });
      const subjects = await waitFor("there is an event", async () => {
        const found = await newDamageEvents(before);
        return found.length > 0 && found;
      });
      expect(subjects[0]).toStartWith(`${role}@`);
      // It commits again, behind a new snapshot.
      await moreCommits(role);
      await damaged(() => {});
    }, 60_000);
  });

  test("of the execution armor, none of it readable: the program is adopted by its launch record", async () => {
    if (!url) return;
    const before = (await node.events()).length;
    await damaged(() => {
      for (const path of [...files("execution", "cbor"), ...files("execution", "cborseq")]) writeFileSync(path, randomBytes(300));
    });
    await waitFor("there is an event", async () => (await newDamageEvents(before)).some((subject) => subject.startsWith("execution@")));
    expect(files("execution", "cbor").length).toBeGreaterThan(0);
  }, 40_000);

  test("of the execution armor, all of it gone: the program is adopted by its launch record", async () => {
    if (!url) return;
    await damaged(() => {
      for (const path of [...files("execution", "cbor"), ...files("execution", "cborseq")]) rmSync(path);
    });
  }, 40_000);

  test("of the execution armor, after restarts: the program is adopted under its last number", async () => {
    if (!url) return;
    for (let count = 0; count < 3; count++) {
      signal(program, "SIGKILL");
      program = await waitFor("another answers", async () => {
        const pid = await answer();
        return pid !== 0 && pid !== program && pid;
      });
    }
    await waitFor("it is reported", async () => instances(await node.status(), "web")[0]?.pid === program);
    await damaged(() => {
      for (const path of [...files("execution", "cbor"), ...files("execution", "cborseq")]) writeFileSync(path, randomBytes(300));
    });
  }, 40_000);

  test("armor checkpoint says so in one line", async () => {
    const path = join(cluster.place.folder, "random.cbor");
    writeFileSync(path, randomBytes(300));
    const ended = await node.run([cluster.place.binary, "checkpoint", path]);
    expect(ended.status).toBe(1);
    expect(ended.stderr).toMatch(/^armor: [^\n]+\n$/);
    expect(ended.stderr).toContain(path);
  });
});

describe("a hostile current folder", () => {
  test("changes nothing about a daemon started there, nor about its armors", async () => {
    const folder = hostileFolder();
    try {
      node.killArmor();
      await node.start({ cwd: folder.path });
      await cluster.settled();
      const ended = await node.run([cluster.place.binary, "status", "--data-dir", node.dataDir], { cwd: folder.path });
      expect(ended).toMatchObject({ status: 0, stderr: "" });
      expect(ended.stdout).not.toContain("HOSTILE");
      for (const pid of armors()) {
        expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toContain("HOSTILE");
        expect(isLiving(pid)).toBe(true);
      }
      if (url) expect(await answer()).toBe(program);
    } finally {
      folder.remove();
    }
  }, 30_000);
});

describe("every checkpoint of the daemon is random bytes", () => {
  // On one node nobody else knows the application table: it is lost. Everything else goes on.
  test("it says so, starts, serves, and takes applications again", async () => {
    const before = (await node.events()).length;
    node.killArmor();
    for (const path of globSync(`${node.dataDir}/armors/daemon*/*.cbor*`)) writeFileSync(path, randomBytes(300));
    await node.start();
    await cluster.settled();
    await waitFor("there is an event", async () =>
      (await node.events()).slice(before).some(({ kind, subject }) => kind === "checkpoint.damaged" && subject.startsWith("daemon@")));
    await node.json("run", "--name", "anew", "--", "sleep", "1000");
    await waitFor("it runs", async () => instances(await node.status(), "anew")[0]?.pid);
  }, 40_000);
});
