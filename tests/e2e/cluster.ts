/**
 * Clusters of real processes for tests: on free ports of loopback, or every node
 * on a host of its own in a network namespace. Whatever a test starts ends with
 * it, also when the test is killed.
 *
 * @module
 */
import { spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import process from "node:process";
import { freePorts } from "../../cli/demo/ports.ts";
import { armorBinary, run } from "../runtime/binary.ts";
import { ask } from "./http_client.ts";
import { cleanUp } from "./janitor.ts";
import { type Answer, makeNetwork, type Network } from "./network.ts";
import { type ClusterPlace, type InstanceStatus, Node, type Status } from "./node.ts";
import { waitFor } from "./wait.ts";

/** What a cluster is made of. */
export interface ClusterOptions {
  readonly nodes: number;
  /** Hosts in namespaces; see `missingForNamespaces()`. Default: loopback. */
  readonly namespaces?: boolean;
  /** More flags of every daemon. */
  readonly flags?: readonly string[];
  /** What each node runs, if not the executable that everything else is run with. */
  readonly binaries?: readonly (string | undefined)[];
}

/** Nodes that know each other. */
export class Cluster {
  readonly nodes: readonly Node[];
  readonly network: Network | undefined;
  readonly #janitor: ChildProcess;

  private constructor(readonly place: ClusterPlace, nodes: readonly Node[]) {
    this.nodes = nodes;
    this.network = place.network;
    const argv = [join(import.meta.dirname, "janitor.ts"), place.folder, ...(place.network?.namespaces ?? [])];
    this.#janitor = spawn(process.execPath, argv, { detached: true, stdio: ["pipe", "ignore", "inherit"] });
    this.#janitor.unref();
  }

  /** Make folders, secret and network; nothing runs yet. */
  static async make({ nodes: count, namespaces = false, binaries = [] }: ClusterOptions): Promise<Cluster> {
    const binary = realpathSync(await armorBinary());
    const folder = mkdtempSync(join(realpathSync(tmpdir()), "armor-e2e-"));
    const secretFile = join(folder, "secret");
    const made = run([binary, "init", "--secret-file", secretFile]);
    if (made.status !== 0) throw new Error(`armor init: ${made.stderr}`);
    const network = namespaces ? makeNetwork(basename(folder), count) : undefined;
    const place = { binary, folder, secretFile, network };
    const nodes: Node[] = [];
    for (let number = 1; number <= count; number++) {
      const address = network ? `${network.address(number)}:7000` : `127.0.0.1:${await freePort()}`;
      nodes.push(new Node({ ...place, binary: binaries[number - 1] ?? binary }, number, address));
    }
    return new Cluster(place, nodes);
  }

  /** Make it and start all nodes; each is ready. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = await Cluster.make(options);
    try {
      const [first, ...others] = cluster.nodes;
      const { flags = [] } = options;
      await first!.start({ flags });
      await Promise.all(others.map((node) => node.start({ join: [first!.address], flags })));
      await cluster.settled();
      return cluster;
    } catch (error) {
      const text = cluster.diagnosis();
      await cluster.end();
      throw new Error(`${(error as Error).message}\n${text}`, { cause: error });
    }
  }

  node(name: string): Node {
    const found = this.nodes.find((one) => one.name === name);
    if (!found) throw new Error(`no node ${name}`);
    return found;
  }

  /** Wait until all of `nodes` agree on a cluster in which every armor runs, and every program unless told otherwise. */
  async settled(nodes: readonly Node[] = this.nodes, timeoutMs = 20_000, programs = true): Promise<Status> {
    return await waitFor("the cluster is settled", async () => {
      const all = await Promise.all(nodes.map((node) => node.statusNow()));
      const [first] = all;
      const good = all.every((status) =>
        status !== undefined && !status.stale && status.ftm?.pid === first!.ftm?.pid && status.epoch.number === first!.epoch.number &&
        status.ftm?.state === "running" && (nodes.length === 1 || status.heartbeat?.state === "running" && status.heartbeat.node !== status.ftm.node) &&
        nodes.every(({ name }) => status.nodes.some((node) => node.name === name && node.state === "alive")) &&
        status.armors.every(({ state }) => state === "running") &&
        nodes.every(({ name }) => status.armors.some(({ role, node }) => role === "execution" && node === name)) &&
        (!programs || status.applications.every(({ instances }) => instances.every(({ state }) => state === "running" || state === "completed" || state === "stopped")))
      );
      return good && first;
    }, timeoutMs, 20).catch(async (error) => {
      const seen = await Promise.all(nodes.map(async (node) => `${node.name}: ${JSON.stringify(await node.statusNow(), short)}`));
      throw new Error(`${error.message}\n${seen.join("\n")}\n${this.diagnosis()}`);
    });
  }

  /** Ask a program's HTTP server as a client of the network. */
  async get(url: string): Promise<Answer> {
    return await (this.network?.get(url) ?? ask(url));
  }

  /** Programs and data of a test. */
  folder(name: string): string {
    const path = join(this.place.folder, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** End everything; the janitor does the same if this is never called. */
  async end(): Promise<void> {
    this.network?.remove();
    await cleanUp(this.place.folder, this.network?.namespaces ?? []);
    this.#janitor.stdin!.end();
  }

  /** What all nodes logged, for error texts. */
  diagnosis(): string {
    return this.nodes.map((node) => node.logs()).join("\n");
  }
}

/** Status without what nobody reads in an error text. */
function short(key: string, value: unknown): unknown {
  return key === "elements" || key === "generation" || key === "address" ? undefined : value;
}

/** The instances of an application; none if it is unknown. */
export function instances(status: Status, name: string): readonly InstanceStatus[] {
  return status.applications.find((one) => one.name === name)?.instances ?? [];
}

/** A port that is free for TCP and UDP on loopback, and stays so while a node is down. */
export async function freePort(): Promise<number> {
  return (await freePorts(1))[0]!;
}

/** Text of a small file that another process writes; empty while it is not there. */
export function textOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
