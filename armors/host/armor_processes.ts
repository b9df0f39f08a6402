/**
 * Armor processes: starts, ends and watches the armors of one node for its
 * daemon. Armors outlive the daemon; a restarted one adopts them by their
 * process identity.
 *
 * @module
 */
import { rmSync } from "node:fs";
import process from "node:process";
import type { Clock } from "../../core/clock.ts";
import type { DataRecord } from "../../core/data.ts";
import { type Generation, generationText } from "../../core/generation.ts";
import type { Payload } from "../../core/payload.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { armorEnvironment } from "../environment.ts";
import type { Incarnation, Role } from "../shapes.ts";
import { setAside } from "./checkpoint_file.ts";
import { type DetachedProcess, isOwnEnd, selfArgv, spawnDetached } from "./child_process.ts";
import type { DataDir } from "./data_dir.ts";
import { badStateStatus } from "./hand_record.ts";
import { findArmorProcesses, identify, isAlive, isStopped, isUnseen, killAndConfirm, readProcess } from "./process_table.ts";
import { systemClock } from "./system_clock.ts";

type Tracked = { readonly process: ProcessIdentity; readonly child: boolean };
type Local = (op: string, payload: Payload) => void;

const lookEveryMs = 50;
const killWithinMs = 5_000;
const againAfterMs = 1_000;

/** What is asked of the machine. */
export interface ArmorSystem {
  readonly clock: Clock;
  /** @param anew Put its state aside first. @throws If it cannot be started. */
  start(role: Role, armor: string, flags: readonly string[], anew: boolean): DetachedProcess;
  /** A process of this node that is this armor. @throws If that cannot be seen now: it is asked again. */
  find(role: Role, armor: string): ProcessIdentity | undefined;
  /** An armor that is removed for ever leaves nothing behind. */
  forget(armor: string): void;
  isAlive(identity: ProcessIdentity): boolean;
  /** By a signal. */
  isStopped(identity: ProcessIdentity): boolean;
  killAndConfirm(identity: ProcessIdentity, signal: NodeJS.Signals, timeoutMs: number): Promise<boolean>;
}

/** Armors as processes of this machine. @param more Flags for each of them. */
export function armorSystem(data: DataDir, more: readonly string[] = []): ArmorSystem {
  return {
    clock: systemClock,
    start: (role, armor, flags, anew) => {
      if (anew) setAside(data.armor(armor));
      return spawnDetached({
        argv: [...selfArgv(), "--role", role, "--data-dir", data.path, ...(role === "own" ? ["--armor", armor] : []), ...flags, ...more],
        env: armorEnvironment(process.env),
        logFile: data.armorLog(armor),
      });
    },
    forget: (armor) => rmSync(data.armor(armor), { recursive: true, force: true }),
    find: (role, armor) => {
      const [pid] = findArmorProcesses([role], data.path, role === "own" ? armor : undefined);
      const entry = pid === undefined ? undefined : readProcess(pid);
      if (entry && isUnseen(entry)) throw new Error("the process table cannot be read");
      return entry && identify(entry.pid);
    },
    isAlive,
    isStopped,
    killAndConfirm,
  };
}

/** The processes behind the element `local_armors`. */
export class ArmorProcesses {
  readonly #tracked = new Map<string, Tracked>();
  /** Of each armor the start or end that is under way; another waits for it, or both would find nothing to end. */
  readonly #turns = new Map<string, Promise<void>>();
  /** Armors whose last process ended by its own doing. */
  readonly #ownEnds = new Set<string>();
  /** Armors that were stopped when they were ended for a hang. */
  readonly #stopped = new Set<string>();
  #looks = false;
  #ending = false;

  constructor(readonly system: ArmorSystem, readonly local: Local, readonly log: (text: string) => void) {}

  /** Command `armor.spawn`: nothing older of this armor lives when it starts. */
  spawn(args: DataRecord): Promise<void> {
    return this.#inTurn(String(args["armor"]), () => this.#spawn(args));
  }

