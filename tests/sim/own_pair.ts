/**
 * An operator with two armors of their own, made of `examples/counter_pair.ts`:
 * installs them, has one send numbered messages to the other, replaces their
 * element while messages flow, removes them and begins anew. Each message counts
 * once at its receiver, unless an event says that one of the two was rewound.
 *
 * @module
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { DataRecord } from "../../core/data.ts";
import { elementSdk, type ElementFactory } from "../../core/element_sdk.ts";
import type { OperationAnswer } from "../../armors/elements/operator.ts";
import { hashOf } from "../../armors/host/element_loader.ts";
import counterPair from "../../examples/counter_pair.ts";
import type { SimCluster } from "./sim_cluster.ts";
import { addSource } from "./sim_loader.ts";

type Counts = { readonly left: number; readonly sent: number; readonly back: readonly number[]; readonly received: number; readonly sum: number };
type Name = "ping" | "pong";

/** Asks one node's daemon; `undefined`: no answer. `alone`: it answers for one of two nodes that differ about this armor. */
export type Ask = (operation: string, args: DataRecord, answered: (answer: OperationAnswer | undefined, alone?: boolean) => void) => void;

const names: readonly Name[] = ["ping", "pong"];
const versionsMax = 30;
/** As it is written, not as one of the runtimes would translate it: the bytes on the disk must be the same on all. */
const example = readFileSync(join(import.meta.dirname, "../../examples/counter_pair.ts"), "utf8");

/** The example as its author might go on with it: the same under a higher version. */
function sourceOf(version: number): string {
  const factory: ElementFactory = (sdk) => ({ ...[counterPair(sdk)].flat()[0]!, version, migrate: (state: unknown) => state as never });
  const source = `${example}\n// version ${version}\n`;
  addSource(hashOf(source), [factory(elementSdk)].flat());
  return source;
}

const sources = Array.from({ length: versionsMax }, (_, index) => sourceOf(index + 1));

/** The pair and what is known of it. */
export class OwnPair {
  /** Ids of those that are there. */
  readonly #ids = new Map<Name, string>();
  /** What each may be made of: the last version acknowledged, and those after it that nobody spoke of. */
  readonly #versions = new Map<Name, Set<number>>();
  #wanted: "there" | "gone" | "unknown" = "gone";
  /** That nothing had to be changed was said for one side only: the other may have removed it meanwhile, or have it still. */
  #doubtful = false;
  #version = 1;
  #over = false;

  constructor(readonly cluster: SimCluster, readonly ask: Ask) {}

  /** Begin. */
  start(): void {
    this.#later(2_000 + this.cluster.plan.below(6_000), () => this.#next());
  }

  /** No new operations. */
  end(): void {
    this.#over = true;
  }

  #later(delayMs: number, run: () => void): void {
    this.cluster.clock.at(this.cluster.clock.nowMs + delayMs, run);
  }

  #next(): void {
    if (this.#over) return;
    const { plan } = this.cluster;
    const then = (): void => this.#later(100 + plan.below(3_000), () => this.#next());
    const missing = names.find((name) => !this.#ids.has(name));
    if (missing) return this.#install(missing, then);
    const choice = plan.below(20);
    if (choice === 0) this.#remove("ping", () => this.#remove("pong", then));
    else if (choice < 8 && this.#version < versionsMax) this.#replace(names[plan.below(2)]!, then);
    else this.#send(then);
  }

  #install(name: Name, then: () => void): void {
    this.#wanted = "unknown";
    this.ask("own.install", { name, node: null, source: sources[0]!, hash: hashOf(sources[0]!), elements: ["counter"] }, (answer, alone = false) => {
      if (answer?.ok && typeof answer["id"] === "string") {
        this.#doubtful ||= alone && !answer.changed;
        this.#ids.set(name, answer["id"]);
        this.#versions.set(name, new Set([1]));
        if (this.#ids.size === names.length) this.#wanted = this.#doubtful ? "unknown" : "there";
      }
      then();
    });
  }

  #send(then: () => void): void {
    const messages = 1 + this.cluster.plan.below(60);
    const payload = { peer: this.#ids.get("pong")!, messages };
    this.ask("armor.send", { armor: "ping", op: "pair.start", payload }, then);
  }

  #replace(name: Name, then: () => void): void {
    const version = ++this.#version;
    const versions = this.#versions.get(name)!;
    versions.add(version);
    this.ask("elements.change", { verb: "replace", armor: name, name: "counter", source: sources[version - 1]! }, (answer) => {
      // What was not acknowledged may come yet.
      if (answer?.ok && this.#versions.get(name) === versions) for (const older of [...versions]) if (older < version) versions.delete(older);
      then();
    });
  }

  #remove(name: Name, then: () => void): void {
    this.#wanted = "unknown";
    this.ask("application.remove", { name }, (answer, alone = false) => {
      if (!answer?.ok) return this.#over ? undefined : this.#later(1_000, () => this.#remove(name, then));
      if (this.#ids.size === names.length) this.#doubtful = false;
      this.#doubtful ||= alone && !answer.changed;
      this.#ids.delete(name);
      if (this.#ids.size > 0) return then();
      if (!this.#doubtful) this.#wanted = "gone";
      this.#doubtful = false;
      then();
    });
  }

  /** What is not as it should be, once faults are over. */
  problems(): string[] {
    const own = this.cluster.processes("own");
    // Two that were apart may each have had a pair, or one have changed what the other removed.
    if (this.#wanted === "unknown" || this.#events("application.superseded").some((subject) => names.includes(subject as Name))) return [];
    if (this.#wanted === "gone") return own.map(({ node, process }) => `armor ${process.name} runs on ${node.name} though it was removed`);
    const counts = new Map<Name, Counts>();
    const found: string[] = [];
    for (const [name, id] of this.#ids) {
      const [one, ...more] = own.filter(({ process }) => process.name === id);
      const kernel = one && this.cluster.life(one.process)?.kernel;
      if (!kernel || more.length > 0) found.push(`${name} runs ${one ? 1 + more.length : 0} times`);
      else {
        counts.set(name, kernel.state("counter") as unknown as Counts);
        const version = kernel.describe().find((element) => element.name === "counter")?.version ?? 0;
        if (!this.#versions.get(name)!.has(version)) found.push(`the element of ${name} has version ${version}, acknowledged was ${[...this.#versions.get(name)!].join(" or ")}`);
      }
    }
    const [ping, pong] = [counts.get("ping"), counts.get("pong")];
    if (!ping || !pong || found.length > 0) return found;
    if (ping.left + ping.back.length > 0) return [`ping has ${ping.left + ping.back.length} messages left to send`];
    const once = pong.received === ping.sent && pong.sum === ping.sent * (ping.sent + 1) / 2;
    if (!once && !this.#wasRewound()) return [`pong received ${pong.received} messages of ${ping.sent}, their sum is ${pong.sum}`];
    return [];
  }

  /** An event says that one of the two has lost a part of its state, or of its checkpoint. */
  #wasRewound(): boolean {
    const told = [...this.#events("armor.rewound"), ...this.#events("checkpoint.damaged")];
    return told.some((subject) => [...this.#ids.values()].includes(subject));
  }

  /** Subjects of all events of a kind. */
  #events(kind: string): string[] {
    const events = this.cluster.nodes.flatMap(({ disk }) => [...disk.events.values()] as DataRecord[]);
    return events.filter((event) => event["kind"] === kind).map(({ subject }) => String(subject));
  }
}
