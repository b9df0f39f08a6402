/** Nodes that leave by `armor down` one after the other, and return in another order, without any fault. */
import { expect, test } from "bun:test";
import { problemsOf } from "./convergence.ts";
import { SimCluster } from "./sim_cluster.ts";
import { Workload } from "./workload.ts";

for (const nodes of [1, 2, 3]) {
  test(`${nodes === 1 ? "the only node leaves and returns" : `all of ${nodes} nodes leave, and return`}`, async () => {
    const cluster = new SimCluster({ seed: 5, nodes });
    const workload = new Workload(cluster);
    const untilRight = async (): Promise<void> => {
      for (let waited = 0; waited < 30_000 && problemsOf(cluster, workload).length > 0; waited += 200) await cluster.run(200);
      expect(problemsOf(cluster, workload)).toEqual([]);
    };
    for (const node of cluster.nodes) node.powerOn();
    await cluster.run(3_000);
    await untilRight();
    for (const node of [...cluster.nodes].reverse()) {
      node.daemon!.operate("node.down", {}, () => {});
      for (let waited = 0; waited < 20_000 && node.machine.all().length > 0; waited += 200) await cluster.run(200);
      expect(node.machine.all().map(({ role }) => role)).toEqual([]);
    }
    for (const [index, node] of cluster.nodes.entries()) {
      node.startGuard();
      // The first alone is the cluster; those that are still away have left.
      await cluster.run(index === 0 ? 8_000 : 2_000);
    }
    await untilRight();
    expect(cluster.violation).toBeUndefined();
  }, 30_000);
}

test("a node leaves while another is away as planned: it has left when that one is back, and ends", async () => {
  const cluster = new SimCluster({ seed: 5, nodes: 3 });
  const workload = new Workload(cluster);
  for (const node of cluster.nodes) node.powerOn();
  await cluster.run(5_000);
  expect(problemsOf(cluster, workload)).toEqual([]);
  const [, away, leaving] = cluster.nodes;
  away!.managed = false;
  away!.guardLock!.signal("SIGTERM");
  await cluster.run(2_000);
  leaving!.daemon!.operate("node.down", {}, () => {});
  // "left" would be stored on one of two.
  await cluster.run(12_000);
  expect(leaving!.machine.all("daemon").length).toBe(1);
  away!.managed = true;
  away!.startGuard();
  await cluster.run(8_000);
  expect(problemsOf(cluster, workload)).toEqual([]);
  expect(leaving!.machine.all().map(({ role }) => role)).toEqual([]);
  expect(cluster.violation).toBeUndefined();
}, 30_000);

test("the last node that lives leaves, and the other has lost its disk: it leads when it is started again, and the other joins anew", async () => {
  const cluster = new SimCluster({ seed: 5, nodes: 2 });
  const workload = new Workload(cluster);
  for (const node of cluster.nodes) node.powerOn();
  await cluster.run(5_000);
  expect(problemsOf(cluster, workload)).toEqual([]);
  const [lost, last] = cluster.nodes;
  lost!.powerOff();
  lost!.loseData([last!.address]);
  await cluster.run(8_000);
  last!.daemon!.operate("node.down", {}, () => {});
  for (let waited = 0; waited < 20_000 && last!.machine.all().length > 0; waited += 200) await cluster.run(200);
  expect(last!.machine.all().map(({ role }) => role)).toEqual([]);
  last!.startGuard();
  // It was taken out, and first looks for those that may have gone on.
  await cluster.run(14_000);
  expect(last!.machine.all("ftm").length).toBe(1);
  lost!.powerOn();
  await cluster.run(8_000);
  expect(problemsOf(cluster, workload)).toEqual([]);
  expect(cluster.violation).toBeUndefined();
}, 30_000);
