/**
 * A guard's process on whatever machine: the pure {@link Guard} between its UDP
 * ports and its daemon. `run_guard.ts` gives it the real machine.
 *
 * @module
 */
import type { ProcessIdentity } from "../../core/process_identity.ts";
import type { HostPort } from "../../transports/address.ts";
import { Guard, type GuardEffect, type GuardEvent } from "../guard.ts";
import { daemonOf } from "../shapes.ts";
import { type DetachedProcess, isOwnEnd } from "./child_process.ts";
import { againStatus, hopelessStatus } from "./daemon_end.ts";
import { type GuardPorts, openGuardPorts } from "./guard_ports.ts";
import { type IdentityStore, type NodeIdentity, unjoined } from "./identity.ts";
import type { Machine } from "./machine.ts";

/** A guard's machine. */
export interface GuardMachine extends Machine {
  readonly identity: IdentityStore;
  /** Heartbeat key of an armor or guard. */
  keyOf(id: string): Uint8Array;
  /** @param restarts How often before. @param ownEnd The last one ended by its own doing. */
  startDaemon(restarts: number, ownEnd: boolean): DetachedProcess;
  /** A living daemon of this node. */
  findDaemon(): ProcessIdentity | undefined;
  /** The exit status of which a daemon that has ended left word. */
  daemonEnd(daemon: ProcessIdentity): number | null;
  /** What a daemon told last. */
  lastWords(): string;
  isAlive(identity: ProcessIdentity): boolean;
  /** Call `ended` when that daemon, which has started this guard, has ended. @returns `undefined` where it will not be told. */
  onParentEnd(daemon: ProcessIdentity, ended: () => void): (() => void) | undefined;
  /** By a signal. */
  isStopped(identity: ProcessIdentity): boolean;
  signal(identity: ProcessIdentity, signal: NodeJS.Signals): void;
  killAndConfirm(identity: ProcessIdentity, signal: NodeJS.Signals, timeoutMs: number): Promise<boolean>;
  /** Called when the guard of a service manager wants to take this one's place. */
  onYield(asked: () => void): void;
}

/** What a guard is told. */
export interface GuardOptions {
  /** Where it listens. */
  readonly listen: HostPort;
  /** Under which others reach the node. */
  readonly address: string;
  /** Started by an operator or a service manager, not by a daemon. */
  readonly operator: boolean;
}

const killWithinMs = 5_000;
const endWithinMs = 10_000;
const lookEveryMs = 50;
/** Between looks at a daemon whose end will be told. */
const lookSlowlyEveryMs = 500;

/**
 * Returns while it runs.
 *
 * @throws {AddressError}
 */
export async function runGuardProcess(machine: GuardMachine, identity: NodeIdentity, options: GuardOptions): Promise<void> {
  await new GuardProcess(machine, identity, options).start();
}

class GuardProcess {
  readonly #guard: Guard;
  #identity: NodeIdentity;
  #ports!: GuardPorts;
  #daemon: ProcessIdentity | undefined;
  #restarts = 0;
  /** The last daemon ended by its own doing. */
  #ownEnd = false;
  /** It was stopped when it was ended. */
  #wasStopped = false;
  /** Why the last one could not be started, as it was told. */
  #notStarted = "";
  #stopping = false;
  #disarm: (() => void) | undefined;

  constructor(readonly machine: GuardMachine, identity: NodeIdentity, readonly options: GuardOptions) {
    this.#identity = identity;
    this.#guard = new Guard(identity.id, machine.random);
  }

