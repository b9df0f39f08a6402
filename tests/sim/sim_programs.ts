/**
 * Applications of one simulated node, behind the real program host: shims,
 * launch records, programs that do as their arguments say.
 *
 * @module
 */
import type { ProcessIdentity } from "../../core/process_identity.ts";
import type { Application } from "../../armors/application.ts";
import type { LaunchRecord } from "../../armors/host/launch_record.ts";
import type { LaunchExit } from "../../armors/host/launch_watch.ts";
import type { LaunchOutcome } from "../../armors/host/launcher.ts";
import type { ProgramSystem } from "../../armors/host/program_host.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";

/** An execution armor that looks for this program dies of it, each time. */
export const poisonous = "/bin/poison";

const statusWithinMs = 1_000;
const lookEveryMs = 200;

type Kept = { record: LaunchRecord; atMs: number };

/** What the program host of one execution armor sees of its machine. */
export function simPrograms(node: SimNode, process: SimProcess): ProgramSystem {
  const { machine, disk } = node;
  const ownShims = new Map<string, SimProcess>();
  const find = (identity: ProcessIdentity): SimProcess | undefined => machine.find(identity);

  const signal = (program: ProcessIdentity, name: string): boolean => {
    const found = find(program);
    if (!found || !process.effect()) return false;
    if (name === "SIGTERM") found.goOn();
    found.signal(name);
    return true;
  };
  const killGroup = async (program: ProcessIdentity, timeoutMs: number): Promise<boolean> => {
    if (!find(program)) return await process.later(0, () => true);
    signal(program, "SIGKILL");
    return await process.confirmGone(() => !find(program), timeoutMs);
  };

  return {
    clock: process.clock,
    bootId: () => machine.bootId,
    launch: async (instance, number, application, task): Promise<LaunchOutcome | string> => {
      if (node.cannotLaunch(application)) return { ok: false, code: "refused", reason: "there is no such program" };
      if (!process.effect()) return await new Promise(() => {});
      if (!disk.files.takes()) return { ok: false, code: "failed", reason: "ENOSPC" };
      return await launch(instance, number, application, task);
    },
    record: (instance, number) => disk.launchesOf(instance).get(number)?.record,
    instances: () => [...disk.launches.keys()],
    isStarting: (instance, number) => {
      const shim = disk.launchesOf(instance).get(number)?.record.shim;
      return shim !== undefined && machine.byPid(shim)?.role === "shim";
    },
    launches: (instance) => [...disk.launchesOf(instance).keys()].sort((a, b) => a - b),
    onExit: (instance, number, listener) => (watch(instance, number, listener), () => {}),
    isAlive: (program) => find(program) !== undefined,
    state: (program) => {
      const found = find(program);
      return found === undefined ? "gone" : found.stopped ? "stopped" : "running";
    },
    signal,
    killGroup,
    stop: async (program, graceMs) => {
      signal(program, "SIGTERM");
      if (!await process.confirmGone(() => !find(program), graceMs)) await killGroup(program, 5_000);
    },
    endStarting: async (instance, number) => {
      const pid = disk.launchesOf(instance).get(number)?.record.shim;
      const shim = pid === undefined ? undefined : machine.byPid(pid);
      if (shim?.role === "shim" && shim.name === instance) shim.signal("SIGKILL");
      await process.later(1, () => {});
    },
    serve: async () => {},
    unserve: () => {},
    retain: (instances) => {
      for (const [instance, records] of disk.launches) {
        const lives = ({ record: { program, shim } }: Kept): boolean =>
          (program !== undefined && find(program) !== undefined) || (shim !== undefined && machine.byPid(shim)?.role === "shim");
        if (!instances.includes(instance) && ![...records.values()].some(lives)) disk.launches.delete(instance);
      }
    },
    keepLog: () => () => {},
    probe: async () => ({ ok: true, reason: "", askedMs: process.clock.nowMs() }),
    look: (application) => {
      if (application.command === poisonous) process.end({ code: null, signal: "SIGSEGV" });
      return node.cannotLaunch(application) ? "there is no such program" : "";
    },
  };

  function launch(instance: string, number: number, application: Application, task: string): Promise<LaunchOutcome> {
    const records = disk.launchesOf(instance);
    const key = `${instance}/${number}`;
    let outcome: LaunchOutcome | undefined;
    const shim = machine.spawn("shim", instance, 2, (self) => {
      if (records.has(number)) {
        outcome = { ok: false, code: "exists", reason: "launched before" };
        return self.end({ code: 75, signal: null });
      }
      const kept: Kept = { record: { state: "starting", task, shim: self.pid }, atMs: machine.clock.nowMs };
      records.set(number, kept);
      self.clock.after(1, () => {
        const program = startProgram(node, instance, number, application);
        kept.record = { ...kept.record, state: "running", program: program.identity };
        kept.atMs = machine.clock.nowMs;
        outcome = { ok: true, record: key, program: program.identity };
        const ended = (): void => {
          self.clock.after(1, () => {
            const { code, signal: by } = program.exit!;
            const exit = by === null ? code! : 128 + (by === "SIGTERM" ? 15 : 9);
            kept.record = { ...kept.record, state: "ended", exit };
            kept.atMs = machine.clock.nowMs;
            self.end({ code: 0, signal: null });
          });
        };
        program.onDeath.push(ended);
      });
    });
    return new Promise((resolve) => {
      const look = (waited: number, pause: number): void => {
        const settle = (value: LaunchOutcome): void => {
          machine.clock.settled = true;
          resolve(value);
        };
        if (outcome?.ok) ownShims.set(key, shim);
        if (outcome) return settle(outcome);
        if (!shim.alive) return settle({ ok: false, code: "failed", reason: "the launch shim ended" });
        if (waited >= 5_000) shim.signal("SIGKILL");
        process.clock.after(pause, () => look(waited + pause, Math.min(pause + 1, 10)));
      };
      process.clock.after(1, () => look(1, 2));
    });
  }

  /** `launch_watch.ts`. */
  function watch(instance: string, number: number, listener: (exit: LaunchExit) => void): void {
    const records = disk.launchesOf(instance);
    let program: ProcessIdentity | undefined;
    let goneAtMs: number | undefined;
    let over = false;
    const judge = (): LaunchExit | undefined => {
      const found = records.get(number)?.record;
      if (found?.exit !== undefined) return { status: found.exit };
      program ??= found?.program;
      const shim = found?.shim === undefined ? undefined : machine.byPid(found.shim);
      const isShim = shim?.role === "shim" && shim.name === instance;
      if (program === undefined) return isShim ? undefined : { status: null, reason: "the launch shim ended before its program started" };
      if (find(program)) return undefined;
      goneAtMs ??= machine.nowMs;
      if (isShim && !shim.stopped && machine.nowMs - goneAtMs < statusWithinMs) return undefined;
      if (isShim) shim.signal("SIGKILL");
      return { status: null };
    };
    const look = (): void => {
      if (over) return;
      const exit = judge();
      if (exit) {
        over = true;
        stop();
        listener(exit);
      } else if (goneAtMs !== undefined) process.clock.after(5, look);
    };
    const stop = process.clock.every(lookEveryMs, look);
    const shim = ownShims.get(`${instance}/${number}`);
    if (shim) machine.child(process, shim).onExit(look);
    process.clock.after(0, look);
  }
}

/**
 * A program: `run`, or `exit MS STATUS [TIMES]`, `hang MS TIMES` (after that it runs), `stubborn` (no SIGTERM), `loop MS`
 * (ends as long as there are faults).
 */
function startProgram(node: SimNode, instance: string, number: number, application: Application): SimProcess {
  const [wish = "run", ms = "0", status = "0", times] = application.args;
  const isOver = times !== undefined && node.watch.starts(instance) >= Number(times);
  const what = isOver || (wish === "loop" && node.watch.faultsAreOver()) ? "run" : wish === "loop" ? "exit" : wish;
  const process = node.machine.spawn("program", instance, 0, (self) => {
    const delayMs = Number(ms);
    if (what === "exit") self.clock.after(delayMs, () => self.end({ code: Number(status), signal: null }));
    if (what === "hang") self.clock.after(delayMs, () => self.stop());
  });
  process.transient = what === "exit" || what === "hang";
  process.handlers.set("SIGTERM", () => {
    if (what !== "stubborn") process.clock.after(node.random.below(50), () => process.end({ code: null, signal: "SIGTERM" }));
  });
  node.watch.programStarted(node, process, number);
  return process;
}
