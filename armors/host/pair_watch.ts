/**
 * Pair watch: looks at guard and daemon from a third process. Each of them ends
 * the other when that is stopped, within a second and a half; one that stays stopped
 * has nobody who could. It is woken, not replaced: what is started twice by
 * mistake is worse than a process that goes on, and to wake one that was about to
 * be ended does no harm.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import type { DataDir } from "./data_dir.ts";
import { holderOf } from "./guard_watch.ts";
import { isAlive, programState, type ProgramState, signalProcess } from "./process_table.ts";
import { systemClock } from "./system_clock.ts";

const lookEveryMs = 1_000;
/** Twice what guard and daemon take to find each other hung. */
const wakeAfterMs = 3_000;

/** What is asked of the machine. */
export interface PairSystem {
  readonly clock: Clock;
  /** Who holds the lock of the guard, and that of the daemon. */
  holders(): readonly [guard: ProcessIdentity | undefined, daemon: ProcessIdentity | undefined];
  state(identity: ProcessIdentity): ProgramState;
  wake(identity: ProcessIdentity): void;
}

/** Guard and daemon of this machine's node. */
export function pairSystem(data: DataDir): PairSystem {
  // Who holds a lock holds it for life: its file is read when that has ended.
  const known = new Map<string, ProcessIdentity | undefined>();
  const holder = (lock: string): ProcessIdentity | undefined => {
    const last = known.get(lock);
    if (last && isAlive(last)) return last;
    const found = holderOf(lock);
    known.set(lock, found);
    return found;
  };
  return {
    clock: systemClock,
    holders: () => [holder(data.guardLock), holder(data.daemonLock)],
    state: programState,
    wake: (identity) => void signalProcess(identity, "SIGCONT"),
  };
}

/**
 * Look now and then, and wake what stays stopped.
 *
 * @param woken Told which of the two it was, 0 or 1, and for how long it was stopped.
 * @returns Ends it.
 */
export function watchPair(system: PairSystem, woken: (which: number, durationMs: number) => void): () => void {
  const { clock } = system;
  const stopped = new Map<number, { readonly pid: number; readonly sinceMs: number }>();
  return clock.every(lookEveryMs, () => {
    for (const [which, identity] of system.holders().entries()) {
      const before = stopped.get(which);
      if (!identity || system.state(identity) !== "stopped") stopped.delete(which);
      else if (before?.pid !== identity.pid) stopped.set(which, { pid: identity.pid, sinceMs: clock.nowMs() });
      else if (clock.nowMs() - before.sinceMs >= wakeAfterMs) {
        stopped.delete(which);
        system.wake(identity);
        woken(which, clock.nowMs() - before.sinceMs);
      }
    }
  });
}
