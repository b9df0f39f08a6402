/**
 * An application killed, and stopped: until a replacement answers. For each
 * figure of the first kind also what the bare kernel and a shell loop need, in
 * the same run: the machine's own floor.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { answeringPid, compileProber, freePorts, type Measurement, note, pause, type Row, serve, serverProgram, withCluster } from "./harness.ts";

const crashes = 30;
const hangs = 7;

export const measure: Measurement = () =>
  withCluster({ nodes: 1 }, async (cluster): Promise<Row[]> => {
    const node = cluster.nodes[0]!;
    const program = serverProgram(cluster);
    const strike = compileProber(cluster.folder("programs"));

    note(`${crashes} applications, each killed once`);
    const applications = await serve(cluster, node, crashes);
    await pause(1_000);
    const killed: number[] = [];
    for (const { pid, port } of applications) {
      killed.push(await strike("SIGKILL", pid, port));
      await pause(100);
    }

    note("the same server restarted by a loop in sh");
    const [port] = (await freePorts(1)) as [number];
    const loop = spawn("/bin/sh", ["-c", 'while :; do "$@"; done', "sh", ...program, String(port)], { stdio: "ignore", detached: true });
    const floor: number[] = [];
    try {
      for (let round = 0; round < crashes; round++) {
        floor.push(await strike("SIGKILL", await answeringPid(port), port));
        await pause(50);
      }
    } finally {
      process.kill(-loop.pid!, "SIGKILL");
    }

    note(`${hangs} applications, each stopped once`);
    const stopped: number[] = [];
    await pause(10_000); // the restarts before count no more
    for (const { port: at } of applications.slice(0, hangs)) {
      // Not in step with the watch.
      await pause(100 + Math.random() * 300);
      stopped.push(await strike("SIGSTOP", await answeringPid(at), at));
    }

    return [
      {
        what: "application killed -9 → replacement answers",
        method: `${crashes} applications (a C server) on one node, each killed once, its first restart; a C program signals and asks the port every 0.1 ms`,
        target: { text: "≤ 10 ms median", max: 10, of: "median" },
        unit: "ms",
        values: killed,
        peers: "Erlang port 2.5, runit 4.1, PM2 9.4, podman 132 ms",
      },
      {
        what: "… the same server in a loop of `sh` (the machine's floor, same run)",
        method: "`while :; do server; done`, same prober",
        unit: "ms",
        values: floor,
      },
      {
        what: "application SIGSTOPped → replacement answers",
        method: "as above with SIGSTOP, defaults",
        target: { text: "≤ 1.5 s", max: 1_500, of: "max" },
        unit: "ms",
        values: stopped,
        peers: "supervisord, runit, s6, PM2, Erlang port, podman never; monit with a check each second 1,650 ms",
      },
    ];
  });
