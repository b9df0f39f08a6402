/**
 * What supervision costs a program: a program that computes and one that serves
 * requests, both supervised, while all of Armor runs and while all of it is
 * stopped, in turns.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nowMs } from "../armors/host/system_clock.ts";
import { armorProcesses, signal } from "../tests/e2e/processes.ts";
import { type Cluster, freePorts, type Measurement, Missing, median, note, pause, type Row, serverProgram, withCluster } from "./harness.ts";

/** Requests scatter more: two processes, and the system decides where they run. */
const pairs = { computing: 96, serving: 320 };
/** Of each half of a pair. Shorter than what makes anybody suspect anybody. */
const halfMs = 600;
/** At its beginning rounds do not count: what was stopped catches up. */
const settleMs = 150;

/**
 * `work FILE`: rounds of arithmetic; `ask FILE PORT`: rounds of requests, one
 * connection each; for ever. Writes when each round began and ended, in
 * microseconds since boot.
 */
const source = `
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
static long now(void) { struct timespec t; clock_gettime(CLOCK_BOOTTIME, &t); return t.tv_sec * 1000000L + t.tv_nsec / 1000; }
int main(int argc, char **argv) {
  FILE *file = fopen(argv[2], "w");
  volatile unsigned long sum = 1;
  for (;;) {
    long start = now();
    if (strcmp(argv[1], "work") == 0) for (long i = 0; i < 15000000; i++) sum = sum * 6364136223846793005UL + i;
    else for (long i = 0; i < 400; i++) {
      struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
      char text[256];
      int s = socket(AF_INET, SOCK_STREAM, 0);
      if (connect(s, (struct sockaddr *)&at, sizeof at) || write(s, "GET / HTTP/1.0\\r\\n\\r\\n", 18) != 18) { usleep(10000); close(s); continue; }
      while (read(s, text, sizeof text) > 0) {}
      close(s);
    }
    fprintf(file, "%ld %ld\\n", start, now());
    fflush(file);
  }
}
`;

export const measure: Measurement = async () =>
  await withCluster({ nodes: 1 }, async (cluster) => {
    const folder = cluster.folder("programs");
    const program = join(folder, "overhead");
    writeFileSync(`${program}.c`, source);
    if (spawnSync("cc", ["-O1", "-o", program, `${program}.c`]).status !== 0) throw new Missing("a C compiler (Debian: gcc)");
    const [port] = await freePorts(1);
    const submit = async (name: string, ...words: string[]): Promise<void> => {
      const { status, stderr } = await cluster.nodes[0]!.cli("run", "--name", name, "--", ...words);
      if (status !== 0) throw new Error(stderr);
    };
    const rows: Row[] = [];

    note(`computing, ${pairs.computing} pairs`);
    const worked = join(folder, "worked");
    await submit("work", program, "work", worked);
    rows.push(row("a program that computes: its time, more while Armor runs", await inTurns(cluster, worked, pairs.computing)));
    await cluster.nodes[0]!.cli("remove", "work");

    note(`serving, ${pairs.serving} pairs`);
    const asked = join(folder, "asked");
    await submit("server", ...serverProgram(cluster), String(port));
    const client = spawn(program, ["ask", asked, String(port)], { stdio: "ignore" });
    try {
      rows.push(row("a program that serves requests: the time of a request, more while Armor runs", await inTurns(cluster, asked, pairs.serving)));
    } finally {
      client.kill("SIGKILL");
    }
    return rows;
  });

/** Stop and wake all of Armor in turns. @returns Of each pair, by how many percent rounds take longer while it runs. */
async function inTurns(cluster: Cluster, file: string, count: number): Promise<number[]> {
  const { dataDir } = cluster.nodes[0]!;
  // What a start leaves to be done is done by then.
  await pause(6_000);
  const pids = armorProcesses(dataDir).filter(({ role }) => role !== "shim").map(({ pid }) => pid);
  const halves: { readonly runs: boolean; readonly fromMs: number; readonly toMs: number }[] = [];
  for (let half = 0; half < 2 * count; half++) {
    // on, off, off, on: what drifts hits both.
    const runs = half % 4 === 0 || half % 4 === 3;
    for (const pid of pids) signal(pid, runs ? "SIGCONT" : "SIGSTOP");
    const fromMs = nowMs();
    await pause(halfMs);
    halves.push({ runs, fromMs, toMs: nowMs() });
  }
  for (const pid of pids) signal(pid, "SIGCONT");
  const rounds = readFileSync(file, "utf8").trimEnd().split("\n").map((line) => line.split(" ").map((text) => Number(text) / 1_000) as [number, number]);
  const timeOf = ({ fromMs, toMs }: { readonly fromMs: number; readonly toMs: number }): number =>
    median(rounds.filter(([start, end]) => start >= fromMs + settleMs && end <= toMs).map(([start, end]) => end - start));
  const ratios = Array.from({ length: count }, (_, pair) => {
    const both = [halves[2 * pair]!, halves[2 * pair + 1]!];
    return 100 * (timeOf(both.find(({ runs }) => runs)!) / timeOf(both.find(({ runs }) => !runs)!) - 1);
  });
  // On a machine that stalls, a half may hold no whole round.
  return ratios.filter((ratio) => Number.isFinite(ratio));
}

function row(what: string, values: readonly number[]): Row {
  const bound = upperBound(values);
  return {
    what,
    method: `${values.length} pairs of ${halfMs} ms: one node that supervises it, all of its processes running, and stopped by SIGSTOP; medians of the rounds of each half but its first ${settleMs} ms`,
    target: { text: "best estimate < 0.5 %", max: 0.5, of: "median" },
    unit: "%",
    values,
    holds: { text: `95 % bound of the median ${bound.toFixed(2)} %, target < 2 %`, ok: bound < 2 },
  };
}

/** Upper end of the 95 % interval of the median, by ranks: no shape is assumed. */
function upperBound(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.ceil(sorted.length / 2 + 0.98 * Math.sqrt(sorted.length));
  return sorted[Math.min(sorted.length, rank) - 1]!;
}
