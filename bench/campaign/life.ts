/**
 * One life of a cluster of real processes: what an operator has asked of it, and
 * whether that is what runs. The truth is looked up in `/proc`, in the launch
 * records and at the programs themselves, not only in what Armor says.
 *
 * @module
 */
import { type ChildProcess, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { type EventDocument, NodeSession } from "../../cli/demo/node_session.ts";
import { freePorts } from "../../cli/demo/ports.ts";
import { Cluster, instances } from "../../tests/e2e/cluster.ts";
import type { Node, Status } from "../../tests/e2e/node.ts";
import { type ArmorProcess, armorProcesses, isLiving, livingPrograms } from "../../tests/e2e/processes.ts";
import { waitFor } from "../../tests/e2e/wait.ts";
import { readArguments, readProcess } from "../../armors/host/process_table.ts";
import { applicationFile, counter, type Program, redis } from "./programs.ts";

/** What the operator was told: the command was acknowledged. */
export interface Wanted {
  readonly program: Program;
  readonly state: "running" | "stopped" | "completed" | "removed";
  /** Of a job: its shim was hit, so that nobody may know how it ended. It says so then: `failed`. */
  readonly inDoubt?: boolean;
}

/** A process of Armor, and on which node. */
export interface NodeProcess extends ArmorProcess {
  readonly node: Node;
}

/** From the fault until everything is as specified. */
export const boundMs = 30_000;

const smallDisk = "32m";
const lookEveryMs = 20;
const commandWithinMs = 30_000;
/** A service manager's pause before it starts a unit again. */
const managerPauseMs = 100;
const tendEveryMs = 100;
/** Where no manager is quick: a node without a guard for so long is started all the same. */
const slowManagerMs = 3_000;

/** A cluster, its applications, and what is expected of both. */
export class Life {
  readonly begunMs = performance.now();
  readonly wanted = new Map<string, Wanted>();
  readonly sessions: ReadonlyMap<Node, NodeSession>;
  /** Nodes that have been started. */
  readonly nodes: Node[] = [];
  /** Started by a service manager that starts them again; otherwise only once nothing of them is left. */
  readonly managed: boolean;
  readonly #children = new Map<Node, ChildProcess>();
  /** Since when a node has no guard. */
  readonly #unguardedMs = new Map<Node, number>();
  readonly #tending: ReturnType<typeof setInterval>;
  #ended = false;

  private constructor(readonly cluster: Cluster, managed: boolean) {
    this.managed = managed;
    this.#tending = setInterval(() => this.#tend(), tendEveryMs);
    this.sessions = new Map(cluster.nodes.map((node) => [node, new NodeSession(node.dataDir)]));
  }

  /**
   * Lay out `count` nodes; none is started.
   *
   * @param small Number of the node, from 0, whose data folder is on a small file system that can be filled; needs root.
   */
  static async make(count: number, managed: boolean, small: number): Promise<Life> {
    const life = new Life(await Cluster.make({ nodes: count }), managed);
    const node = life.cluster.nodes[small];
    if (!node || process.getuid?.() !== 0) return life;
    mkdirSync(node.dataDir, { recursive: true });
    const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${smallDisk},mode=0700`, "tmpfs", node.dataDir]);
    if (status !== 0) throw new Error("no small file system can be mounted");
    return life;
  }

  /** Start a node, as a service manager does, and go on at once. */
  spawn(node: Node): void {
    const [first] = this.cluster.nodes;
    if (!this.nodes.includes(node)) this.nodes.push(node);
    const child = node.spawn({ flags: ["--allow-injection"], ...(node !== first && { join: [first!.address] }) });
    this.#children.set(node, child);
    child.on("exit", (status) => {
      if (!this.managed) return;
      setTimeout(() => {
        if (!this.#ended && this.#children.get(node) === child) this.spawn(node);
      }, status === 1 ? 10 * managerPauseMs : managerPauseMs);
    });
  }

  /** Everything of a node ends at once: a power cut, but for the disk. It stays away until it is spawned. */
  async crash(node: Node): Promise<void> {
    this.#children.delete(node);
    await node.crash();
  }

  /** Submit counter and third-party server. */
  async populate(): Promise<void> {
    const folder = this.cluster.folder("programs");
    const [first, second] = await freePorts(2);
    for (const program of [counter(folder, first!), redis(folder, second!)]) await this.submit(program);
  }

  /** Submit a program by any node and wait for the acknowledgement. */
  async submit(program: Program, by: Node = this.nodes[0]!): Promise<void> {
    const path = join(this.cluster.folder("programs"), `${program.name}.toml`);
    writeFileSync(path, applicationFile(program));
    await this.command(by, "submit", path);
    this.wanted.set(program.name, { program, state: "running" });
  }

  /** A command, repeated as its text says until it is acknowledged. */
  async command(by: Node, ...words: string[]): Promise<void> {
    let last = "";
    for (const untilMs = performance.now() + commandWithinMs; performance.now() < untilMs; await pause(50)) {
      const { status, stderr } = await by.cli(...words);
      // An earlier try may have been it.
      if (status === 0 || (last !== "" && words[0] === "remove" && stderr.includes("no application"))) return;
      last = stderr.trim();
      if (status === 2) break;
    }
    throw new Error(`armor ${words.join(" ")} was not acknowledged within ${commandWithinMs / 1_000} s: ${last}`);
  }

  /** Wait until everything is as specified. @throws With what is not, after `withinMs`. */
  async settled(withinMs = boundMs, nodes: readonly Node[] = this.nodes): Promise<Status> {
    let status: Status | undefined;
    await waitFor("everything is as specified", async () => {
      const found = await this.look(nodes);
      if (typeof found === "string") throw new Error(found);
      status = found;
      return true;
    }, withinMs, lookEveryMs);
    return status!;
  }

  /** @returns The status, or the first thing that is not as specified. */
  async look(nodes: readonly Node[] = this.nodes): Promise<Status | string> {
    const all = await Promise.all(nodes.map((node) => this.status(node)));
    const silent = all.findIndex((status) => status === undefined);
    if (silent >= 0) return `the daemon of ${nodes[silent]!.name} does not answer`;
    const views = all as Status[];
    for (const [index, view] of views.entries()) {
      const wrong = wrongArmors(view, nodes);
      if (wrong !== undefined) return `${nodes[index]!.name} says: ${wrong}`;
      if (view.ftm!.pid !== views[0]!.ftm!.pid || view.epoch.number !== views[0]!.epoch.number) return "the nodes do not agree on the FTM";
    }
    const programs = await this.#wrongPrograms(views[0]!, nodes);
    return programs ?? wrongProcesses(this.processes(nodes), nodes, views[0]!) ?? views[0]!;
  }

  /** Every process of Armor. */
  processes(nodes: readonly Node[] = this.nodes): NodeProcess[] {
    return nodes.flatMap((node) => armorProcesses(node.dataDir).map((one) => ({ ...one, node })));
  }

  /** Pids of the programs that run, by instance. */
  programs(nodes: readonly Node[] = this.nodes): { readonly instance: string; readonly pid: number; readonly node: Node }[] {
    return nodes.flatMap((node) => livingPrograms(node.dataDir).map(({ instance, pid }) => ({ instance, pid, node })));
  }

  /** Events from whichever node knows most. */
  async events(): Promise<EventDocument[]> {
    const all = await Promise.all(this.nodes.map((node) => this.sessions.get(node)!.events().catch(() => [])));
    return all.sort((a, b) => b.length - a.length)[0] ?? [];
  }

  /** Everything about the cluster, for the file of a failure. */
  async diagnosis(): Promise<string> {
    const views = await Promise.all(this.nodes.map(async (node) => `${node.name}: ${JSON.stringify(await node.statusNow(), null, 1)}`));
    const processes = this.processes().map(({ node, role, pid }) => `${node.name} ${role} ${pid} ${readProcess(pid)?.state}`);
    const programs = this.programs().map(({ node, instance, pid }) => `${node.name} ${instance} ${pid} ${readProcess(pid)?.state}`);
    const events = (await this.events()).map((event) => JSON.stringify(event));
    const asked = await Promise.all(this.nodes.flatMap((node) =>
      [["daemon", "liveness.read"], ["daemon", "epoch.read"], ["ftm", "nodes.read"], ["ftm", "instances.read"]].map(async ([armor, op]) => {
        const { stdout, stderr } = await node.cli("send", armor === "ftm" ? "ftm" : `${armor}@${node.name}`, op!);
        return `${node.name} ${armor} ${op}: ${stdout.replace(/\s+/g, " ")}${stderr}`;
      })
    ));
    const logs = this.nodes.map((node) => `=== ${node.name}\n${node.logs()}\n${textOf(join(node.dataDir, "guard.log"))}`);
    return [...views, ...processes, ...programs, ...events, ...asked, ...logs].join("\n");
  }

  async end(): Promise<void> {
    this.#ended = true;
    clearInterval(this.#tending);
    for (const session of this.sessions.values()) session.close();
    await this.cluster.end();
  }

  /** Without its guard and daemon a node is dead; without a guard a hung daemon stays hung. Somebody has to start it. */
  #tend(): void {
    for (const [node, child] of this.#children) {
      if (child.exitCode === null && child.signalCode === null) continue;
      if (node.pids("guard").length > 0) {
        this.#unguardedMs.delete(node);
        continue;
      }
      const sinceMs = this.#unguardedMs.get(node) ?? performance.now();
      this.#unguardedMs.set(node, sinceMs);
      if (node.pids("daemon").length === 0 || performance.now() - sinceMs > slowManagerMs) this.spawn(node);
    }
  }

  /** What a daemon says; `undefined` if it does not, or is cut short. */
  async status(node: Node): Promise<Status | undefined> {
    return (await this.sessions.get(node)!.status().catch(() => undefined)) as unknown as Status | undefined;
  }

  async #wrongPrograms(status: Status, nodes: readonly Node[]): Promise<string | undefined> {
    const living = this.programs(nodes);
    for (const [name, { program, state, inDoubt = false }] of this.wanted) {
      const found = living.filter(({ instance }) => instance === `${name}.0`);
      const here = instances(status, name);
      if (state === "removed") {
        if (here.length + found.length > 0) return `${name} was removed and is there: ${JSON.stringify([here, found.length])}`;
        continue;
      }
      const [instance] = here;
      if (!instance) return `${name} is lost`;
      if (here.length !== 1) return `${name} has ${here.length} instances`;
      if (inDoubt && instance.state === "failed" && found.length === 0 && (await this.#completions(name)) === 0) continue;
      if (instance.state !== state) return `${name} is ${instance.state}, not ${state}`;
      if (state !== "running" && found.length > 0) return `${name} is ${state}, and runs`;
      if (state === "completed" && (await this.#completions(name)) !== 1) return `${name} has completed ${await this.#completions(name)} times`;
      if (state !== "running") continue;
      if (found.length !== 1) return `${name} runs ${found.length} times`;
      if (found[0]!.pid !== instance.pid) return `${name} runs as ${found[0]!.pid}, not as ${instance.pid}`;
      const wrong = wrongProgram(program, instance.pid);
      if (wrong !== undefined) return `${name} ${wrong}`;
      if (program.works && !(await program.works(instance.pid))) return `${name} does not work`;
    }
    const unknown = living.find(({ instance }) => !this.wanted.has(instance.replace(/\.\d+$/, "")));
    return unknown && `${unknown.instance} runs, and nobody has submitted it`;
  }

  async #completions(name: string): Promise<number> {
    const events = await this.events();
    return events.filter(({ kind, subject }) => kind === "application.completed" && subject === `${name}.0`).length;
  }
}

