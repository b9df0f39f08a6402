/**
 * What supervision costs a program: the same work with and without a node of
 * Armor around it, in pairs, in turns.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Cluster, freePorts, type Measurement, Missing, note, type Row, serverProgram } from "./harness.ts";

const pairs = 24;

/**
 * `work N FILE`: N rounds of arithmetic; `ask N FILE PORT`: N requests, one
 * connection each. Writes the nanoseconds it took.
 */
const source = `
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000L + t.tv_nsec; }
int main(int argc, char **argv) {
  long rounds = atol(argv[2]), start = now();
  volatile unsigned long sum = 1;
  if (strcmp(argv[1], "work") == 0) for (long i = 0; i < rounds; i++) sum = sum * 6364136223846793005UL + i;
  else for (long i = 0; i < rounds; i++) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[4])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char text[256];
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(s, (struct sockaddr *)&at, sizeof at) || write(s, "GET / HTTP/1.0\\r\\n\\r\\n", 18) != 18) return 1;
    while (read(s, text, sizeof text) > 0) {}
    close(s);
  }
  FILE *file = fopen(argv[3], "w");
  fprintf(file, "%ld\\n", now() - start);
  return fclose(file);
}
`;

/** Rounds that take about half a second here. */
const rounds = { work: 250_000_000, ask: 8_000 } as const;

export const measure: Measurement = async () => {
  const cluster = await Cluster.make({ nodes: 1 });
  try {
    const folder = cluster.folder("programs");
    const program = join(folder, "overhead");
    writeFileSync(`${program}.c`, source);
    if (spawnSync("cc", ["-O1", "-o", program, `${program}.c`]).status !== 0) throw new Missing("a C compiler (Debian: gcc)");
    const server = serverProgram(cluster);
    const [port] = await freePorts(1);
    const rows: Row[] = [];
    for (const kind of ["work", "ask"] as const) {
      note(`${kind === "work" ? "computing" : "serving"}, ${pairs} pairs`);
      const file = join(folder, `${kind}.took`);
      const words = [program, kind, String(rounds[kind]), file, String(port)];
      const plain = async (): Promise<number> => {
        const child = kind === "ask" ? spawn(server[0]!, [...server.slice(1), String(port)], { stdio: "ignore" }) : undefined;
        try {
          if (child) await answering(words, file);
          return await took(words, file);
        } finally {
          child?.kill("SIGKILL");
        }
      };
      const supervised = async (): Promise<number> => {
        const [node] = cluster.nodes;
        await node!.start();
        try {
          const what = kind === "ask" ? [...server, String(port)] : [];
          if (kind === "ask") await done(node!.cli("run", "--name", "server", "--", ...what));
          else return await asJob(cluster, words, file);
          await answering(words, file);
          return await took(words, file);
        } finally {
          await node!.crash();
          rmSync(node!.dataDir, { recursive: true, force: true });
        }
      };
      const ratios: number[] = [];
      for (let pair = 0; pair < pairs; pair++) {
        // In turns, so that what changes on the machine hits both.
        const [first, second] = pair % 2 === 0 ? [await plain(), await supervised()] : [await supervised(), await plain()];
        const [without, with_] = pair % 2 === 0 ? [first, second] : [second, first];
        ratios.push(100 * (with_ / without - 1));
      }
      const bound = upperBound(ratios);
      rows.push({
        what: kind === "work" ? "a program that computes: its run time under Armor, more than without" : "a program that serves requests: the time for 8,000, more than without",
        method: `${pairs} pairs in turns, each about half a second, timed by the ${kind === "work" ? "program" : "client"} itself; under Armor: one node, everything of it running`,
        target: { text: "best estimate < 0.5 %", max: 0.5, of: "median" },
        unit: "%",
        values: ratios,
        holds: { text: `95 % bound of the median ${bound.toFixed(2)} %, target < 2 %`, ok: bound < 2 },
      });
    }
    return rows;
  } finally {
    await cluster.end();
  }
};

/** Upper end of the 95 % interval of the median, by ranks: no shape is assumed. */
function upperBound(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const rank = Math.ceil(sorted.length / 2 + 0.98 * Math.sqrt(sorted.length));
  return sorted[Math.min(sorted.length, rank) - 1]!;
}

async function took(words: readonly string[], file: string): Promise<number> {
  rmSync(file, { force: true });
  const child = spawn(words[0]!, words.slice(1), { stdio: "ignore" });
  const status = await new Promise((ended) => child.on("exit", ended));
  if (status !== 0) throw new Error(`${words.join(" ")} ended with ${status}`);
  return Number(readFileSync(file, "utf8"));
}

/** Wait for the server: one request that is answered. */
async function answering(words: readonly string[], file: string): Promise<void> {
  const one = [words[0]!, words[1]!, "1", ...words.slice(3)];
  for (let tries = 0; ; tries++) {
    try {
      return void (await took(one, file));
    } catch (error) {
      if (tries > 200) throw error;
      await new Promise((resume) => setTimeout(resume, 10));
    }
  }
}

async function asJob(cluster: Cluster, words: readonly string[], file: string): Promise<number> {
  rmSync(file, { force: true });
  const job = join(cluster.folder("programs"), "job.toml");
  writeFileSync(job, `name = "work"\nkind = "job"\ncommand = ${JSON.stringify(words[0])}\nargs = ${JSON.stringify(words.slice(1))}\n`);
  await done(cluster.nodes[0]!.cli("submit", job));
  for (let tries = 0; !existsSync(file) || readFileSync(file, "utf8") === ""; tries++) {
    if (tries > 3_000) throw new Error("the job did not end");
    await new Promise((resume) => setTimeout(resume, 10));
  }
  return Number(readFileSync(file, "utf8"));
}

async function done(command: Promise<{ readonly status: number | null; readonly stderr: string }>): Promise<void> {
  const { status, stderr } = await command;
  if (status !== 0) throw new Error(stderr);
}

