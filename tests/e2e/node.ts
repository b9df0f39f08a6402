/**
 * One node of a test's cluster: its processes, its daemon's answers, its command
 * line.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { cleanEnvironment } from "../../armors/environment.ts";
import { request } from "../../transports/http2_client.ts";
import type { Network } from "./network.ts";
import { armorProcesses, endNode, type ProcessRole, signal } from "./processes.ts";
import { waitFor } from "./wait.ts";

/** An armor in `status --json`. */
export interface ArmorStatus {
  readonly id: string;
  readonly role: string;
  readonly node: string;
  readonly pid: number | null;
  readonly state: string;
  readonly incarnation: string;
  readonly generation: string | null;
  /** Of an armor of one's own. */
  readonly name?: string;
  readonly elements?: readonly { readonly name: string; readonly version: number; readonly ops: readonly string[] }[];
}

/** An instance in `status --json`. */
export interface InstanceStatus {
  readonly id: string;
  readonly node: string | null;
  readonly pid: number | null;
  readonly state: string;
  readonly restarts: number;
}

/** `status --json`. */
export interface Status {
  readonly cluster: string;
  readonly epoch: { readonly number: number; readonly node: string };
  readonly stale: boolean;
  readonly ftm: ArmorStatus | null;
  readonly heartbeat: ArmorStatus | null;
  readonly nodes: readonly { readonly name: string; readonly id: string; readonly address: string; readonly state: string }[];
  readonly armors: readonly ArmorStatus[];
  readonly applications: readonly {
    readonly name: string;
    readonly desired: string;
    readonly state: string;
    readonly revision: number;
    readonly instances: readonly InstanceStatus[];
  }[];
}

/** One line of `events --json`. */
export interface ArmorEvent {
  readonly seq: number;
  readonly at: string;
  readonly kind: string;
  readonly subject: string;
  readonly node?: string;
  readonly cause?: string;
  readonly detectedBy?: string;
  readonly durationMs?: number;
  readonly [field: string]: unknown;
}

/** How a command ended. */
export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to start a daemon. */
export interface StartOptions {
  readonly join?: readonly string[];
  readonly cwd?: string;
  readonly env?: { readonly [name: string]: string };
  readonly secretFile?: string;
  /** Initial configuration. */
  readonly config?: string;
  /** More flags of `--role daemon`. */
  readonly flags?: readonly string[];
  /** Listens here and advertises its address. */
  readonly listen?: string;
  /** Command line that the daemon's is appended to. */
  readonly prefix?: readonly string[];
}

/** What all nodes of a cluster share. */
export interface ClusterPlace {
  readonly binary: string;
  readonly folder: string;
  readonly secretFile: string;
  readonly network: Network | undefined;
}

/** A node, running or not. */
export class Node {
  readonly name: string;
  readonly dataDir: string;
  /** What the process that {@link start} started, the guard, says. */
  readonly output: string;
  #guard: ChildProcess | undefined;

  /**
   * @param number From 1; in a network also the number of its host.
   * @param folder Name of its data dir, if not the node's.
   */
  constructor(readonly place: ClusterPlace, readonly number: number, readonly address: string, folder: string = `n${number}`) {
    this.name = `n${number}`;
    this.dataDir = join(place.folder, folder);
    this.output = join(place.folder, `${folder}.out`);
  }

