/**
 * One injection after the other into one cluster: each waits until the one
 * before is settled and checked.
 *
 * @module
 */
import { appendFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { nowMs } from "../../armors/host/system_clock.ts";
import type { RandomSource } from "../../core/random.ts";
import type { Node } from "../../tests/e2e/node.ts";
import { chosen, type Injected, inject, type PlannedFault } from "./faults.ts";
import { boundMs, type Life, pause } from "./life.ts";
import { batch, sleeper } from "./programs.ts";
import { type Injection, type Outcome, type Phase, roleOf } from "./record.ts";
import { injectAtSeam, isSeamFault } from "./seam_faults.ts";

/** Phases of a cluster that runs; the others are at its beginning. */
const runningPhases: readonly { readonly phase: Phase; readonly weight: number }[] = [
  { phase: "steady state", weight: 10 },
  { phase: "recovery in progress", weight: 4 },
  { phase: "two at once", weight: 4 },
  { phase: "submission", weight: 3 },
  { phase: "completion", weight: 3 },
  { phase: "start-up", weight: 1 },
];

/** Longer than anything that is noticed late takes to be noticed. */
const restMs = 4_000;

/** Pids before and after, without those that were meant to change. */
type Pids = ReadonlyMap<string, number>;

/** A system failure: the cluster is of no more use. */
export class SystemFailure extends Error {}

/** Injects into one cluster. */
export class Injector {
  #number = 0;
  #jobs = 0;
  #tasks = 0;
  /** Of the injection that is under way. */
  #hits: Hit[] = [];

  constructor(
    readonly life: Life,
    readonly random: RandomSource,
    readonly place: { readonly seed: number; readonly life: number; readonly nodes: number },
    readonly report: (injection: Injection) => void,
    readonly faults: readonly (PlannedFault & { readonly weight: number })[],
  ) {}

  /** While further nodes are started and join. */
  async registration(node: Node): Promise<void> {
    await this.#perform("registration", async () => {
      this.life.spawn(node);
      await pause(this.random.below(400));
      await this.#inject();
    });
  }

  /** Any fault in any phase. */
  async next(): Promise<void> {
    const { phase } = chosen(runningPhases, this.random);
    switch (phase) {
      case "recovery in progress":
        return await this.#perform(phase, async () => {
          await this.#inject();
          await pause(this.random.below(500));
          await this.#inject();
        });
      case "two at once":
        return await this.#perform(phase, async () => void (await Promise.all([this.#inject(), this.#inject()])));
      case "submission":
        return await this.#submission();
      case "completion":
        return await this.#completion();
      case "start-up":
        return await this.#startUp();
      default:
        return await this.#perform("steady state", () => this.#inject());
    }
  }

  /** Nothing happens for a while: what was put right has to stay so. */
  async rest(): Promise<void> {
    await this.#perform("steady state", () => pause(restMs));
  }

  /** While a node comes back. */
  async #startUp(): Promise<void> {
    const node = this.#any(this.life.nodes);
    await this.life.crash(node);
    await this.#perform("start-up", async () => {
      this.life.spawn(node);
      await pause(this.random.below(400));
      await this.#inject([node]);
    });
  }

  /** While a command is under way. */
  async #submission(): Promise<void> {
    const { life, random } = this;
    const by = this.#any(life.nodes);
    const task = [...life.wanted].find(([name, { state }]) => name.startsWith("task") && state !== "removed");
    const [name, now] = [task?.[0] ?? `task${++this.#tasks}`, task?.[1].state];
    const words = now === undefined ? "submit" : now === "stopped" ? this.#any(["start", "remove"]) : this.#any(["stop", "restart", "remove"]);
    const program = task?.[1].program ?? sleeper(name);
    await this.#perform("submission", async () => {
      // What is wanted is unknown until the acknowledgement.
      life.wanted.delete(name);
      const acknowledged = words === "submit" ? life.submit(program, by) : life.command(by, words, name);
      const caught = acknowledged.catch((error) => error as Error);
      await pause(random.below(120));
      await this.#inject();
      const error = await caught;
      if (error instanceof Error) throw new SystemFailure(error.message);
      life.wanted.set(name, { program, state: words === "stop" ? "stopped" : words === "remove" ? "removed" : "running" });
    }, [name]);
  }

  /** While a job ends. */
  async #completion(): Promise<void> {
    const { life } = this;
    const name = `job${++this.#jobs}`;
    const path = join(life.cluster.folder("programs"), `${name}.out`);
    const program = batch(name, path);
    await life.submit(program, this.#any(life.nodes));
    await life.settled();
    await this.#perform("completion", async () => {
      writeFileSync(`${path}.go`, "");
      life.wanted.set(name, { program, state: "completed" });
      await pause(this.random.below(100));
      await this.#inject();
      if (this.#hits.some(({ planned }) => /^(shim|node)/.test(planned.target))) life.wanted.set(name, { program, state: "completed", inDoubt: true });
    }, [name]);
    // A program that was hit, or whose shim was, may have done its work and be started again; one whose node was held lost, as all its armors stood still, runs elsewhere.
    const wasHit = this.#hits.some(({ planned }) => /^(job|shim|node)/.test(planned.target));
    const disturbed = wasHit || (this.#hits.some(({ planned }) => planned.target === "armors of a node") && (await life.events()).some(({ kind, subject }) => kind === "application.moved" && subject === `${name}.0`));
    const runs = existsSync(path) ? readFileSync(path, "utf8").trimEnd().split("\n").length : 0;
    const unknown = this.life.wanted.get(name)?.inDoubt === true;
    if ((runs < 1 && !unknown) || (runs > 1 && !disturbed)) throw new SystemFailure(`${name} ran to its end ${runs} times`);
    await life.command(this.#any(life.nodes), "remove", name);
    life.wanted.set(name, { program, state: "removed" });
  }

  async #inject(nodes: readonly Node[] = this.life.nodes): Promise<void> {
    for (let tries = 0; tries < 20; tries++) {
      const { target, fault } = chosen(this.faults, this.random);
      // The only copy of the application table: without it nothing can be kept.
      if (this.place.nodes === 1 && target === "daemon" && fault.startsWith("corrupt-checkpoint")) continue;
      const by = isSeamFault({ target, fault }) ? injectAtSeam : inject;
      const injected = await by(this.life, { target, fault }, this.random, nowMs, nodes);
      if (injected) return void this.#hits.push({ planned: { target, fault }, injected });
    }
  }

  async #perform(phase: Phase, act: () => Promise<void>, meant: readonly string[] = []): Promise<void> {
    const { life } = this;
    const before = this.#pids(meant);
    const begunMs = nowMs();
    const hits: Hit[] = (this.#hits = []);
    let wrong: string | undefined;
    let settledMs = 0;
    try {
      await act();
      await Promise.all(hits.map(({ injected }) => injected.over));
      await life.settled();
      settledMs = nowMs();
    } catch (error) {
      wrong = (error as Error).message.split("\n")[0]!;
    }
    const events = (await life.events()).filter(({ atMs }) => atMs >= begunMs - 2);
    const inDoubt = events.reduce((sum, event) => sum + (event.kind === "armor.rewound" ? Number((event as unknown as { inDoubt?: number }).inDoubt ?? 0) : 0), 0);
    const after = this.#pids(meant);
    const changed = [...before].filter(([name, pid]) => after.get(name) !== pid).map(([name]) => name);
    for (const { planned, injected } of hits.length > 0 ? hits : [unhit]) {
      const detection = events.filter((event) => injected.detects(event)).sort((a, b) => a.atMs - b.atMs)[0];
      const outcome: Outcome = wrong !== undefined
        ? "system failure"
        : changed.some((name) => name.startsWith("program ")) ? "application restarted" : inDoubt > 0 ? "in doubt" : changed.length > 0 || detection ? "recovered" : "no effect";
      if (injected === unhit.injected && wrong === undefined) continue;
      if (wrong !== undefined && injected.what) wrong += ` after ${injected.what}`;
      const toldAtMs = detection && detection.atMs - (detection.kind.endsWith("recovered") ? detection.durationMs ?? 0 : 0);
      // Of a process whose clock has jumped, times say nothing.
      const detectedAtMs = toldAtMs !== undefined && (settledMs === 0 || toldAtMs <= settledMs) ? toldAtMs : undefined;
      this.report({
        ...this.place,
        number: ++this.#number,
        phase,
        ...planned,
        atMs: Math.round(injected.atMs - begunMs + performance.now() - life.begunMs - (nowMs() - begunMs)),
        detectedBy: detection ? roleOf(detection.detectedBy ?? detection.kind) : null,
        detectionMs: detectedAtMs === undefined ? null : Math.max(0, Math.round(detectedAtMs - injected.atMs)),
        recoveredMs: wrong !== undefined ? null : Math.round(settledMs - injected.atMs),
        outcome,
        inDoubt,
        ...(wrong !== undefined && { wrong }),
      });
    }
    if (wrong !== undefined) throw new SystemFailure(wrong);
  }

  /** Every process by what it is. */
  #pids(meant: readonly string[]): Pids {
    const { life } = this;
    const programs = life.programs().filter(({ instance }) => !meant.includes(instance.replace(/\.\d+$/, "")));
    const armors = life.processes().filter(({ role }) => role !== "shim");
    return new Map([
      ...programs.map(({ instance, pid }): [string, number] => [`program ${instance}`, pid]),
      ...armors.map(({ role, node, pid }): [string, number] => [`${role} ${role === "ftm" || role === "heartbeat" ? "" : node.name}`, pid]),
    ]);
  }

  #any<Choice>(choices: readonly Choice[]): Choice {
    return choices[this.random.below(choices.length)]!;
  }
}

type Hit = { readonly planned: PlannedFault; readonly injected: Injected };

/** Something went wrong before there was a fault. */
const unhit: Hit = { planned: { target: "node", fault: "none" }, injected: { atMs: 0, over: Promise.resolve(), detects: () => false } };

/** Add a line to an NDJSON file. */
export function appendLine(path: string, value: unknown): void {
  appendFileSync(path, `${JSON.stringify(value)}\n`);
}

export { boundMs };