/** What a process is not that is to be this program. */
function wrongProgram({ command, args, retitles = false }: Program, pid: number): string | undefined {
  if (!isLiving(pid)) return "has ended";
  if (readProcess(pid)?.state === "T") return "is stopped";
  const argv = readArguments(pid);
  const right = isSameFile(`/proc/${pid}/exe`, command) && (retitles || argv.slice(1).join(" ") === args.join(" "));
  return right ? undefined : `runs as ${argv.join(" ")}`;
}

function isSameFile(a: string, b: string): boolean {
  try {
    return realpathSync(a) === realpathSync(b);
  } catch {
    return false;
  }
}

/** What a daemon's status says is not as it should be. */
function wrongArmors(status: Status, nodes: readonly Node[]): string | undefined {
  const { armors, ftm, heartbeat } = status;
  if (status.stale) return "stale";
  if (ftm?.state !== "running") return `the FTM is ${ftm?.state}`;
  if (nodes.length > 1 && heartbeat?.state !== "running") return `the heartbeat armor is ${heartbeat?.state}`;
  if (nodes.length > 1 && heartbeat?.node === ftm.node) return "FTM and heartbeat armor are on one node";
  for (const { name } of nodes) {
    const state = status.nodes.find((node) => node.name === name)?.state;
    if (state !== "alive") return `${name} is ${state}`;
    for (const role of ["daemon", "execution"]) if (!armors.some((armor) => armor.role === role && armor.node === name)) return `${name} has no ${role} armor`;
  }
  const bad = armors.find(({ state, pid }) => state !== "running" || pid === null || !isLiving(pid));
  return bad && `${bad.id} is ${bad.state}, pid ${bad.pid}`;
}

