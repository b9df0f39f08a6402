/**
 * Armor processes: starts, ends and watches the armors of one node for its
 * daemon. Armors outlive the daemon; a restarted one adopts them by their
 * process identity.
 *
 * @module
 */
import process from "node:process";
import type { DataRecord } from "../../core/data.ts";
import { type Generation, generationText } from "../../core/generation.ts";
import type { Payload } from "../../core/payload.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { cleanEnvironment } from "../environment.ts";
import type { Incarnation, Role } from "../shapes.ts";
import { selfArgv, spawnDetached } from "./child_process.ts";
import type { DataDir } from "./data_dir.ts";
import { findByArguments, identify, isAlive, killAndConfirm } from "./process_table.ts";
import { poisonedStatus } from "./restore_attempts.ts";

type Tracked = { readonly process: ProcessIdentity; readonly child: boolean };
type Local = (op: string, payload: Payload) => void;

const lookEveryMs = 50;
const killWithinMs = 5_000;

/** The processes behind the element `local_armors`. */
export class ArmorProcesses {
  readonly #tracked = new Map<string, Tracked>();
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(readonly data: DataDir, readonly local: Local, readonly log: (text: string) => void) {}

  /** Command `armor.spawn`: nothing older of this armor lives when it starts. */
  async spawn(args: DataRecord): Promise<void> {
    const { armor, role, incarnation, generation, process: old } = args as unknown as {
      armor: string;
      role: Role;
      incarnation: Incarnation;
      generation: Generation;
      process: ProcessIdentity | null;
    };
    const before = this.#tracked.get(armor)?.process ?? old;
    this.#tracked.delete(armor);
    await this.#endOlder(role, before);
    const options = ["--incarnation", `${incarnation.placement}.${incarnation.restart}`, "--epoch", generationText(generation)];
    try {
      const child = spawnDetached({
        argv: [...selfArgv(), "--role", role, "--data-dir", this.data.path, ...options],
        env: cleanEnvironment(process.env),
        logFile: this.data.armorLog(armor),
      });
      const identity = child.identity ?? { pid: child.pid, startTicks: 0, bootId: "" };
      this.#tracked.set(armor, { process: identity, child: true });
      this.local("armor.spawned", { armor, process: identity });
      child.onExit(({ code, signal }) => {
        const cause = signal ? `signal ${signal}` : `status ${code}`;
        this.#gone(armor, identity, cause, code === poisonedStatus);
      });
    } catch (error) {
      this.log(`cannot start armor "${armor}": ${String(error)}`);
      setTimeout(() => this.local("armor.gone", { armor, process: null, cause: "cannot be started" }), 1_000);
    }
  }

  /** Command `process.watch`: an armor from before this daemon's start. */
  watch(args: DataRecord): void {
    const { armor, role, process: identity } = args as unknown as { armor: string; role: Role; process: ProcessIdentity | null };
    const found = identity ?? this.#find(role);
    if (!found || !isAlive(found)) {
      setTimeout(() => this.local("armor.gone", { armor, process: identity, cause: "found dead" }), 0);
      return;
    }
    if (!identity) this.local("armor.spawned", { armor, process: found });
    this.adopt(armor, found);
  }

  /** An armor has registered that is not a child of this daemon. */
  adopt(armor: string, identity: ProcessIdentity): void {
    if (this.#tracked.get(armor)?.process.pid === identity.pid) return;
    this.#tracked.set(armor, { process: identity, child: false });
    this.#timer ??= setInterval(() => this.#look(), lookEveryMs);
  }

  /** Its link closed: look at once. */
  hint(armor: string): void {
    const tracked = this.#tracked.get(armor);
    if (tracked && !tracked.child && !isAlive(tracked.process)) this.#gone(armor, tracked.process, "unknown", false);
  }

  /** The process of an armor, if one lives. */
  living(armor: string): ProcessIdentity | undefined {
    const tracked = this.#tracked.get(armor);
    return tracked && isAlive(tracked.process) ? tracked.process : undefined;
  }

  /** Command `process.kill`: a hang. Its end is reported as any other. */
  kill(args: DataRecord): void {
    const { armor, process: identity } = args as unknown as { armor: string; process: ProcessIdentity };
    void killAndConfirm(identity, "SIGKILL", killWithinMs).then(() => {
      const tracked = this.#tracked.get(armor);
      if (!tracked?.child) this.#gone(armor, identity, "killed: hung", false);
    });
  }

  /** Command `armor.end`: removed or fenced; its end is not reported. */
  async end(args: DataRecord): Promise<void> {
    const { armor, process: identity } = args as unknown as { armor: string; process: ProcessIdentity | null };
    const before = this.#tracked.get(armor)?.process ?? identity;
    this.#tracked.delete(armor);
    if (before) await killAndConfirm(before, "SIGKILL", killWithinMs);
  }

  /** End everything: the node leaves. */
  async endAll(): Promise<void> {
    await Promise.all([...this.#tracked.keys()].map((armor) => this.end({ armor, process: null })));
  }

  #gone(armor: string, identity: ProcessIdentity, cause: string, poisoned: boolean): void {
    if (this.#tracked.get(armor)?.process.pid !== identity.pid) return;
    this.#tracked.delete(armor);
    this.local("armor.gone", { armor, process: identity, cause, poisoned });
  }

  #look(): void {
    for (const [armor, { process: identity, child }] of this.#tracked) {
      if (!child && !isAlive(identity)) this.#gone(armor, identity, "unknown", false);
    }
  }

  #find(role: Role): ProcessIdentity | undefined {
    const pid = findByArguments((argv) => this.#isOurs(argv, role))[0];
    return pid === undefined ? undefined : identify(pid);
  }

  #isOurs(argv: readonly string[], role: Role): boolean {
    const at = argv.indexOf("--data-dir");
    return argv[argv.indexOf("--role") + 1] === role && at >= 0 && argv[at + 1] === this.data.path;
  }

  async #endOlder(role: Role, before: ProcessIdentity | null): Promise<void> {
    if (before) await killAndConfirm(before, "SIGKILL", killWithinMs);
    else {
      const left = this.#find(role);
      if (left) await killAndConfirm(left, "SIGKILL", killWithinMs);
    }
  }
}
