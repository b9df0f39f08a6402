/**
 * Guard watch: the daemon looks after its parent. A guard that is gone or hung
 * is replaced, unless another takes its place first (a service manager may have
 * started one).
 *
 * @module
 */
import process from "node:process";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { cleanEnvironment } from "../environment.ts";
import { selfArgv, spawnDetached } from "./child_process.ts";
import type { DataDir } from "./data_dir.ts";
import { lockHolder } from "./lock_file.ts";
import { identify, isAlive, killAndConfirm, readArguments } from "./process_table.ts";
import { nowMs } from "./system_clock.ts";

const lookEveryMs = 50;
/** A service manager gets this long to start a guard of its own. */
const replaceAfterMs = 100;
const killWithinMs = 2_000;

/** Watches the guard of one node. */
export class GuardWatch {
  #guard: ProcessIdentity | undefined;
  #goneSinceMs: number | undefined;
  #started: ProcessIdentity | undefined;
  readonly #timer: ReturnType<typeof setInterval>;

  /** @param flags The node's flags, which a new guard gets too. */
  constructor(
    readonly data: DataDir,
    readonly flags: readonly string[],
    readonly onEvent: (kind: string, cause: string) => void,
    readonly log: (text: string) => void,
  ) {
    this.#timer = setInterval(() => this.#look(), lookEveryMs);
  }

  /** It answers nothing: end it. Its replacement follows as for any other end. */
  async hung(): Promise<void> {
    const guard = this.#guard ?? this.#holder();
    if (!guard) return;
    this.onEvent("guard.hung", "silent");
    await killAndConfirm(guard, "SIGKILL", killWithinMs);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  #holder(): ProcessIdentity | undefined {
    const pid = lockHolder(this.data.guardLock);
    const holder = pid === undefined ? undefined : identify(pid);
    return holder && isArmor(holder.pid) ? holder : undefined;
  }

  #look(): void {
    if (this.#guard && isAlive(this.#guard)) return;
    const holder = this.#holder();
    if (holder && isAlive(holder)) {
      if (this.#goneSinceMs !== undefined) this.onEvent("guard.recovered", "");
      this.#guard = holder;
      this.#goneSinceMs = undefined;
      return;
    }
    if (this.#goneSinceMs === undefined) {
      this.#goneSinceMs = nowMs();
      this.onEvent("guard.crashed", "");
    }
    if (nowMs() - this.#goneSinceMs < replaceAfterMs || (this.#started && isAlive(this.#started))) return;
    try {
      const child = spawnDetached({
        argv: [...selfArgv(), "--role", "guard", ...this.flags],
        env: cleanEnvironment(process.env),
        logFile: `${this.data.path}/guard.log`,
      });
      this.#started = child.identity;
      child.onExit(() => {});
    } catch (error) {
      this.log(`cannot start a guard: ${String(error)}`);
    }
  }
}

/** A lock file names the last holder; its pid may be another program's now. */
function isArmor(pid: number): boolean {
  return readArguments(pid).includes("--data-dir");
}
