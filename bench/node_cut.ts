/**
 * A node cut off: three hosts in network namespaces, the link of one pulled.
 *
 * @module
 */
import { missingForNamespaces } from "../tests/e2e/network.ts";
import { instances } from "../tests/e2e/cluster.ts";
import { type Cluster, type Measurement, Missing, NodeSession, note, pause, type Row, serverProgram, withCluster } from "./harness.ts";

const rounds = 5;
const port = 8_080;
const withinMs = 15_000;

export const measure: Measurement = async () => {
  const missing = missingForNamespaces();
  if (missing !== undefined) throw new Missing(missing);
  return await withCluster({ nodes: 3, namespaces: true }, async (cluster) => {
    const { status, stderr } = await cluster.nodes[0]!.cli("run", "--name", "web", "--", ...serverProgram(cluster), String(port));
    if (status !== 0) throw new Error(stderr);
    const [moved, elected]: [number[], number[]] = [[], []];
    for (let round = 0; round < rounds; round++) {
      note(`application's node cut, round ${round + 1}`);
      moved.push(await cutApplication(cluster));
      note(`FTM's node cut, round ${round + 1}`);
      elected.push(await cutFtm(cluster));
    }
    const method = "three hosts in network namespaces on a bridge; the bridge's port of one host is set down";
    const rows: Row[] = [
      {
        what: "node cut off → its application answers on another node",
        method: `${method}; a client on the bridge asks the other hosts every 2 ms (the FTM is not on the cut node)`,
        target: { text: "≤ 3 s", max: 3_000, of: "max" },
        unit: "ms",
        values: moved,
        peers: "Erlang net_ticktime 1 s 0.95, etcd leader 1.4, keepalived 3.2, JetStream 5.8, Pacemaker 8.6 s; Serf sees it at 5–6.5 s",
      },
      {
        what: "FTM's node cut off → new FTM serves `status`",
        method: `${method}; another node's daemon is asked every 2 ms until its status is not stale and names the new FTM`,
        target: { text: "≤ 3 s", max: 3_000, of: "max" },
        unit: "ms",
        values: elected,
        peers: "etcd leader 1.4 s",
      },
    ];
    return rows;
  });
};

/** Everything as wanted, and the application on a node that has neither FTM nor heartbeat armor, if that can be had. */
async function rested(cluster: Cluster) {
  const status = await cluster.settled();
  await pause(1_500);
  return { ftm: status.ftm!.node, application: instances(await cluster.settled(), "web")[0]! };
}

async function cutApplication(cluster: Cluster): Promise<number> {
  let { ftm, application } = await rested(cluster);
  if (application.node === ftm) {
    // Both on one node: move the FTM away by ending it where it is cut.
    await cutFtm(cluster);
    ({ ftm, application } = await rested(cluster));
  }
  const node = cluster.node(application.node!);
  const others = cluster.nodes.filter((one) => one !== node);
  const startMs = performance.now();
  cluster.network!.setLink(node.number, "down");
  try {
    for (; performance.now() - startMs < withinMs; await pause(2)) {
      const answers = await Promise.all(others.map((other) => cluster.get(`http://${cluster.network!.address(other.number)}:${port}/`)));
      if (answers.some((answer) => answer?.status === 200)) return performance.now() - startMs;
    }
    throw new Error(`the application did not answer elsewhere within ${withinMs / 1_000} s`);
  } finally {
    cluster.network!.setLink(node.number, "up");
  }
}

async function cutFtm(cluster: Cluster): Promise<number> {
  const { ftm } = await rested(cluster);
  const node = cluster.node(ftm);
  const sessions = cluster.nodes.filter((one) => one !== node).map(({ dataDir }) => new NodeSession(dataDir));
  for (const session of sessions) await session.status();
  const startMs = performance.now();
  cluster.network!.setLink(node.number, "down");
  try {
    for (; performance.now() - startMs < withinMs; await pause(2)) {
      for (const session of sessions) {
        const status = await session.status();
        if (status && !status.stale && status.ftm?.node !== ftm && status.ftm?.state === "running") return performance.now() - startMs;
      }
    }
    throw new Error(`no new FTM within ${withinMs / 1_000} s`);
  } finally {
    cluster.network!.setLink(node.number, "up");
    for (const session of sessions) session.close();
  }
}
