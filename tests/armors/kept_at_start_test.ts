/** What an armor starts from is on its disk before it says anything. */
import { expect, test } from "bun:test";
import type { CheckpointStore } from "../../core/checkpoint_store.ts";
import { element } from "../../core/element.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { op } from "../../core/micro_operation.ts";
import { seededRandom } from "../../core/random.ts";
import { ArmorHost } from "../../armors/host/armor_host.ts";
import { SimCluster } from "../sim/sim_cluster.ts";

const talker = element({ name: "talker", version: 1, state: {}, handlers: { "say.now": (_state, thread) => void thread.send({ ops: [op("hear.now", "b")] }) } });

test("a snapshot of its generation is written once, and before its first step if that is not its start", () => {
  const done: string[] = [];
  const store = { writeSnapshot: () => void done.push("snapshot"), append: () => void done.push("commit"), bytes: 0 } as unknown as CheckpointStore;
  const kernel = new Microkernel({ armor: "a", generation: { epoch: 1, node: "n", counter: 2 }, elements: [talker], random: seededRandom(1) });
  const host = new ArmorHost(kernel, {
    store,
    durability: "process",
    send: ({ type }) => void done.push(type),
    command: () => {},
    work: () => Promise.resolve(null),
    log: () => {},
    clock: { nowMs: () => 0, after: () => () => {}, every: () => () => {} },
  });
  host.keep(true);
  host.local("say.now");
  host.start({}, true);
  expect(done).toEqual(["snapshot", "snapshot", "commit", "hello"]);
});

test("a daemon that finds no room for its new generation has said nothing in it", async () => {
  const trace: string[] = [];
  const cluster = new SimCluster({ seed: 5, nodes: 1, trace: (line) => trace.push(line) });
  const node = cluster.nodes[0]!;
  node.powerOn();
  await cluster.run(5_000);
  const { files, altered } = node.disk;
  const armor = `daemon@${node.id}`;
  // Damage in the middle of its log: it goes on in a new generation, if that can be written.
  const log = files.find(files.paths(`${armor}/`).filter((path) => path.endsWith(".cborseq")).at(-1)!)!;
  log.bytes[Math.floor(log.length / 2)]! ^= 1;
  altered.add(armor);
  Object.assign(files, { full: true, roomBytes: 0, ballastSteps: 0 });
  const before = trace.length;
  node.daemon!.process.signal("SIGKILL");
  await cluster.run(1_000);
  const lines = trace.slice(before).filter((line) => line.includes(` ${armor} `)).map((line) => line.split(" ")[3]);
  expect(lines).toContain("made");
  expect(lines.filter((word) => word !== "made" && word !== "died")).toEqual([]);
  expect(cluster.violation).toBeUndefined();
}, 30_000);
