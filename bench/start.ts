/**
 * Starting: `--role daemon` until its status answers, and `--version`.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { cleanEnvironment } from "../armors/environment.ts";
import { Cluster, type Measurement, type Node, NodeSession, note, pause } from "./harness.ts";

const starts = 10;
const versions = 30;

export const measure: Measurement = async () => {
  const cluster = await Cluster.make({ nodes: 1 });
  try {
    const node = cluster.nodes[0]!;
    note("--role daemon on an empty data dir");
    const fresh: number[] = [];
    const again: number[] = [];
    for (let round = 0; round < starts; round++) {
      await node.crash();
      rmSync(node.dataDir, { recursive: true, force: true });
      await pause(300);
      fresh.push(await untilStatus(node));
      await node.isReady().catch(() => {});
      await pause(700);
      await node.crash();
      again.push(await untilStatus(node));
      await pause(300);
    }
    note("--version");
    const version: number[] = [];
    for (let round = 0; round < versions; round++) version.push(await runTime([cluster.place.binary, "--version"]));
    const floor: number[] = [];
    for (let round = 0; round < versions; round++) floor.push(await runTime(["/bin/true"]));
    return [
      {
        what: "`--role daemon` → answers `status`, empty data dir",
        method: "spawned, then asked over its Unix socket every millisecond",
        target: { text: "≤ 200 ms", max: 200, of: "median" },
        unit: "ms",
        values: fresh,
        peers: "start: etcd 19, Bun with an HTTP/2 server 45, Node 143, Erlang 180, PM2 473, supervisord 1,252 ms",
      },
      { what: "… the same on its data dir after a crash of the node", method: "as above", target: { text: "≤ 200 ms", max: 200, of: "median" }, unit: "ms", values: again },
      { what: "`--version`", method: "spawned until its end", target: { text: "≤ 60 ms", max: 60, of: "median" }, unit: "ms", values: version },
      { what: "… `/bin/true` in the same way", method: "as above", unit: "ms", values: floor },
    ];
  } finally {
    await cluster.end();
  }
};

async function untilStatus(node: Node): Promise<number> {
  const startMs = performance.now();
  node.spawn();
  for (; performance.now() - startMs < 10_000; await pause(1)) {
    const session = new NodeSession(node.dataDir);
    const status = await session.status();
    session.close();
    if (status) return performance.now() - startMs;
  }
  throw new Error("the daemon does not answer");
}

async function runTime([program, ...args]: readonly string[]): Promise<number> {
  const startMs = performance.now();
  const child = spawn(program!, args, { env: cleanEnvironment(process.env), stdio: "ignore" });
  await new Promise((ended) => child.on("exit", ended));
  return performance.now() - startMs;
}

