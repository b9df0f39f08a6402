/**
 * Networks of the end-to-end tests: a namespace for each host, all on a bridge
 * that has a namespace of its own. Nothing of it is in the machine's own network, and
 * every run has its own names.
 *
 * @module
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";

/** What an HTTP server said; `undefined` if it did not answer in time. */
export type Answer = { readonly status: number; readonly text: string } | undefined;

/** Hosts in namespaces. */
export interface Network {
  readonly namespaces: readonly string[];
  /** Command line that runs a program on a host. */
  on(host: number, argv: readonly string[]): string[];
  /** IP address of a host. */
  address(host: number): string;
  /** Pull the cable of a host, or put it back. */
  setLink(host: number, state: "up" | "down"): void;
  /** Pull it within a millisecond: by a process that runs already. */
  cut(host: number): Promise<void>;
  /** Ask as a client that is on the bridge. */
  get(url: string): Promise<Answer>;
  remove(): void;
}

/** @returns What is missing for namespaces, or `undefined`. */
export function missingForNamespaces(): string | undefined {
  if (process.platform !== "linux") return "Linux";
  if (process.geteuid?.() !== 0) return "root (for network namespaces)";
  if (spawnSync("ip", ["-V"]).status !== 0) return "the program ip (Debian: iproute2)";
  const name = `armor-probe-${process.pid}`;
  const made = spawnSync("ip", ["netns", "add", name]).status === 0;
  const works = made && spawnSync("ip", ["netns", "exec", name, "true"]).status === 0;
  if (made) spawnSync("ip", ["netns", "del", name]);
  return works ? undefined : "the right to make network namespaces";
}

/** Make `hosts` hosts, numbered from 1. `name` is unique on the machine. */
export function makeNetwork(name: string, hosts: number): Network {
  const hub = `${name}-hub`;
  const space = (host: number): string => `${name}-${host}`;
  const namespaces = [hub, ...Array.from({ length: hosts }, (_, index) => space(index + 1))];
  const address = (host: number): string => `10.77.0.${host}`;
  let client: Client | undefined;
  let cutter: Cutter | undefined;
  const remove = (): void => {
    client?.close();
    cutter?.close();
    removeNamespaces(namespaces);
  };
  try {
    for (const one of namespaces) {
      ip("netns", "add", one);
      ip("-n", one, "link", "set", "lo", "up");
    }
    ip("-n", hub, "link", "add", "bridge", "type", "bridge");
    ip("-n", hub, "address", "add", `${address(254)}/24`, "dev", "bridge");
    ip("-n", hub, "link", "set", "bridge", "up");
    for (let host = 1; host <= hosts; host++) {
      ip("link", "add", "eth0", "netns", space(host), "type", "veth", "peer", "name", `port${host}`, "netns", hub);
      ip("-n", hub, "link", "set", `port${host}`, "master", "bridge", "up");
      ip("-n", space(host), "address", "add", `${address(host)}/24`, "dev", "eth0");
      ip("-n", space(host), "link", "set", "eth0", "up");
    }
  } catch (error) {
    remove();
    throw error;
  }
  cutter = new Cutter(hub);
  return {
    namespaces,
    on: (host, argv) => ["ip", "netns", "exec", space(host), ...argv],
    address,
    setLink: (host, state) => ip("-n", hub, "link", "set", `port${host}`, state),
    cut: (host) => cutter.run(`link set port${host} down`),
    get: (url) => (client ??= new Client(hub)).get(url),
    remove,
  };
}

/** Remove namespaces, with what is in them. */
export function removeNamespaces(namespaces: readonly string[]): void {
  for (const one of namespaces) spawnSync("ip", ["netns", "del", one]);
}

function ip(...args: string[]): void {
  const { status, stderr } = spawnSync("ip", args, { encoding: "utf8" });
  if (status !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
}

/** The program `ip` in a namespace, waiting for commands. */
class Cutter {
  readonly #process: ChildProcess;
  readonly #waiting: (() => void)[] = [];

  constructor(namespace: string) {
    this.#process = spawn("ip", ["-netns", namespace, "-oneline", "-force", "-batch", "-"], { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.#process.stdout! }).on("line", () => this.#waiting.shift()?.());
  }

  /** @returns When it is done: commands are carried out in order, and one that shows a line follows. */
  run(command: string): Promise<void> {
    this.#process.stdin!.write(`${command}\nlink show lo\n`);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  close(): void {
    this.#process.kill("SIGKILL");
  }
}

/** One {@link http_client.ts} inside a namespace. */
class Client {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #last = 0;

  constructor(namespace: string) {
    const argv = ["netns", "exec", namespace, process.execPath, join(import.meta.dirname, "http_client.ts")];
    this.#process = spawn("ip", argv, { stdio: ["pipe", "pipe", "inherit"] });
    createInterface({ input: this.#process.stdout! }).on("line", (line) => {
      const { id, answer } = JSON.parse(line) as { id: number; answer: Answer };
      this.#waiting.get(id)?.(answer);
      this.#waiting.delete(id);
    });
    this.#process.on("exit", () => {
      for (const answer of this.#waiting.values()) answer(undefined);
    });
  }

  get(url: string): Promise<Answer> {
    const id = ++this.#last;
    this.#process.stdin!.write(`${JSON.stringify({ id, url })}\n`);
    return new Promise((resolve) => this.#waiting.set(id, resolve));
  }

  close(): void {
    this.#process.stdin!.end();
    this.#process.kill("SIGKILL");
  }
}
