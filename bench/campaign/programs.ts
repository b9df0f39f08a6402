/**
 * The applications of a campaign, and how each is asked whether it works.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ask } from "../../cli/demo/probe.ts";
import { which } from "../../tests/e2e/programs.ts";
import { Missing } from "../harness.ts";

/** Answers every HTTP request with its pid and how many it has answered. */
const counterSource = `
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  int server = socket(AF_INET, SOCK_STREAM, 0), yes = 1, count = 0;
  setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(server, (struct sockaddr *)&at, sizeof at) || listen(server, 64)) { perror("bind"); return 1; }
  for (;;) {
    int client = accept(server, 0, 0);
    if (client < 0) continue;
    char text[1024];
    if (read(client, text, sizeof text) > 0) {
      int length = snprintf(text, sizeof text, "HTTP/1.0 200 OK\\r\\nConnection: close\\r\\n\\r\\n%d %d", getpid(), ++count);
      if (write(client, text, length) < 0) perror("write");
    }
    close(client);
  }
}
`;

/** Something that Armor is to keep running. */
export interface Program {
  readonly name: string;
  readonly kind: "service" | "job";
  readonly command: string;
  readonly args: readonly string[];
  /** It puts words of its own in the place of its arguments. */
  readonly retitles?: boolean;
  /** Does it do its work, as this process? */
  readonly works?: (pid: number) => Promise<boolean>;
}

const local = (port: number) => ({ host: "127.0.0.1", port });
const answerWithinMs = 1_000;

/** Counts requests. */
export function counter(folder: string, port: number): Program {
  const path = join(folder, "counter");
  if (!existsSync(path)) {
    writeFileSync(`${path}.c`, counterSource);
    if (spawnSync("cc", ["-O1", "-o", path, `${path}.c`]).status !== 0) throw new Missing("a C compiler (Debian: gcc)");
  }
  const works = async (pid: number): Promise<boolean> => {
    const text = await ask(local(port), "GET / HTTP/1.0\r\n\r\n", answerWithinMs);
    return Number(text?.split("\r\n\r\n")[1]?.split(" ")[0]) === pid;
  };
  return { name: "counter", kind: "service", command: path, args: [String(port)], works };
}

/** A third-party server. */
export function redis(folder: string, port: number): Program {
  const command = which("redis-server");
  if (command === undefined) throw new Missing("redis-server (Debian: redis-server)");
  const args = ["--port", String(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder];
  const works = async (pid: number): Promise<boolean> => {
    const text = await ask(local(port), "INFO server\r\nQUIT\r\n", answerWithinMs);
    return Number(/process_id:(\d+)/.exec(text ?? "")?.[1]) === pid;
  };
  return { name: "redis", kind: "service", command, args, retitles: true, works };
}

/** Does nothing, but is there or not: what submissions are tried with. */
export function sleeper(name: string): Program {
  return { name, kind: "service", command: "/bin/sleep", args: ["1000000"] };
}

/** A batch job that ends once `${path}.go` exists, and then adds a line to `path`. */
export function batch(name: string, path: string): Program {
  const script = 'while [ ! -e "$0.go" ]; do sleep 0.05; done; echo done >> "$0"';
  return { name, kind: "job", command: "/bin/sh", args: ["-c", script, path] };
}

/** The application file of a program. A program that is killed often is no crash loop here: its delays stay small. */
export function applicationFile({ name, kind, command, args }: Program): string {
  return [
    `name = ${JSON.stringify(name)}`,
    `kind = ${JSON.stringify(kind)}`,
    `command = ${JSON.stringify(command)}`,
    `args = ${JSON.stringify(args)}`,
    "[restart]",
    "firstDelayMs = 50",
    "delayCapMs = 200",
    "resetAfterMs = 1000",
    "crashLoopRestarts = 100",
    "",
  ].join("\n");
}
