/**
 * Armors of one's own on two nodes: installed, watched, recovered, changed while
 * they run, removed; messages between them take effect exactly once whatever is
 * killed. Real processes. time limit: 240 s
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../build/tools.mjs";
import { Cluster } from "./cluster.ts";
import { CounterPair, example, sumOf } from "./counter_pair.ts";
import type { Node } from "./node.ts";
import { armorProcesses, signal } from "./processes.ts";
import { waitFor } from "./wait.ts";

let cluster: Cluster;
let pair: CounterPair;
let n1: Node;
let n2: Node;

beforeAll(async () => {
  cluster = await Cluster.start({ nodes: 2, flags: ["--allow-elements"] });
  [n1, n2] = cluster.nodes as [Node, Node];
  pair = await CounterPair.install(cluster, 1);
}, 60_000);
afterAll(async () => await cluster?.end(), 30_000);

const file = (name: string, text: string): string => {
  const path = join(cluster.folder("elements"), name);
  writeFileSync(path, text);
  return path;
};
const greeter = (version: number, rest = ""): string =>
  `export default (sdk) => sdk.element({ name: "greeter", version: ${version}, state: { greeted: 0 },
    handlers: { "greet.me": (state, thread) => { thread.payload.text = "hello ${version}, " + thread.payload.who; return { ...state, greeted: state.greeted + 1 }; },
      "greet.count": (state, thread) => { thread.payload.greeted = state.greeted; } }, ${rest} });`;

test("status shows them with name, id, role, node and elements", async () => {
  const [ping, pong] = [(await pair.armor("ping"))!, (await pair.armor("pong"))!];
  expect([ping.role, ping.node, pong.node, pong.id]).toEqual(["own", "n1", "n2", pair.pongId]);
  expect(ping.elements!.map(({ name }) => name)).toEqual(["messaging", "heartbeat_reply", "checkpointing", "reconfiguration", "self_audit", "counter"]);
  expect((await n2.cli("status")).stdout).toContain(`ping (${ping.id})`);
});

test("the same installation again changes nothing; another under the name is refused", async () => {
  const again = await n2.json("install", "--name", "pong", "--elements", example, "--node", "n2");
  expect([again["changed"], again["id"]]).toEqual([false, pair.pongId]);
  const other = await n1.cli("install", "--name", "pong", "--elements", file("g.ts", greeter(1)));
  expect([other.status, other.stderr]).toEqual([1, 'armor: armor "pong" exists with other elements: "armor element replace" changes them, "armor remove pong" ends it\n']);
});

describe("bad input changes nothing", () => {
  const cases: [string, (greeterFile: string) => string[], number, RegExp][] = [
    ["a file that is not there", () => ["install", "--name", "x", "--elements", "/nowhere.ts"], 2, /it cannot be read: ENOENT$/],
    ["an unknown node", (path) => ["install", "--name", "x", "--elements", path, "--node", "n9"], 1, /there is no node "n9": known are n1, n2$/],
    ["an unknown armor", (path) => ["element", "add", "nobody", "greeter", "--elements", path], 1, /there is no armor "nobody": see "armor status"$/],
    ["an element the file does not make", (path) => ["element", "add", "ping", "other", "--elements", path], 2, /it makes no element "other", but "greeter"$/],
    ["a replacement for nothing", (path) => ["element", "replace", "ping", "greeter", "--elements", path], 1, /there is no element "greeter"$/],
    ["an op that nobody takes", () => ["send", "ping", "no.such"], 1, /no element of ".*" handles "no.such"$/],
    ["an op that refuses", () => ["send", "ping", "pair.start", "{}"], 1, /pair.start needs a peer and a number of messages$/],
    ["a payload that is no object", () => ["send", "ping", "pair.read", "[1]"], 2, /is not an object/],
    ["a message to nobody", () => ["send", "nobody", "pair.read"], 1, /there is no armor "nobody"/],
    ["a basic element", () => ["element", "remove", "ping", "messaging"], 1, /one of the basic five/],
    ["an element that came with the armor", () => ["element", "remove", "daemon@n1", "gateway"], 1, /came with the armor/],
    ["the name of an armor for an application", () => ["run", "--name", "ping", "--", "sleep", "1"], 1, /is the name of an armor/],
    ["an armor that is to be stopped", () => ["stop", "ping"], 1, /is an armor, not an application$/],
  ];
  for (const [what, argv, status, text] of cases) {
    test(what, async () => {
      const before = (await pair.armor("ping"))!;
      const ended = await n1.cli(...argv(file("g.ts", greeter(1))));
      expect([ended.status, ended.stdout]).toEqual([status, ""]);
      expect(ended.stderr.trimEnd()).toMatch(text);
      expect((await pair.armor("ping"))!).toEqual(before);
    });
  }
});

test("killed and hung, they are recovered with their state", async () => {
  await pair.start(50);
  await pair.finished(50, 10_000);
  for (const name of ["SIGKILL", "SIGSTOP"] as const) {
    const { pid } = (await pair.armor("pong"))!;
    signal(pid!, name);
    await waitFor(`pong is recovered from ${name}`, async () => {
      const now = await pair.armor("pong");
      return now?.state === "running" && now.pid !== pid && now.pid !== null;
    }, 10_000);
    expect(await pair.read("pong")).toMatchObject({ received: 50, sum: sumOf(50) });
  }
}, 30_000);

describe("elements of a running armor", () => {
  test("are added, replaced with their state migrated, and removed", async () => {
    const said: unknown[] = [];
    const change = async (verb: string, ...rest: string[]): Promise<void> => {
      const ended = await n2.cli("element", verb, "ping", "greeter", ...rest);
      said.push(ended.stdout.trim() || ended.stderr.trim());
    };
    const greet = async (): Promise<void> => void said.push((await n1.json("send", "ping", "greet.me", '{"who":"you"}'))["text"]);
    await change("add", "--elements", file("g1.ts", greeter(1)));
    await greet();
    await change("replace", "--elements", file("g2.ts", greeter(2)));
    await change("replace", "--elements", file("g3.ts", greeter(3, "migrate: (old, from) => ({ greeted: old.greeted + 100 * from })")));
    await greet();
    said.push((await n1.json("send", "ping", "greet.count"))["greeted"]);
    await change("remove");
    await change("remove");
    expect(said).toEqual([
      'element "greeter" added to "ping", version 1',
      "hello 1, you",
      'armor: element "greeter" has no migrate: version 2 cannot take the state of version 1',
      'element "greeter" replaced in "ping", version 3',
      "hello 3, you",
      102,
      'element "greeter" removed from "ping"',
      'nothing changed: element "greeter" of "ping" is so already',
    ]);
  }, 20_000);

  test("stay through crashes of the armor, also in built-in armors: daemon, execution armor, heartbeat armor and FTM", async () => {
    const path = file("g1.ts", greeter(1));
    for (const armor of ["ping", "daemon@n2", "execution@n2", "heartbeat", "ftm"]) {
      const added = await n1.cli("element", "add", armor, "greeter", "--elements", path);
      expect([armor, added.stderr, added.status]).toEqual([armor, "", 0]);
      const id = (await pair.armor("ping"))!.id;
      const find = async () => (await n1.status(2_000)).armors.find((one) => one.id === (armor === "ping" ? id : armor) || (armor.endsWith("@n2") && one.node === "n2" && one.role === armor.split("@")[0]))!;
      const { pid } = await find();
      signal(pid!, "SIGKILL");
      await waitFor(`${armor} is back`, async () => (await find()).pid !== pid && (await find()).state === "running", 15_000, 50);
      const said = await waitFor(`${armor} answers`, async () => (await n1.json("send", armor, "greet.me", '{"who":"you"}'))["text"] as string, 15_000, 100);
      expect([armor, said]).toEqual([armor, "hello 1, you"]);
      await waitFor(`status shows the element of ${armor}`, async () => (await find()).elements!.some(({ name }) => name === "greeter"), 5_000, 50);
    }
    await cluster.settled();
  }, 90_000);
});

test("a detector of one's own makes a daemon give up an armor sooner", async () => {
  const reportsOfHang = async (): Promise<readonly string[]> => {
    const { pid, id } = (await pair.armor("pong"))!;
    const before = (await n1.events()).at(-1)!.seq;
    signal(pid!, "SIGSTOP");
    return await waitFor("it is found hung", async () => {
      const kinds = (await n1.events()).filter(({ seq, subject }) => seq > before && subject === id).map(({ kind }) => kind);
      const end = kinds.indexOf("armor.hung");
      return end >= 0 && kinds.slice(0, end + 1);
    }, 15_000, 50);
  };
  expect(await reportsOfHang()).not.toContain("armor.given-up");
  await pair.read("pong");
  await n1.json("element", "add", "daemon@n2", "impatience", "--elements", join(root, "examples", "impatient_detector.ts"));
  await n1.json("send", "daemon@n2", "impatience.with", JSON.stringify({ armor: pair.pongId }));
  expect((await reportsOfHang()).slice(-2)).toEqual(["armor.given-up", "armor.hung"]);
  await pair.read("pong");
  await n1.json("element", "remove", "daemon@n2", "impatience");
}, 40_000);

/** So many messages more, again and again until enough has been killed meanwhile. */
async function load(messages: number, killed: () => number): Promise<void> {
  do {
    const { sent } = await pair.read("ping");
    await waitFor("it starts", async () => await pair.start(messages).then(() => true), 20_000, 200);
    await waitFor("most is sent", async () => (await pair.read("pong")).received > sent + messages * 0.9, 60_000, 300);
  } while (killed() < 3);
}

