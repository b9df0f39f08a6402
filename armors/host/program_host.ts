/**
 * Program host: performs what the execution armor's elements ask for: launching,
 * adopting, watching, stopping application programs.
 *
 * @module
 */
import type { Data } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import { timing } from "../../core/limits.ts";
import type { Payload } from "../../core/payload.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import type { Application } from "../application_schema.ts";
import { cleanEnvironment } from "../environment.ts";
import type { DataDir } from "./data_dir.ts";
import { readIdentity } from "./identity.ts";
import { listLaunches, pruneLaunches, readLaunchRecord } from "./launch_record.ts";
import { watchLaunch } from "./launch_watch.ts";
import { launch } from "./launcher.ts";
import { killGroup, signalGroup, stopGracefully } from "./process_group.ts";
import { isAlive, programState } from "./process_table.ts";
import { findProgram, lookupText, standardEnvironment } from "./program_lookup.ts";
import { bootId, nowMs } from "./system_clock.ts";
import { currentUser, findUser } from "./user_lookup.ts";

/** A program that is watched. */
type Watched = {
  readonly id: string;
  readonly launch: number;
  readonly program: ProcessIdentity;
  stoppedSinceMs: number | undefined;
  tracedSeen: boolean;
};

type Local = (op: string, payload: Payload) => void;
type LaunchArgs = { readonly id: string; readonly launch: number; readonly application: Application };
type AdoptArgs = LaunchArgs & { readonly boot: string; readonly stopping: boolean; readonly graceMs: number };

/** Launch records kept of each instance. */
const launchesKept = 10;

/** A group that does not die is asked again; it cannot be replaced before. */
const killWithinMs = 5_000;

/** Commands and work of the execution armor's host. */
export function programHost(data: DataDir): {
  command: (command: HostCommand, local: Local) => void;
  work: (kind: string, args: Data) => Promise<Data>;
} {
  const node = readIdentity(data.identity)!.name;
  const watched = new Map<string, Watched>();
  let timer: ReturnType<typeof setInterval> | undefined;

  const look = (local: Local): void => {
    for (const one of watched.values()) {
      const state = programState(one.program);
      if (state !== "stopped") one.stoppedSinceMs = undefined;
      else {
        one.stoppedSinceMs ??= nowMs();
        const durationMs = nowMs() - one.stoppedSinceMs;
        if (durationMs >= timing.stoppedIsHungMs) local("program.hung", { id: one.id, launch: one.launch, durationMs, cause: "stopped" });
      }
      if (state === "traced" && !one.tracedSeen) local("program.traced", { id: one.id, launch: one.launch });
      one.tracedSeen = state === "traced";
    }
    if (watched.size === 0) {
      clearInterval(timer);
      timer = undefined;
    }
  };

  const watch = (id: string, number: number, program: ProcessIdentity, local: Local, adopted: boolean): void => {
    const known = watched.get(id);
    if (known?.launch === number) return;
    watched.set(id, { id, launch: number, program, stoppedSinceMs: undefined, tracedSeen: false });
    timer ??= setInterval(() => look(local), timing.watchIntervalMs);
    const foundDead = adopted && !isAlive(program);
    watchLaunch(data.launch(id, number), ({ status, reason }) => {
      if (watched.get(id)?.launch === number) watched.delete(id);
      // What the program left behind ends before anything replaces it.
      void killGroup(program, killWithinMs).then(() =>
        local("program.exited", { id, launch: number, status, unknown: status === null, adopted: foundDead, ...(reason !== undefined && { reason }) })
      );
    });
  };

  /** @param again The launch was ordered before: a record under its number is its own. */
  const start = async ({ id, launch: number, application }: LaunchArgs, local: Local, again: boolean): Promise<void> => {
    const running = again ? undefined : runningLaunch(data, id);
    if (running !== undefined && running !== number) return local("program.taken", { id, launch: number, number: running, running: true });
    const user = application.user === null ? currentUser() : findUser(application.user);
    if (!user) return local("program.cannot", { id, launch: number, reason: `there is no user "${application.user}"` });
    const logFile = data.log(application.name, id);
    pruneLaunches(data.launches(id), launchesKept);
    const outcome = await launch({
      data,
      instance: id,
      number,
      command: application.command,
      args: application.args,
      env: {
        ...standardEnvironment(user),
        ARMOR_NODE: node,
        ARMOR_APPLICATION: application.name,
        ARMOR_INSTANCE: id,
        ...cleanEnvironment(application.env),
      },
      directory: application.directory ?? "/",
      user,
      logFile,
    });
    if (outcome.ok) {
      local("program.started", { id, launch: number, process: outcome.program });
      watch(id, number, outcome.program, local, false);
    } else if (outcome.code === "exists" && !again && readLaunchRecord(data.launch(id, number))?.state === "ended") {
      const newest = listLaunches(data.launches(id)).at(-1) ?? number;
      local("program.taken", { id, launch: number, number: newest, running: false });
    } else if (outcome.code === "exists") adopt({ id, launch: number, application, boot: bootId(), stopping: false, graceMs: 0 }, local);
    else if (outcome.code === "refused") local("program.cannot", { id, launch: number, reason: outcome.reason });
    else local("program.exited", { id, launch: number, status: 127, reason: outcome.reason });
  };

  const adopt = (args: AdoptArgs, local: Local): void => {
    const { id, launch: number, boot, stopping, graceMs } = args;
    const record = readLaunchRecord(data.launch(id, number));
    if (record?.state === "ended") {
      return local("program.exited", { id, launch: number, status: record.exit ?? null, unknown: record.exit === undefined, adopted: true });
    }
    if (boot !== bootId() || (record?.program && record.program.bootId !== bootId())) {
      return local("program.rebooted", { id, launch: number });
    }
    if (record === undefined) return void start(args, local, true);
    if (record.program === undefined) {
      // The shim is at work, or died between its two lines.
      setTimeout(() => adopt(args, local), 20);
      return;
    }
    local("program.started", { id, launch: number, process: record.program });
    watch(id, number, record.program, local, true);
    if (stopping) void stopGracefully(record.program, { graceMs });
  };

  return {
    command: ({ kind, args }, local) => {
      if (kind === "program.launch") void start(args as unknown as LaunchArgs, local as Local, false);
      else if (kind === "program.adopt") adopt(args as unknown as AdoptArgs, local as Local);
      else if (kind === "program.stop" || kind === "program.kill") {
        const { id, launch: number, graceMs } = args as unknown as { id: string; launch: number; graceMs: number };
        const program = readLaunchRecord(data.launch(id, number))?.program;
        if (!program) return;
        if (kind === "program.kill") signalGroup(program, "SIGKILL");
        else void stopGracefully(program, { graceMs });
      }
    },
    work: async (kind, args) => {
      if (kind !== "program.look") throw new Error(`no work of kind "${kind}"`);
      return lookFor(args as unknown as Application);
    },
  };
}

/** Number of a launch of this instance whose program lives: the armor has lost its memory of it. */
function runningLaunch(data: DataDir, id: string): number | undefined {
  return listLaunches(data.launches(id)).findLast((number) => {
    const record = readLaunchRecord(data.launch(id, number));
    return record?.program !== undefined && record.state === "running" && isAlive(record.program);
  });
}

/** @returns Why this node cannot launch the application; empty if it can. */
function lookFor({ command, directory, env, user }: Application): string {
  if (user !== null && !findUser(user)) return `there is no user "${user}"`;
  const found = findProgram(command, { path: env["PATH"], directory: directory ?? "/" });
  return found.ok ? "" : lookupText(found);
}
