/**
 * A cluster of the demonstration: three nodes on loopback, each as an operator
 * would start it, in a folder that is removed afterwards.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { chmodSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { ArmorError } from "../../core/errors.ts";
import { armorEnvironment, cleanEnvironment } from "../../armors/environment.ts";
import { selfArgv, spawnDetached } from "../../armors/host/child_process.ts";
import { CommandError, printable } from "../command.ts";
import type { StatusDocument } from "../status_document.ts";
import { killNode, removeNode } from "./node_processes.ts";
import { NodeSession } from "./node_session.ts";
import { freePorts } from "./ports.ts";
import { until } from "./probe.ts";

/** One node. */
export interface ClusterNode {
  readonly name: string;
  /** Its data dir. */
  readonly folder: string;
  /** `HOST:PORT` */
  readonly address: string;
  /** The command line that started it. */
  readonly argv: readonly string[];
  readonly session: NodeSession;
}

/** Nodes of the demonstration. */
export interface Cluster {
  readonly folder: string;
  readonly secretFile: string;
  readonly nodes: readonly ClusterNode[];
  /** Port kept for the application. */
  readonly applicationPort: number;
}

/** Name of the file that makes a folder one of ours: nothing else is ever removed. */
const marker = "armor-demo";
const nodesCount = 3;
const startWithinMs = 10_000;
const startTries = 3;

/** Make the folder (mode 0700) and the secret. */
export async function createFolder(): Promise<string> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "armor-demo-")));
  chmodSync(folder, 0o700);
  writeFileSync(join(folder, marker), "");
  const { createSecret, writeSecretFile } = await import("../../transports/secret.ts");
  writeSecretFile(join(folder, "secret"), createSecret());
  return folder;
}

/**
 * Start three nodes and wait until they are one cluster with all its armors.
 *
 * @throws {CommandError} If they are not after several tries; the text has what a node said.
 */
export async function startCluster(folder: string): Promise<Cluster> {
  for (let left = startTries; ; left--) {
    const ports = await freePorts(nodesCount + 1);
    const cluster = layOut(folder, ports);
    const problem = await startNodes(cluster);
    if (problem === undefined) return cluster;
    for (const { folder: node, session } of cluster.nodes) {
      session.close();
      await killNode(node);
      removeNode(node);
    }
    // Somebody may have been faster at one of the ports.
    if (left <= 1) throw new CommandError("unavailable", `cannot start three nodes: ${printable(problem)}`);
  }
}

function layOut(folder: string, ports: readonly number[]): Cluster {
  const secretFile = join(folder, "secret");
  const addresses = ports.map((port) => `127.0.0.1:${port}`);
  const nodes = addresses.slice(0, nodesCount).map((address, index): ClusterNode => {
    const name = `n${index + 1}`;
    const data = join(folder, name);
    const join1 = index === 0 ? [] : ["--join", addresses[0]!];
    const argv = ["--role", "daemon", "--node", name, "--listen", address, ...join1, "--data-dir", data, "--secret-file", secretFile];
    return { name, folder: data, address, argv, session: new NodeSession(data) };
  });
  return { folder, secretFile, nodes, applicationPort: ports[nodesCount]! };
}

/** @returns What went wrong. */
async function startNodes({ folder, nodes }: Cluster): Promise<string | undefined> {
  let problem: string | undefined;
  const logOf = (name: string): string => join(folder, `${name}.log`);
  for (const { name, argv } of nodes) {
    rmSync(logOf(name), { force: true });
    const node = spawnDetached({ argv: [...selfArgv(), ...argv], env: armorEnvironment(process.env), logFile: logOf(name) });
    node.onExit(({ code, signal }) => {
      const said = readFileSync(logOf(name), "utf8").trim().split("\n").at(-1) || `it ended with ${signal ?? `status ${code}`}`;
      problem ??= `node ${name}: ${said.replace(/^armor: /, "")}`;
    });
  }
  const ready = await until(async () => problem ?? ((await isSettled(nodes)) || undefined), { withinMs: startWithinMs, pauseMs: 20 });
  return ready === undefined ? `they were no cluster after ${startWithinMs / 1_000} s` : problem;
}

/** Whether every one of these nodes sees them all alive, every armor running and every application as wanted. */
export async function isSettled(nodes: readonly ClusterNode[]): Promise<boolean> {
  const views = await Promise.all(nodes.map(({ session }) => session.status()));
  return views.every((view) => view !== undefined && isCalm(view, nodes.map(({ name }) => name)));
}

function isCalm(view: StatusDocument, names: readonly string[]): boolean {
  const { armors = [], applications = [], nodes = [] } = view;
  const runs = (role: string, node?: string): boolean =>
    armors.some((armor) => armor.role === role && armor.state === "running" && armor.pid !== null && (node === undefined || armor.node === node));
  const alive = names.every((name) => nodes.some((node) => node.name === name && node.state === "alive"));
  const everywhere = names.every((name) => runs("daemon", name) && runs("execution", name));
  const applicationsRun = applications.every(({ instances = [] }) => instances.length > 0 && instances.every(({ state }) => state === "running"));
  return view.stale === false && alive && everywhere && runs("ftm") && (names.length < 2 || runs("heartbeat")) && applicationsRun;
}

/**
 * Run a command of this executable to its end, as an operator does.
 *
 * @returns Standard output.
 * @throws {CommandError} With what it said on standard error.
 */
export function runArmor(argv: readonly string[]): Promise<string> {
  const [program, ...first] = selfArgv();
  return new Promise((done, failed) => {
    const child = spawn(program, [...first, ...argv], { env: cleanEnvironment(process.env), stdio: ["ignore", "pipe", "pipe"] });
    let out = "";
    let errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      errors += text;
    });
    child.on("error", (cause) => failed(new CommandError("unavailable", `cannot run armor ${argv[0]}: ${cause.message}`, { cause })));
    child.on("close", (status) => {
      if (status === 0) done(out);
      else failed(new CommandError("unavailable", `armor ${argv[0]} failed: ${printable(errors.trim().replace(/^armor: /, ""))}`));
    });
  });
}

/**
 * End everything of a demonstration and delete its folder.
 *
 * @throws {ArmorError} `"refused"` if the folder is none of ours, `"unavailable"` if something does not end.
 */
export async function removeCluster(folder: string): Promise<void> {
  if (!existsSync(join(folder, marker))) {
    throw new CommandError("refused", `"${printable(folder)}" is no folder of armor demo`);
  }
  const nodes = Array.from({ length: nodesCount }, (_, index) => join(realpathSync(folder), `n${index + 1}`));
  const ended = await Promise.all(nodes.map((node) => killNode(node)));
  if (ended.includes(false)) {
    throw new ArmorError("unavailable", `processes of the demonstration in "${printable(folder)}" do not end: see ps`);
  }
  for (const node of nodes) removeNode(node);
  rmSync(folder, { recursive: true, force: true });
}
