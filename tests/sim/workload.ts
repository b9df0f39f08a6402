/**
 * What operators do to a simulated cluster, and what they may expect of it
 * afterwards. One operator for each application, who waits for each answer.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import type { ApplicationEntry, NodeRegistration } from "../../armors/shapes.ts";
import type { FtmLocation } from "../../armors/elements/epoch_promise.ts";
import type { OperationAnswer } from "../../armors/elements/operator.ts";
import { Acknowledged, type Outcome, type Superseded } from "./checkers/acknowledged_kept.ts";
import { OwnPair } from "./own_pair.ts";
import { canonicalText } from "./plain_data.ts";
import type { SimCluster } from "./sim_cluster.ts";
import type { SimNode } from "./sim_node.ts";
import { poisonous } from "./sim_programs.ts";

/** An answer that has not come by then never comes. */
const giveUpMs = 9_000;

/** What programs do; steady ones are the more usual. */
const programKinds = ["steady", "steady", "flaky", "hangs", "stubborn", "job", "local", "loops"];

/** One application and its operator. */
export interface Kept {
  readonly name: string;
  readonly application: DataRecord;
  readonly acknowledged: Acknowledged;
}

/** Operators at work. */
export class Workload {
  readonly applications: Kept[] = [];
  /** Operations by outcome. */
  readonly counts = { done: 0, refused: 0, unknown: 0 };
  #over = false;
  #waiting = 0;

  /** Armors of the operators' own, in some clusters. */
  readonly pair: OwnPair | undefined;

  constructor(readonly cluster: SimCluster, readonly kinds: readonly string[] = programKinds) {
    const { plan } = cluster;
    if (plan.below(2) === 0) this.pair = new OwnPair(cluster, (operation, args, answered) => {
      const name = String(args["name"] ?? args["armor"]);
      this.#ask(operation, name, args, (answer, _done, node) => answered(answer, answer !== undefined && this.#aloneIn(node, name) > 0));
    });
    const count = 1 + plan.below(4);
    for (let index = 0; index < count; index++) this.applications.push(this.#invent(index));
  }

  /** Begin. */
  start(): void {
    for (const kept of this.applications) this.#after(this.cluster.plan.below(6_000), () => this.#next(kept, "application.submit"));
    this.pair?.start();
  }

  /** No new operations. */
  end(): void {
    this.#over = true;
    this.pair?.end();
  }

  /** Somebody waits for an answer. */
  get busy(): boolean {
    return this.#waiting > 0;
  }

  /** Submit what kills every execution armor that is asked about it; nobody expects to be answered. */
  poison(node: SimNode): void {
    if (!node.daemon?.process.alive) return;
    const application = { ...this.#invent(0).application, name: "poison", command: poisonous };
    node.daemon.operate("application.submit", { application }, () => {});
    this.cluster.trace(`operator: submits poison at ${node.name}`);
  }

  #invent(index: number): Kept {
    const { plan, nodes } = this.cluster;
    const kind = this.kinds[plan.below(this.kinds.length)]!;
    const name = `${kind}${index}`;
    const only = nodes[plan.below(nodes.length)]!.name;
    const period = 200 + plan.below(4_000);
    const args: { readonly [kind: string]: string[] } = {
      steady: ["run"],
      flaky: ["exit", String(period), "1", "4"],
      hangs: ["hang", String(period), "0", "2"],
      stubborn: ["stubborn"],
      job: ["exit", String(period), "0"],
      local: ["run"],
      loops: ["loop", String(50 + Math.floor(period / 10)), "1"],
    };
    const application = {
      name,
      command: kind === "local" ? `/bin/only-${only}` : "/bin/program",
      args: args[kind]!,
      env: {},
      directory: null,
      user: null,
      instances: 1 + plan.below(3),
      node: null,
      pin: false,
      kind: kind === "job" ? "job" : "service",
      singleton: false,
      ...(kind === "loops" && { restart: { delayCapMs: 4_000 } }),
    };
    return { name, application, acknowledged: new Acknowledged() };
  }

  #after(delayMs: number, run: () => void): void {
    this.cluster.clock.at(this.cluster.clock.nowMs + delayMs, run);
  }