  /** Start `--role daemon`; the child is returned for those who wait for its end. */
  spawn({ join: joins = [], cwd, env, secretFile = this.place.secretFile, config, flags = [], listen, prefix = [] }: StartOptions = {}): ChildProcess {
    const argv = [this.place.binary, "--role", "daemon", "--node", this.name, "--listen", listen ?? this.address];
    if (listen !== undefined) argv.push("--advertise", this.address);
    argv.push("--data-dir", this.dataDir, "--secret-file", secretFile);
    if (joins.length > 0) argv.push("--join", joins.join(","));
    if (config !== undefined) argv.push("--config", config);
    argv.push(...flags);
    const file = openSync(this.output, "a");
    const child = spawnProgram(this.#here([...prefix, ...argv]), { cwd, env, stdio: ["ignore", file, file] });
    closeSync(file);
    this.#guard = child;
    return child;
  }

  /** Start it and wait until it answers and everything on it runs. */
  async start(options: StartOptions = {}): Promise<void> {
    const child = this.spawn(options);
    await waitFor(`${this.name} runs`, async () => {
      if (child.exitCode !== null) throw new Error(`it ended: ${readFileSync(this.output, "utf8").trimEnd().split("\n").at(-1)}`);
      return this.isReady();
    }, 15_000, 20);
  }

  /** Its daemon is part of a cluster with an FTM, and everything on this node runs. */
  async isReady(): Promise<boolean> {
    const status = await this.status();
    const own = status.armors.filter(({ node }) => node === this.name);
    const roles = own.map(({ role }) => role);
    return !status.stale && status.nodes.some(({ name, state }) => name === this.name && state === "alive") &&
      roles.includes("execution") && roles.includes("daemon") && own.every(({ state }) => state === "running");
  }

  /** Ask the daemon over its Unix socket, as the command line does. */
  async status(timeoutMs = 500): Promise<Status> {
    const response = await this.#request("/v1/status", timeoutMs);
    return (await response.json()) as Status;
  }

  /** @returns `undefined` if there is no answer. */
  async statusNow(): Promise<Status | undefined> {
    return await this.status().catch(() => undefined);
  }

  async events(): Promise<ArmorEvent[]> {
    const response = await this.#request("/v1/events", 2_000);
    const lines = (await response.text()).split("\n").filter((line) => line !== "");
    return lines.map((line) => JSON.parse(line) as ArmorEvent);
  }

  /** Run a command of `armor` against this daemon. */
  async cli(...args: string[]): Promise<Ended> {
    return await this.run([this.place.binary, ...withDataDir(args, this.dataDir)]);
  }

  /** The same with `--json`, parsed. */
  async json<Value = Record<string, unknown>>(...args: string[]): Promise<Value> {
    const { status, stdout, stderr } = await this.cli(...withOption(args, "--json"));
    if (status !== 0) throw new Error(`armor ${args.join(" ")} ended with ${status}: ${stderr.trim()}`);
    return JSON.parse(stdout) as Value;
  }

  /** Run a program on this node's host, to its end. */
  async run(argv: readonly string[], options: { cwd?: string; env?: { readonly [name: string]: string } } = {}): Promise<Ended> {
    const child = spawnProgram(this.#here(argv), { ...options, stdio: ["ignore", "pipe", "pipe"] });
    return await toItsEnd(child);
  }

  /** Start a command that goes on, such as `logs --follow`; what it wrote so far is in `text()`. */
  follow(...args: string[]): { readonly text: () => string; readonly child: ChildProcess } {
    const argv = [this.place.binary, ...withDataDir(args, this.dataDir)];
    const child = spawnProgram(this.#here(argv), { stdio: ["ignore", "pipe", "inherit"] });
    let text = "";
    child.stdout!.setEncoding("utf8").on("data", (part: string) => (text += part));
    return { text: () => text, child };
  }

  pids(role: ProcessRole): number[] {
    return armorProcesses(this.dataDir).filter((one) => one.role === role).map(({ pid }) => pid);
  }

  /** Pid of the one process of a role. */
  async pid(role: ProcessRole): Promise<number> {
    return await waitFor(`${this.name} has one process of role ${role}`, () => {
      const found = this.pids(role);
      return found.length === 1 && found[0];
    });
  }

  /** Signal the guard, as an operator or a service manager does, and wait for the end of guard and daemon. */
  async endDaemon(name: "SIGTERM" | "SIGINT" = "SIGTERM"): Promise<void> {
    const guard = await this.pid("guard");
    signal(guard, name);
    await waitFor(`guard and daemon of ${this.name} end`, () => this.pids("guard").length + this.pids("daemon").length === 0, 15_000);
  }

  /** Kill every process of Armor at once; programs and their shims stay. @returns Their pids. */
  killArmor(roles: readonly ProcessRole[] = ["guard", "daemon", "ftm", "heartbeat", "execution", "own"]): readonly number[] {
    const found = armorProcesses(this.dataDir).filter(({ role }) => roles.includes(role));
    for (const { pid } of found) signal(pid, "SIGSTOP");
    for (const { pid } of found) signal(pid, "SIGKILL");
    return found.map(({ pid }) => pid);
  }

  /** A power cut: everything on the node ends at once, programs too. */
  async crash(): Promise<void> {
    await endNode(this.dataDir);
  }

  /** For error texts: the end of what its processes logged. */
  logs(): string {
    const armors = ["ftm", "heartbeat"].map((id) => join(this.dataDir, "armors", id, "armor.log"));
    return [this.output, join(this.dataDir, "daemon.log"), ...armors].filter(existsSync)
      .map((path) => `--- ${path}\n${readFileSync(path, "utf8").split("\n").slice(-15).join("\n")}`).join("\n");
  }

  #here(argv: readonly string[]): string[] {
    return this.place.network?.on(this.number, argv) ?? [...argv];
  }

  async #request(path: string, timeoutMs: number): ReturnType<typeof request> {
    const socket = join(readlinkSync(join(this.dataDir, "run")), "daemon.sock");
    return await request({ address: { path: socket }, method: "GET", path, timeoutMs, connectTimeoutMs: timeoutMs });
  }
}

/** Options go before `--`. */
function withOption(args: readonly string[], ...options: string[]): string[] {
  const end = args.indexOf("--");
  const at = end < 0 ? args.length : end;
  return [...args.slice(0, at), ...options, ...args.slice(at)];
}

function withDataDir(args: readonly string[], dataDir: string): string[] {
  return args.includes("--address") ? [...args] : withOption(args, "--data-dir", dataDir);
}

function spawnProgram(
  argv: readonly string[],
  { cwd, env, stdio }: { cwd?: string | undefined; env?: { readonly [name: string]: string } | undefined; stdio: ("ignore" | "pipe" | "inherit" | number)[] },
): ChildProcess {
  const environment = { ...cleanEnvironment(process.env), NO_COLOR: "1", ...env };
  return spawn(argv[0]!, argv.slice(1), { cwd: cwd ?? "/", env: environment, stdio, detached: true });
}

/** Collect a child's output; it is killed when it takes longer than 30 s. */
export async function toItsEnd(child: ChildProcess, timeoutMs = 30_000): Promise<Ended> {
  let stdout = "";
  let stderr = "";
  child.stdout?.setEncoding("utf8").on("data", (part: string) => (stdout += part));
  child.stderr?.setEncoding("utf8").on("data", (part: string) => (stderr += part));
  const timer = setTimeout(() => child.kill("SIGKILL"), timeoutMs);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on("close", resolve);
    child.on("error", reject);
  });
  clearTimeout(timer);
  return { status, stdout, stderr };
}
