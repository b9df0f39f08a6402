/**
 * The worked example of a counter pair under fire: two armors of one's own on two
 * nodes, messages between them, processes killed at random, elements replaced.
 *
 * @module
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../build/tools.mjs";
import { seededRandom } from "../../core/random.ts";
import type { Cluster } from "./cluster.ts";
import type { ArmorStatus, Node } from "./node.ts";
import { armorProcesses, type ProcessRole, signal } from "./processes.ts";
import { waitFor } from "./wait.ts";

/** What `pair.read` tells. */
export type Counts = { readonly left: number; readonly sent: number; readonly received: number; readonly sum: number };

export const example = join(root, "examples", "counter_pair.ts");

/** Two armors on two nodes of a cluster. */
export class CounterPair {
  readonly #random;

  private constructor(readonly cluster: Cluster, readonly pongId: string, seed: number) {
    this.#random = seededRandom(seed);
  }

  /** Install `ping` on the first node and `pong` on the second. */
  static async install(cluster: Cluster, seed: number): Promise<CounterPair> {
    const [first] = cluster.nodes as [Node];
    await first.json("install", "--name", "ping", "--elements", example, "--node", "n1");
    const { id } = await first.json<{ id: string }>("install", "--name", "pong", "--elements", example, "--node", "n2");
    const pair = new CounterPair(cluster, id, seed);
    await waitFor("both run", async () => (await pair.armor("ping"))?.state === "running" && (await pair.armor("pong"))?.state === "running", 10_000, 50);
    return pair;
  }

  get node(): Node {
    return this.cluster.nodes[0]!;
  }

  async armor(name: string): Promise<ArmorStatus | undefined> {
    return (await this.node.status(2_000)).armors.find((one) => one.name === name);
  }

  /** Have `ping` send so many messages more. */
  async start(messages: number): Promise<void> {
    await this.node.json("send", "ping", "pair.start", JSON.stringify({ peer: this.pongId, messages }));
  }

  async read(name: string): Promise<Counts> {
    return await waitFor(`${name} answers`, async () => await this.node.json<Counts>("send", name, "pair.read"), 15_000, 100);
  }

  /**
   * Kill one process of the cluster's armors, any of them that lives. Not by status: a daemon that has just started shows
   * itself alone, and who goes by that kills each as soon as it is back.
   *
   * @returns Whether there was one.
   */
  killOne(roles: readonly ProcessRole[]): boolean {
    const targets = this.cluster.nodes.flatMap((node) => armorProcesses(node.dataDir)).filter(({ role }) => roles.includes(role));
    return targets.length > 0 && signal(targets[this.#random.below(targets.length)]!.pid, "SIGKILL");
  }

  /**
   * Kill one after another while `run` is under way, at most `killsMax`: what is killed for ever recovers never.
   *
   * @returns How many.
   */
  async underFire(roles: readonly ProcessRole[], everyMs: number, killsMax: number, run: (killed: () => number) => Promise<void>): Promise<number> {
    let over = false;
    let killed = 0;
    const fire = (async () => {
      while (!over && killed < killsMax) {
        if (this.killOne(roles)) killed += 1;
        await new Promise((resolve) => setTimeout(resolve, everyMs));
      }
    })();
    try {
      await run(() => killed);
    } finally {
      over = true;
      await fire;
    }
    return killed;
  }

  /** Wait until `pong` has everything that `ping` was told to send. */
  async finished(messages: number, timeoutMs: number): Promise<{ readonly ping: Counts; readonly pong: Counts }> {
    return await waitFor(`${messages} messages have arrived`, async () => {
      const [ping, pong] = [await this.read("ping"), await this.read("pong")];
      return ping.left === 0 && pong.received >= messages && { ping, pong };
    }, timeoutMs, 200);
  }

  /** The example as another version, in a file of its own. */
  version(number: number): string {
    const text = readFileSync(example, "utf8").replace("version: 1,\n    state", `version: ${number},\n    migrate: (old) => old as State,\n    state`);
    const path = join(this.cluster.folder("elements"), `v${number}.ts`);
    writeFileSync(path, text);
    return path;
  }

  /** Replace the counter of `pong` again and again; a refusal or silence is tried again, as an operator would. */
  async replace(times: number): Promise<number> {
    let refused = 0;
    for (let round = 0; round < times; round++) {
      const path = this.version(2 + (round % 5));
      await waitFor(`replacement ${round}`, async () => {
        const { status, stderr } = await this.node.cli("element", "replace", "pong", "counter", "--elements", path);
        if (status === 0) return true;
        refused += 1;
        throw new Error(stderr);
      }, 30_000, 50);
    }
    return refused;
  }
}

/** What each message adds to the sum, once. */
export const sumOf = (messages: number): number => (messages * (messages + 1)) / 2;
