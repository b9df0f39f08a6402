/** After a loss of power the end of an unsynced log may be gone: also for an armor that died before it had begun anew. */
import { expect, test } from "bun:test";
import { limits } from "../../core/limits.ts";
import { SimCluster } from "../sim/sim_cluster.ts";

/** Lives of an execution armor that dies as soon as this is said in its first life after a loss of power. */
async function lives(moment: RegExp): Promise<string[]> {
  const made: string[] = [];
  let killed = false;
  const cluster = new SimCluster({
    seed: 5,
    nodes: 1,
    trace: (line) => {
      const [, counter, follows] = / execution@\S+ made \S+\.(\d+) (\S+)/.exec(line) ?? [];
      if (counter) made.push(`${counter} ${follows === "true" ? "goes on" : "anew"}`);
      if (made.length !== 2 || killed || !moment.test(line)) return;
      killed = true;
      queueMicrotask(() => cluster.processes("execution")[0]!.process.signal("SIGKILL"));
    },
  });
  const node = cluster.nodes[0]!;
  node.powerOn();
  await cluster.run(40_000);
  node.powerOff();
  await cluster.run(1_000);
  node.powerOn();
  await cluster.run(10_000);
  expect(cluster.violation).toBeUndefined();
  return made;
}

/** Of its first placement. */
const first = limits.generationsPerPlacement;

test("an armor that dies before it has begun after a loss of power takes a new generation in its next life too", async () => {
  expect(await lives(/ execution@\S+ made /)).toEqual([`${first} anew`, `${first + 1} goes on`, `${first + 1} goes on`]);
});

test("one that has registered under its new generation, and no more, goes on in its next life", async () => {
  expect(await lives(/ local armor\.registered /)).toEqual([`${first} anew`, `${first + 1} goes on`, `${first + 1} goes on`]);
});
