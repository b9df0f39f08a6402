/** Two armors of one's own that send numbered messages while they and all others crash, and whose element is replaced meanwhile. */
import { expect, test } from "bun:test";
import { type Ask, OwnPair } from "./own_pair.ts";
import { SimCluster } from "./sim_cluster.ts";

test("each message of one's own armors counts once, whatever crashes, while their element is replaced", async () => {
  const cluster = new SimCluster({ seed: 5, nodes: 2 });
  for (const node of cluster.nodes) node.powerOn();
  await cluster.run(5_000);
  const done = new Map<string, number>();
  const ask: Ask = (operation, args, answered) => {
    const daemon = cluster.nodes.map((node) => node.daemon).find((one) => one?.process.alive);
    if (!daemon) return void cluster.clock.at(cluster.clock.nowMs + 500, () => answered(undefined));
    let over = false;
    const settle: typeof answered = (answer) => {
      if (over) return;
      over = true;
      if (answer?.ok) done.set(operation, (done.get(operation) ?? 0) + 1);
      answered(answer);
    };
    cluster.clock.at(cluster.clock.nowMs + 8_000, () => settle(undefined));
    daemon.operate(operation, args, settle);
  };
  const pair = new OwnPair(cluster, ask);
  pair.start();
  for (let second = 0; second < 25; second++) {
    await cluster.run(1_000);
    const victims = ["own", "own", "daemon", "ftm", "execution"].flatMap((role) => cluster.processes(role));
    victims[cluster.plan.below(victims.length)]?.process.signal("SIGKILL");
  }
  pair.end();
  for (let waited = 0; waited < 20_000 && pair.problems().length > 0; waited += 200) await cluster.run(200);
  await cluster.run(8_000);
  expect(pair.problems()).toEqual([]);
  expect(cluster.violation).toBeUndefined();
  for (const operation of ["own.install", "armor.send", "elements.change"]) expect([operation, done.has(operation)]).toEqual([operation, true]);
}, 60_000);

test("what one of two nodes says alone, that nothing has to be installed, may be over for the other", async () => {
  const problems = async (alone: boolean): Promise<string[]> => {
    const cluster = new SimCluster({ seed: 5, nodes: 2 });
    const pair: OwnPair = new OwnPair(cluster, (operation, args, answered) => {
      if (operation === "own.install") answered({ ok: true, changed: false, id: `id-${String(args["name"])}` }, alone);
      else pair.end();
    });
    pair.start();
    await cluster.run(20_000);
    return pair.problems();
  };
  expect(await problems(false)).toEqual(["ping runs 0 times", "pong runs 0 times"]);
  expect(await problems(true)).toEqual([]);
});