  /** Ask a daemon that is up, once there is one. */
  #ask(operation: string, what: string, args: DataRecord, answered: (answer: OperationAnswer | undefined, done: boolean | undefined, node: SimNode, askedAloneIn: number) => void): void {
    const { plan, nodes } = this.cluster;
    const up = nodes.filter((node) => node.daemon?.process.alive);
    const node = up[plan.below(Math.max(1, up.length))];
    if (!node) return this.#after(1_000, () => this.#over || this.#ask(operation, what, args, answered));
    let over = false;
    const askedAloneIn = this.#aloneIn(node, what);
    this.#waiting += 1;
    const settle = (answer: OperationAnswer | undefined): void => {
      if (over) return;
      over = true;
      this.#waiting -= 1;
      const done = answer === undefined || (!answer.ok && answer.code === "unknown") ? undefined : answer.ok;
      this.counts[done === undefined ? "unknown" : done ? "done" : "refused"] += 1;
      this.cluster.trace(`operator: ${operation} ${what} at ${node.name}: ${JSON.stringify(answer ?? "no answer")}`);
      answered(answer, done, node, askedAloneIn);
    };
    this.#after(giveUpMs, () => settle(undefined));
    this.cluster.trace(`operator: ${operation} ${what} at ${node.name}`);
    const { daemon } = node;
    // Who has given up has closed the connection: what was not read by then never is.
    daemon!.process.run(() => over || daemon!.operate(operation, args, settle));
  }

  #next(kept: Kept, operation: string): void {
    if (this.#over) return;
    const { plan } = this.cluster;
    const args = operation === "application.submit" ? { application: kept.application } : { name: kept.name };
    this.#ask(operation, kept.name, args as unknown as DataRecord, (answer, done, node, askedAloneIn) => {
      const aloneIn = answer === undefined ? askedAloneIn : this.#aloneIn(node, kept.name);
      // Alone, an answer that nothing had to be changed speaks of that side only.
      const changed = aloneIn === 0 || !answer?.ok || answer.changed;
      if (done !== false && changed) kept.acknowledged.note({ operation, done, revision: answer?.ok ? answer.revision : undefined, aloneIn });
      // What was refused a moment before the other side's table was taken in speaks of that side only, too.
      else if (aloneIn + askedAloneIn === 0 && answer && !answer.ok && answer.error.startsWith("there is no application")) kept.acknowledged.noteAbsent();
      const more = ["application.stop", "application.start", "application.restart", "application.remove", "application.submit"];
      // What was refused or lost is often repeated.
      const again = done !== true && plan.below(2) === 0;
      const next = again ? operation : more[plan.below(more.length)]!;
      this.#after((done === undefined ? 3_000 : 100) + plan.below(12_000), () => this.#next(kept, next));
    });
  }

  /** The epoch in which a node answers for an application, if it is one of two that differ about it; else 0. */
  #aloneIn(node: SimNode, name: string): number {
    const known = (one: SimNode): { readonly [key: string]: Data } | undefined => one.daemon?.process.alive ? one.daemon.kernel.state("table_replica") as { [key: string]: Data } : undefined;
    const membersOf = (table: { readonly [key: string]: Data }): string[] =>
      Object.entries(table).filter(([key, value]) => key.startsWith("node:") && !(value as NodeRegistration).left).map(([key]) => key.slice(5));
    const own = known(node);
    if (!own) return 0;
    const members = membersOf(own);
    // Two that were apart may each have taken in others: neither knows all of them. No majority of more than two could do so twice.
    const grownApart = this.cluster.nodes.map(known).filter((other) => {
      const theirs = other ? membersOf(other) : members;
      return theirs.some((id) => !members.includes(id)) && members.some((id) => !theirs.includes(id));
    });
    if (members.length > 2 && grownApart.length === 0) return 0;
    // Where only one is left, those that have left may come back first, and act alone with what they knew.
    const two = this.cluster.nodes.filter((one) => one !== node && members.length <= 2 && (members.includes(one.id) || members.length === 1)).map(known);
    const others = [...two, ...grownApart];
    const keys = ["app", "gone", "armor", "gone-armor"].map((kind) => `${kind}:${name}`);
    if (others.every((other) => other && keys.every((key) => canonicalText(other[key] ?? null) === canonicalText(own[key] ?? null)))) return 0;
    const { ftm } = node.daemon!.kernel.state("epoch_promise") as { ftm: FtmLocation | null };
    return ftm?.epoch.number ?? 0;
  }

  /** Changes to an application that gave way, by the events of all nodes. */
  #superseded(name: string): Superseded[] {
    const events = this.cluster.nodes.flatMap(({ disk }) => [...disk.events.values()] as DataRecord[]);
    return events.filter(({ kind, subject }) => kind === "application.superseded" && subject === name)
      .map(({ revision, revisionEpoch }) => ({ revision: revision as number, epoch: revisionEpoch as number }));
  }

  /** What is not as the operators were told, given the FTM's table. */
  problems(table: { readonly [key: string]: unknown }): string[] {
    const own = this.pair?.problems() ?? [];
    const applications = this.applications.flatMap(({ name, acknowledged }) => {
      const { possible, revision } = acknowledged.expected(this.#superseded(name));
      const entry = table[`app:${name}`] as ApplicationEntry | undefined;
      const outcome: Outcome = entry === undefined ? "absent" : entry.desired;
      const found: string[] = [];
      if (!possible.has(outcome)) found.push(`"${name}" is ${outcome}, acknowledged was ${[...possible].join(" or ") || "a contradiction"}`);
      if (entry && entry.revision < revision) found.push(`"${name}" is at revision ${entry.revision}, acknowledged was ${revision}`);
      return found;
    });
    return [...applications, ...own];
  }
}