  async start(): Promise<void> {
    const { machine, options } = this;
    this.#ports = await openGuardPorts({
      machine,
      listen: options.listen,
      keyOf: (id) => machine.keyOf(id),
      cluster: () => this.#cluster(),
      heard: (event) => this.#step(event),
    });
    machine.onTerminate(() => this.#stop());
    // A replacement gives way to the guard that a service manager starts.
    machine.onYield(() => {
      if (!options.operator) this.#end(0);
    });
    this.#step({ kind: "start", daemonLives: this.#adopt() });
  }

  /** A node that has joined meanwhile belongs to a cluster now. */
  #cluster(): string {
    if (this.#identity.cluster === "") this.#identity = this.machine.identity.read() ?? this.#identity;
    return this.#identity.cluster || unjoined;
  }

  #step(event: GuardEvent): void {
    const { clock } = this.machine;
    for (const effect of this.#guard.step(event, clock.nowMs())) this.#perform(effect);
    this.#disarm?.();
    this.#disarm = clock.after(Math.max(1, this.#guard.wakeAtMs - clock.nowMs()), () => this.#step({ kind: "tick" }));
  }

  #perform(effect: GuardEffect): void {
    const { machine, options } = this;
    const self = `guard@${this.#identity.id}`;
    switch (effect.kind) {
      case "reply":
        return this.#ports.answer({ ...effect, from: self, detail: options.address });
      case "relay":
        return this.#ports.answer(effect);
      case "forward":
        return this.#ports.ask(effect);
      case "ask-daemon":
        return this.#ports.ask({ from: self, to: daemonOf(this.#identity.id), nonce: effect.nonce });
      case "start-daemon":
        return this.#startDaemon();
      case "kill-daemon":
        machine.tell("the daemon's main loop does not turn: it is restarted");
        // A signal that stops it may be anybody's, as one that kills it.
        this.#wasStopped = this.#daemon !== undefined && machine.isStopped(this.#daemon);
        this.#ownEnd = !this.#wasStopped;
        return void (this.#daemon && machine.killAndConfirm(this.#daemon, "SIGKILL", killWithinMs));
      case "end":
        return this.#end(effect.status);
    }
  }

  #startDaemon(): void {
    const child = this.#tryDaemon();
    this.#daemon = child?.identity;
    // As one that ended at once; not within this step, which is not over.
    if (!child) return void this.machine.clock.after(0, () => this.#exited(undefined, null));
    [this.#ownEnd, this.#wasStopped] = [false, false];
    child.onExit(({ code, signal }) => {
      this.#ownEnd ||= isOwnEnd(code, signal);
      this.#exited(child.identity, code);
    });
  }

  /** No process, no memory, no log file: that passes, and a node without a guard has nobody to wait for it. */
  #tryDaemon(): DetachedProcess | undefined {
    try {
      const child = this.machine.startDaemon(this.#restarts++, this.#ownEnd);
      this.#notStarted = "";
      return child;
    } catch (error) {
      const reason = messagesOf(error);
      if (reason !== this.#notStarted) this.machine.tell(`the daemon cannot be started: ${reason}`);
      this.#notStarted = reason;
      return undefined;
    }
  }

  #exited(which: ProcessIdentity | undefined, code: number | null): void {
    const { machine } = this;
    if (this.#daemon && which && this.#daemon.pid !== which.pid) return;
    if (this.#stopping) return this.#end(0);
    const hopeless = code === hopelessStatus || code === 1;
    if (hopeless) machine.tell(machine.lastWords());
    if (code === 0) return this.#end(0);
    if (code === againStatus) [this.#restarts, this.#ownEnd] = [0, false];
    // It may have another cluster from now on: read again.
    this.#identity = { ...this.#identity, cluster: "" };
    this.#step({ kind: "daemon-exited", hopeless, stopped: this.#wasStopped });
  }

  /** A daemon from before this guard. */
  #adopt(): boolean {
    const { machine } = this;
    const found = machine.findDaemon();
    if (!found) return false;
    this.#daemon = found;
    const look = (): void => {
      if (machine.isAlive(found)) return;
      stopLooking();
      stopListening?.();
      this.#exited(found, machine.daemonEnd(found));
    };
    const stopListening = machine.onParentEnd(found, look);
    const stopLooking = machine.clock.every(stopListening ? lookSlowlyEveryMs : lookEveryMs, look);
    return true;
  }

  #stop(): void {
    const { machine } = this;
    if (this.#stopping) return;
    this.#stopping = true;
    if (!this.#daemon || !machine.isAlive(this.#daemon)) return this.#end(0);
    machine.signal(this.#daemon, "SIGTERM");
    machine.clock.after(endWithinMs, () => this.#end(0));
  }

  #end(status: number): void {
    this.#ports.close();
    this.machine.exit(status);
  }
}

/** What an error and its causes say, in one line. */
function messagesOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : `${error.message}: ${messagesOf(error.cause)}`;
}
