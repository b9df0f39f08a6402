/**
 * What all measurements share: rows of the result, clusters on loopback, and
 * ways to see a recovery from outside without loading what is measured.
 *
 * @module
 */
import { spawn, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { NodeSession } from "../cli/demo/node_session.ts";
import { freePorts } from "../cli/demo/ports.ts";
import { ask } from "../cli/demo/probe.ts";
import type { StatusDocument } from "../cli/status_document.ts";
import { Cluster } from "../tests/e2e/cluster.ts";
import type { Node } from "../tests/e2e/node.ts";
import { httpServer } from "../tests/e2e/programs.ts";

export { Cluster, freePorts, type Node, NodeSession };

/** One line of the result. */
export interface Row {
  readonly what: string;
  /** How it was measured. */
  readonly method: string;
  /** Absent: reported, without a target. */
  readonly target?: { readonly text: string; readonly max: number; readonly of: "median" | "max" };
  readonly unit: string;
  readonly values: readonly number[];
  /** What the peers reach, from the project's survey of peers; empty: not compared. */
  readonly peers?: string;
  /** What else has to hold: in words, and whether it did. */
  readonly holds?: { readonly text: string; readonly ok: boolean };
}

/** One file of measurements. */
export type Measurement = () => Promise<readonly Row[]>;

/** A measurement that cannot be done on this machine. */
export class Missing extends Error {}

/** Say what happens; the rows come at the end. */
export function note(text: string): void {
  console.error(`  ${text}`);
}

/** How often to repeat: ARMOR_BENCH_ROUNDS, for those who have less time. */
export function roundsOf(usual: number): number {
  return Number(process.env["ARMOR_BENCH_ROUNDS"] ?? usual);
}

/** The middle one, or the mean of the two middle ones. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

export function pause(ms: number): Promise<void> {
  return new Promise((resume) => setTimeout(resume, ms));
}

/** Run `body` with a cluster and end it in any case. */
export async function withCluster<T>(
  options: { readonly nodes: number; readonly namespaces?: boolean },
  body: (cluster: Cluster) => Promise<T>,
): Promise<T> {
  const cluster = await Cluster.start(options);
  try {
    return await body(cluster);
  } finally {
    await cluster.end();
  }
}

/** A running application of the cluster. */
export interface Served {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
}

/** The tiny server as command line without its port; compiled once per cluster. */
export function serverProgram(cluster: Cluster): readonly string[] {
  const program = httpServer(cluster.folder("programs"));
  if (program?.length !== 1) throw new Missing("a C compiler (Debian: gcc)");
  return program;
}

/** Submit applications by the command line and wait until all answer. */
export async function serve(cluster: Cluster, node: Node, count: number, options: readonly string[] = []): Promise<Served[]> {
  const program = serverProgram(cluster);
  const ports = await freePorts(count);
  for (const [index, port] of ports.entries()) {
    const { status, stderr } = await node.cli("run", "--name", `app${index}`, ...options, "--", ...program, String(port));
    if (status !== 0) throw new Error(stderr);
  }
  return await Promise.all(ports.map(async (port, index) => ({ name: `app${index}`, port, pid: await answeringPid(port) })));
}

/** Wait for an answer; its body is the pid. */
export async function answeringPid(port: number, host = "127.0.0.1", timeoutMs = 20_000): Promise<number> {
  for (const endMs = performance.now() + timeoutMs; performance.now() < endMs; await pause(5)) {
    const pid = await pidOnce(port, host);
    if (pid !== undefined) return pid;
  }
  throw new Error(`nobody answers on port ${port}`);
}

/** @returns `undefined` if nobody answers now. */
export async function pidOnce(port: number, host = "127.0.0.1"): Promise<number | undefined> {
  const text = await ask({ host, port }, "GET / HTTP/1.0\r\n\r\n", 500);
  const pid = Number(text?.split("\r\n\r\n")[1]);
  return pid > 0 ? pid : undefined;
}

/** Ask the application all the time while something else breaks. */
export function traffic({ port, pid }: Served): { end(): Promise<{ readonly sent: number; readonly answered: number }> } {
  let [running, sent, answered] = [true, 0, 0];
  const loop = (async () => {
    for (; running; await pause(20)) {
      sent += 1;
      if ((await pidOnce(port)) === pid) answered += 1;
    }
  })();
  return {
    end: async () => {
      running = false;
      await loop;
      return { sent, answered };
    },
  };
}

/**
 * Do `blow` and ask a daemon until its status satisfies `back`.
 *
 * @returns Milliseconds.
 */
export async function timeUntil(
  session: NodeSession,
  blow: () => void,
  back: (status: StatusDocument) => boolean,
  options: { readonly timeoutMs?: number; readonly everyMs?: number } = {},
): Promise<number> {
  const { timeoutMs = 15_000, everyMs = 2 } = options;
  await session.status();
  const startMs = performance.now();
  blow();
  for (; performance.now() - startMs < timeoutMs; await pause(everyMs)) {
    const status = await session.status();
    if (status && back(status)) return performance.now() - startMs;
  }
  throw new Error(`no recovery within ${timeoutMs / 1_000} s`);
}

/**
 * A process that signals a program and then asks its port every 100 µs until
 * another pid answers; it prints the microseconds between the two.
 */
const proberSource = `
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e6 + t.tv_nsec / 1e3; }
int main(int argc, char **argv) {
  int sig = atoi(argv[1]), old = atoi(argv[2]);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[3])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  alarm(20);
  double start = now();
  if (kill(old, sig)) { perror("kill"); return 1; }
  for (;; usleep(100)) {
    int s = socket(AF_INET, SOCK_STREAM, 0);
    char text[1024] = {0}, *body;
    int got = 0, n;
    if (connect(s, (struct sockaddr *)&at, sizeof at) == 0 && write(s, "GET / HTTP/1.0\\r\\n\\r\\n", 18) == 18)
      while ((n = read(s, text + got, sizeof text - 1 - got)) > 0) got += n;
    close(s);
    if ((body = strstr(text, "\\r\\n\\r\\n")) && atoi(body + 4) > 0 && atoi(body + 4) != old) break;
  }
  printf("%.0f\\n", now() - start);
  return 0;
}
`;

/** Compile the prober. @returns A function: signal, pid, port → milliseconds until another pid answers. */
export function compileProber(folder: string): (signal: "SIGKILL" | "SIGSTOP", pid: number, port: number) => Promise<number> {
  const path = join(folder, "prober");
  writeFileSync(`${path}.c`, proberSource);
  if (spawnSync("cc", ["-O1", "-o", path, `${path}.c`]).status !== 0) throw new Missing("a C compiler (Debian: gcc)");
  return async (signal, pid, port) => {
    const child = spawn(path, [signal === "SIGKILL" ? "9" : "19", String(pid), String(port)], { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout.setEncoding("utf8").on("data", (part: string) => {
      text += part;
    });
    await new Promise((ended) => child.on("close", ended));
    if (!(Number(text) > 0)) throw new Error(`the application on port ${port} did not come back`);
    return Number(text) / 1_000;
  };
}