/** What is in the process table besides, or not. */
function wrongProcesses(processes: readonly NodeProcess[], nodes: readonly Node[], { ftm, heartbeat, armors }: Status): string | undefined {
  const stopped = processes.find(({ role, pid }) => role !== "shim" && readProcess(pid)?.state === "T");
  if (stopped) return `${stopped.role} of ${stopped.node.name} is stopped`;
  const pids = (role: string, node?: Node): number[] => processes.filter((one) => one.role === role && (node === undefined || one.node === node)).map(({ pid }) => pid);
  const expect = (role: string, wanted: number | null | undefined, node?: Node): string | undefined => {
    const found = pids(role, node);
    const right = wanted === null || wanted === undefined ? found.length === 0 : found.length === 1 && found[0] === wanted;
    return right ? undefined : `${role}${node ? ` of ${node.name}` : ""} should be ${wanted}, and ${JSON.stringify(found)} run`;
  };
  for (const node of nodes) {
    if (pids("guard", node).length !== 1) return `${node.name} has ${pids("guard", node).length} guards`;
    for (const role of ["daemon", "execution"]) {
      const wrong = expect(role, armors.find((armor) => armor.role === role && armor.node === node.name)?.pid, node);
      if (wrong !== undefined) return wrong;
    }
  }
  return expect("ftm", ftm?.pid) ?? expect("heartbeat", heartbeat?.pid);
}

/** Wait. */
export function pause(ms: number): Promise<void> {
  return new Promise((resume) => setTimeout(resume, ms));
}

function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8").split("\n").slice(-15).join("\n");
  } catch {
    return "";
  }
}