test("1,000 messages between two nodes take effect exactly once while armors are killed at random", async () => {
  const { sent } = await pair.read("ping");
  await pair.underFire(["own", "ftm", "heartbeat", "execution", "daemon"], 250, 6, async (killed) => await load(1_000, killed));
  const { ping, pong } = await pair.finished(sent + 1_000, 30_000);
  // A start that was answered by silence may have been counted twice; what was sent came once in any case.
  expect(pong).toMatchObject({ received: ping.sent, sum: sumOf(ping.sent) });
}, 120_000);

test("live replacements under load, with processes killed at random, lose and double nothing", async () => {
  const { sent } = await pair.read("ping");
  await pair.underFire(["own"], 700, 6, async (killed) => {
    const loading = load(1_000, killed);
    await pair.replace(12);
    await loading;
  });
  const { ping, pong } = await pair.finished(sent + 1_000, 30_000);
  expect(pong).toMatchObject({ received: ping.sent, sum: sumOf(ping.sent) });
  expect((await pair.armor("pong"))!.elements!.find(({ name }) => name === "counter")!.version).toBe(2 + (11 % 5));
}, 120_000);

test("when its node is lost, an armor begins anew on another, with the elements it had last", async () => {
  const { generation } = (await pair.armor("pong"))!;
  await n2.crash();
  const pong = await waitFor("pong runs on n1", async () => {
    const now = await pair.armor("pong");
    return now?.node === "n1" && now.state === "running" && now.elements!.some(({ name }) => name === "counter") && now;
  }, 20_000, 100);
  expect([pong.id, pong.elements!.find(({ name }) => name === "counter")!.version]).toEqual([pair.pongId, 2 + (11 % 5)]);
  expect(pong.generation).not.toBe(generation);
  const rewound = await waitFor("it is told", async () => (await n1.events()).find(({ kind, subject, name }) => kind === "armor.rewound" && subject === pair.pongId && name !== undefined), 10_000, 50);
  expect(rewound["name"]).toBe("pong");
  expect(await pair.read("pong")).toMatchObject({ received: 0 });
  // The node returns without the permission: nothing is placed there, and the old copy ends.
  await n2.start();
  await cluster.settled();
  await waitFor("the old copy ends", () => armorProcesses(n2.dataDir).every(({ role }) => role !== "own"), 10_000, 50);
  const refused = await n1.cli("install", "--name", "third", "--elements", example, "--node", "n2");
  expect([refused.status, refused.stderr]).toEqual([1, 'armor: node "n2" takes no elements by message: start its daemon with --allow-elements\n']);
  const added = await n1.cli("element", "add", "daemon@n2", "greeter2", "--elements", file("g9.ts", greeter(1).replace('"greeter"', '"greeter2"')));
  expect([added.status, added.stderr]).toEqual([1, 'armor: element "greeter2" cannot be loaded: its node takes no elements by message: start that node\'s daemon with --allow-elements\n']);
}, 60_000);

test("a removed armor ends, leaves nothing, and its id is not used again", async () => {
  const removed = await n1.cli("remove", "pong");
  expect([removed.status, removed.stdout]).toEqual([0, 'armor "pong" will be removed\n']);
  await waitFor("it is gone", async () => (await pair.armor("pong")) === undefined, 10_000, 50);
  await waitFor("its process is gone", () => armorProcesses(n1.dataDir).filter(({ role }) => role === "own").length === 1, 5_000);
  await waitFor("it is reported", async () => (await n1.events()).some(({ kind, subject }) => kind === "armor.removed" && subject === pair.pongId), 5_000, 50);
  const { id } = await n1.json<{ id: string }>("install", "--name", "pong", "--elements", example);
  expect(id).not.toBe(pair.pongId);
  await waitFor("the new one answers", async () => ((await n1.json("send", "pong", "pair.read"))["received"] === 0), 10_000, 100);
}, 40_000);