  async #spawn(args: DataRecord): Promise<void> {
    const { armor, role, incarnation, generation, process: old, reset } = args as unknown as {
      armor: string;
      role: Role;
      incarnation: Incarnation;
      generation: Generation;
      process: ProcessIdentity | null;
      reset: boolean;
    };
    const before = this.#tracked.get(armor)?.process ?? old;
    this.#forget(armor);
    const options = ["--incarnation", `${incarnation.placement}.${incarnation.restart}`, "--epoch", generationText(generation)];
    try {
      await this.#endOlder(role, armor, before);
      if (this.#ending) return;
      if (this.#ownEnds.delete(armor)) options.push("--ended", "own");
      const child = this.system.start(role, armor, options, reset);
      const identity = child.identity ?? { pid: child.pid, startTicks: 0, bootId: "" };
      this.#tracked.set(armor, { process: identity, child: true });
      this.local("armor.spawned", { armor, process: identity });
      child.onExit(({ code, signal }) => {
        const cause = signal ? `signal ${signal}` : `status ${code}`;
        if (isOwnEnd(code, signal)) this.#ownEnds.add(armor);
        this.#gone(armor, identity, cause, code === badStateStatus);
      });
    } catch (error) {
      this.log(`cannot start armor "${armor}": ${String(error)}`);
      this.system.clock.after(againAfterMs, () => this.local("armor.gone", { armor, process: null, cause: "cannot be started" }));
    }
  }

  /** Command `process.watch`: an armor from before this daemon's start. */
  watch(args: DataRecord): void {
    const { armor, role, process: identity } = args as unknown as { armor: string; role: Role; process: ProcessIdentity | null };
    let found = identity;
    try {
      found ??= this.system.find(role, armor) ?? null;
    } catch {
      return void this.system.clock.after(againAfterMs, () => this.#tracked.has(armor) || this.watch(args));
    }
    if (!found || !this.system.isAlive(found)) {
      this.system.clock.after(0, () => this.local("armor.gone", { armor, process: identity, cause: "found dead" }));
      return;
    }
    if (!identity) this.local("armor.spawned", { armor, process: found });
    this.adopt(armor, found);
  }

  /** An armor has registered that is not a child of this daemon. */
  adopt(armor: string, identity: ProcessIdentity): void {
    if (this.#tracked.get(armor)?.process.pid === identity.pid) return;
    this.#tracked.set(armor, { process: identity, child: false });
    if (!this.#looks) this.system.clock.every(lookEveryMs, () => this.#look());
    this.#looks = true;
  }

  /** Its link closed: look at once. */
  hint(armor: string): void {
    const tracked = this.#tracked.get(armor);
    if (tracked && !tracked.child && !this.system.isAlive(tracked.process)) this.#gone(armor, tracked.process, "unknown", false);
  }

  /** The process of an armor, if one lives. */
  living(armor: string): ProcessIdentity | undefined {
    const tracked = this.#tracked.get(armor);
    return tracked && this.system.isAlive(tracked.process) ? tracked.process : undefined;
  }

  /** Command `process.kill`: a hang. Its end is reported as any other. */
  kill(args: DataRecord): void {
    const { armor, process: identity } = args as unknown as { armor: string; process: ProcessIdentity };
    // A signal that stops it may be anybody's, as one that kills it.
    (this.system.isStopped(identity) ? this.#stopped : this.#ownEnds).add(armor);
    void this.system.killAndConfirm(identity, "SIGKILL", killWithinMs).then(() => {
      const tracked = this.#tracked.get(armor);
      if (!tracked?.child) this.#gone(armor, identity, "killed: hung", false);
    });
  }

  /** Command `armor.end`: removed or fenced; its end is not reported. `forget`: removed for ever. `role`: look for it. */
  end(args: DataRecord): Promise<void> {
    const { armor, process: identity, forget = false, role } = args as unknown as { armor: string; process: ProcessIdentity | null; forget?: boolean; role?: Role };
    return this.#inTurn(armor, async () => {
      let before = this.#tracked.get(armor)?.process ?? identity ?? undefined;
      for (let known = false; !known;) {
        try {
          before ??= role && this.system.find(role, armor);
          known = true;
        } catch {
          await new Promise<void>((resolve) => this.system.clock.after(againAfterMs, resolve));
        }
      }
      this.#forget(armor);
      if (before) await this.system.killAndConfirm(before, "SIGKILL", killWithinMs);
      if (forget) this.system.forget(armor);
    });
  }

  /** End everything: the node leaves. */
  async endAll(): Promise<void> {
    this.#ending = true;
    await Promise.all([...this.#tracked.keys()].map((armor) => this.end({ armor, process: null })));
  }

  #inTurn(armor: string, work: () => Promise<void>): Promise<void> {
    const before = this.#turns.get(armor);
    const turn = (before ? before.then(work) : work()).finally(() => {
      if (this.#turns.get(armor) === turn) this.#turns.delete(armor);
    });
    this.#turns.set(armor, turn);
    return turn;
  }

  #gone(armor: string, identity: ProcessIdentity, cause: string, failed: boolean): void {
    if (this.#tracked.get(armor)?.process.pid !== identity.pid) return;
    this.#tracked.delete(armor);
    this.local("armor.gone", { armor, process: identity, cause, failed, stopped: this.#stopped.delete(armor) });
  }

  /** Its end is reported no more. */
  #forget(armor: string): void {
    this.#tracked.delete(armor);
    this.#stopped.delete(armor);
  }

  #look(): void {
    for (const [armor, { process: identity, child }] of this.#tracked) {
      if (!child && !this.system.isAlive(identity)) this.#gone(armor, identity, "unknown", false);
    }
  }

  async #endOlder(role: Role, armor: string, before: ProcessIdentity | null): Promise<void> {
    if (before) await this.system.killAndConfirm(before, "SIGKILL", killWithinMs);
    else {
      const left = this.system.find(role, armor);
      if (left) await this.system.killAndConfirm(left, "SIGKILL", killWithinMs);
    }
  }
}
