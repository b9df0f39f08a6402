/**
 * Program host: performs what the execution armor's elements ask for: launching,
 * adopting, watching, stopping application programs.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { basename, dirname } from "node:path";
import type { Clock } from "../../core/clock.ts";
import { encode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import { lookAtRunDirMs, timing } from "../../core/limits.ts";
import type { Payload } from "../../core/payload.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { type Application, type AskedProbe, completeApplication } from "../application.ts";
import { cleanEnvironment } from "../environment.ts";
import { ApplicationApi } from "./application_api.ts";
import type { DataDir } from "./data_dir.ts";
import { readIdentity } from "./identity.ts";
import { type LaunchRecord, listLaunches, readLaunchRecord } from "./launch_record.ts";
import { pruneLaunches, sweepLaunches } from "./launch_sweep.ts";
import { endStarting, isStarting, type LaunchExit, watchLaunch } from "./launch_watch.ts";
import { launch, type LaunchOutcome } from "./launcher.ts";
import { LogKeeper } from "./log_keeper.ts";
import { sweepLogs } from "./log_sweep.ts";
import { killGroup, signalGroup, stopGracefully } from "./process_group.ts";
import { type ProbeAnswer, Prober, type ProbeSurroundings } from "./prober.ts";
import { isAlive, type ProgramState, programState } from "./process_table.ts";
import { findProgram, lookupText, standardEnvironment } from "./program_lookup.ts";
import { followRunDir, linkedApiFolder, openApiFolder } from "./run_dir.ts";
import { bootId, systemClock } from "./system_clock.ts";
import { currentUser, findUser, type User } from "./user_lookup.ts";

/** What is asked of the machine. */
export interface ProgramSystem {
  readonly clock: Clock;
  bootId(): string;
  /** Start a program under a number; a text says why it can never be started here. */
  launch(instance: string, number: number, application: Application, task: string): Promise<LaunchOutcome | string>;
  record(instance: string, number: number): LaunchRecord | undefined;
  /** Instances that have launch records. */
  instances(): string[];
  /** Of a record without a program: whether it may still come. */
  isStarting(instance: string, number: number): boolean;
  /** Numbers of the launches on record, newest last. */
  launches(instance: string): number[];
  /** @returns Looks at once whether it has ended: its program is seen to be gone. */
  onExit(instance: string, number: number, listener: (exit: LaunchExit) => void): () => void;
  isAlive(program: ProcessIdentity): boolean;
  state(program: ProcessIdentity): ProgramState;
  signal(program: ProcessIdentity, signal: NodeJS.Signals): boolean;
  killGroup(program: ProcessIdentity, timeoutMs: number): Promise<boolean>;
  stop(program: ProcessIdentity, graceMs: number): Promise<unknown>;
  /** End what is still at work on a launch that has no program yet. */
  endStarting(instance: string, number: number): Promise<void>;
  /** Let a program that is about to start, or was adopted, speak to Armor. */
  serve(instance: string, number: number, application: Application, onProgress: () => void): Promise<void>;
  /** That program has ended. */
  unserve(instance: string, number: number): void;
  /** No other instance belongs to this node: what others had is given up. */
  retain(instances: readonly string[]): void;
  /** Keep the log of a running instance within its limits. @returns Leaves it alone. */
  keepLog(instance: string, application: Application): () => void;
  /** Ask a running instance whether it works. */
  probe(instance: string, application: Application, probe: AskedProbe): Promise<ProbeAnswer>;
  /** @returns Why this node cannot launch the application; empty if it can. */
  look(application: Application): string;
}

/** A program that is watched. */
type Watched = {
  readonly id: string;
  readonly launch: number;
  readonly program: ProcessIdentity;
  stoppedSinceMs: number | undefined;
  tracedSeen: boolean;
  /** Looks how its launch has ended. */
  lookAtEnd: () => void;
};

type Local = (op: string, payload: Payload) => void;
/** `order`: names the FTM's order; launches by the same one have the same task. */
type LaunchArgs = { readonly id: string; readonly launch: number; readonly application: Application; readonly order?: string };
/** A launch that another life of this armor began has this long to have a program. */
const startWithinMs = 5_000;
const startLookMs = 20;
/** Between looks at a launch that nothing has called for: shims and records tell of ends, and looks at programs find the others. */
const launchLookMs = 2_000;

type AdoptArgs = LaunchArgs & { readonly boot: string; readonly stopping: boolean; readonly graceMs: number };

/** Launch records kept of each instance. */
const launchesKept = 10;

/** Another launch of the instance runs. */
type Running = { readonly ok: false; readonly code: "runs"; readonly number: number };

/** Status of a program that could not be started. */
const notStarted = 127;

/** A group that does not die is asked again; it cannot be replaced before. */
const killWithinMs = 5_000;

/** Commands and work of the execution armor's host. */
export function programHost(system: ProgramSystem): {
  command: (command: HostCommand, local: Local) => void;
  work: (kind: string, args: Data) => Promise<Data>;
} {
  const { clock } = system;
  const watched = new Map<string, Watched>();
  let stopLooking: (() => void) | undefined;

  const look = (local: Local): void => {
    for (const one of watched.values()) {
      const state = system.state(one.program);
      if (state === "gone") one.lookAtEnd();
      if (state !== "stopped") one.stoppedSinceMs = undefined;
      else {
        if (one.stoppedSinceMs === undefined) clock.after(timing.stoppedIsHungMs, () => look(local));
        one.stoppedSinceMs ??= clock.nowMs();
        const durationMs = clock.nowMs() - one.stoppedSinceMs;
        if (durationMs >= timing.stoppedIsHungMs) local("program.hung", { id: one.id, launch: one.launch, durationMs, cause: "stopped" });
      }
      if (state === "traced" && !one.tracedSeen) local("program.traced", { id: one.id, launch: one.launch });
      one.tracedSeen = state === "traced";
    }
    if (watched.size === 0) {
      stopLooking?.();
      stopLooking = undefined;
    }
  };

  const watch = ({ id, launch: number, application }: LaunchArgs, program: ProcessIdentity, local: Local, adopted: boolean): void => {
    const known = watched.get(id);
    if (known?.launch === number) return;
    const one: Watched = { id, launch: number, program, stoppedSinceMs: undefined, tracedSeen: false, lookAtEnd: () => {} };
    watched.set(id, one);
    stopLooking ??= clock.every(timing.watchIntervalMs, () => look(local));
    if (adopted) void serve({ id, launch: number, application }, local);
    const leaveLog = system.keepLog(id, application);
    const foundDead = adopted && !system.isAlive(program);
    one.lookAtEnd = system.onExit(id, number, ({ status, reason }) => {
      if (watched.get(id)?.launch === number) watched.delete(id);
      leaveLog();
      system.unserve(id, number);
      // What the program left behind ends before anything replaces it.
      void system.killGroup(program, killWithinMs).then(() =>
        local("program.exited", { id, launch: number, status, unknown: status === null, adopted: foundDead, ...(reason !== undefined && { reason }) })
      );
    });
  };

  /** Ends of programs that did not belong here, by instance. */
  const sweeping = new Map<string, Promise<void>>();

  const serve = ({ id, launch: number, application }: LaunchArgs, local: Local): Promise<void> =>
    system.serve(id, number, application, () => local("application.progress", { id, launch: number }));

  /** What the machine refuses to one program, a full disk for example, is told as its end: the armor has others. */
  const tryLaunch = async (args: LaunchArgs, local: Local, task: string): Promise<LaunchOutcome | string | Running> => {
    const { id, launch: number, application } = args;
    try {
      await serve(args, local);
      // A program of that name that does not belong here ends first: it may be another.
      await sweeping.get(id);
      const running = runningLaunch(system, id);
      if (running !== undefined && running !== number) return { ok: false, code: "runs", number: running };
      return await system.launch(id, number, application, task);
    } catch (error) {
      return { ok: false, code: "failed", reason: error instanceof Error ? error.message : String(error) };
    }
  };

  /** @param again The launch was ordered before: a record under its number is its own. */
  const start = async (args: LaunchArgs, local: Local, again: boolean): Promise<void> => {
    const { id, launch: number, application } = args;
    const task = taskOf(args);
    const outcome = await tryLaunch(args, local, task);
    if (typeof outcome === "string") local("program.cannot", { id, launch: number, reason: outcome });
    else if (outcome.ok) {
      local("program.started", { id, launch: number, process: outcome.program });
      watch(args, outcome.program, local, false);
    } else if (outcome.code === "runs") local("program.taken", { id, launch: number, number: outcome.number, running: true });
    else if (outcome.code === "exists" && !again && isOver(args)) {
      const newest = system.launches(id).at(-1) ?? number;
      const done = application.kind === "job" && isDone(system.record(id, newest), task);
      local("program.taken", { id, launch: number, number: newest, running: false, done });
    } else if (outcome.code === "exists") adopt({ ...args, boot: system.bootId(), stopping: false, graceMs: 0 }, local);
    else if (outcome.code === "refused") local("program.cannot", { id, launch: number, reason: outcome.reason });
    else local("program.exited", { id, launch: number, status: notStarted, reason: outcome.reason });
  };

  /** Nothing comes of that launch any more. What a service leaves without an exit status is adopted, and restarted by policy. */
  const isOver = ({ id, launch: number, application }: LaunchArgs): boolean => {
    const record = system.record(id, number);
    const isLost = application.kind === "job" && record?.program !== undefined && !system.isAlive(record.program);
    return isLost || record?.state === "ended" || neverStarts(id, number);
  };

  /** That very task was done, or begun in this boot and nobody knows how it ended. */
  const isDone = (record: LaunchRecord | undefined, task: string): boolean =>
    record?.task === task && (record.exit !== undefined || record.program?.bootId === system.bootId());

  /** No program is on record and no shim at work: it died between its two lines, or a power cut has taken the end of the record. */
  const neverStarts = (id: string, number: number): boolean => {
    const noProgram = (): boolean => {
      const record = system.record(id, number);
      return record?.state === "starting" && record.program === undefined;
    };
    // Written, and the shim's copy replaced by the program, while we looked: read again.
    return noProgram() && !system.isStarting(id, number) && noProgram();
  };

  /**
   * A number begins anew with an instance that was forgotten: an armor that has lost a part of its memory may find the
   * record of something else that has ended, and no word of its own. What lives is taken over in any case.
   */
  const isOthers = ({ task, program }: LaunchRecord, args: AdoptArgs): boolean =>
    args.order !== undefined && task !== undefined && task !== taskOf(args) && program !== undefined && !system.isAlive(program);

  const adopt = (args: AdoptArgs, local: Local, waitedMs = 0): void => {
    const { id, launch: number, boot, stopping, graceMs } = args;
    const record = system.record(id, number);
    if (record && isOthers(record, args)) {
      if (boot !== system.bootId()) return local("program.rebooted", { id, launch: number });
      return local("program.exited", { id, launch: number, status: null, unknown: true, adopted: true });
    }
    if (record?.state === "ended") {
      return local("program.exited", { id, launch: number, status: record.exit ?? null, unknown: record.exit === undefined, adopted: true });
    }
    if (boot !== system.bootId() || (record?.program && record.program.bootId !== system.bootId())) {
      return local("program.rebooted", { id, launch: number });
    }
    if (record === undefined) return void start(args, local, true);
    if (record.program === undefined) {
      if (neverStarts(id, number)) return local("program.exited", { id, launch: number, status: notStarted, reason: "the launch shim ended before its program started" });
      // The shim is at work, or stopped.
      if (waitedMs < startWithinMs) clock.after(startLookMs, () => adopt(args, local, waitedMs + startLookMs));
      else void giveUp(args, local);
      return;
    }
    local("program.started", { id, launch: number, process: record.program });
    watch(args, record.program, local, true);
    if (stopping) void system.stop(record.program, graceMs);
  };

  const giveUp = async (args: AdoptArgs, local: Local): Promise<void> => {
    const { id, launch: number } = args;
    await system.endStarting(id, number);
    // It may have written it with its last breath.
    const record = system.record(id, number);
    if (record?.program !== undefined || record?.state === "ended") return adopt(args, local);
    local("program.exited", { id, launch: number, status: null, unknown: true, adopted: true, reason: "the launch shim did not start its program" });
  };

  const ask = ({ id, launch: number, application }: LaunchArgs, local: Local): void => {
    const { probe } = application;
    if (!probe || probe.type === "progress") return;
    void system.probe(id, application, probe).then((answer) => local("program.probed", { id, launch: number, ...answer }));
  };

  /** End programs of instances that do not belong here: the armor has lost its memory of them. */
  const sweep = ({ ids, graceMs }: { readonly ids: readonly string[]; readonly graceMs: number }): void => {
    for (const id of system.instances()) {
      const number = ids.includes(id) ? undefined : runningLaunch(system, id);
      const program = number === undefined ? undefined : system.record(id, number)?.program;
      if (program) sweeping.set(id, system.stop(program, graceMs).then(() => void sweeping.delete(id)));
    }
  };

  return {
    command: ({ kind, args }, local) => {
      if (kind === "program.launch") void start(args as unknown as LaunchArgs, local as Local, false);
      else if (kind === "program.adopt") adopt(args as unknown as AdoptArgs, local as Local);
      else if (kind === "program.retain") system.retain(args["ids"] as string[]);
      else if (kind === "program.sweep") sweep(args as unknown as { ids: string[]; graceMs: number });
      else if (kind === "program.probe") ask(args as unknown as LaunchArgs, local as Local);
      else if (kind === "program.stop" || kind === "program.kill") {
        const { id, launch: number, graceMs } = args as unknown as { id: string; launch: number; graceMs: number };
        const program = system.record(id, number)?.program;
        if (!program) return;
        if (kind === "program.kill") system.signal(program, "SIGKILL");
        else void system.stop(program, graceMs);
      }
    },
    work: async (kind, args) => {
      if (kind !== "program.look") throw new Error(`no work of kind "${kind}"`);
      return system.look(args as unknown as Application);
    },
  };
}

function taskOf({ order = "", application }: LaunchArgs): string {
  return createHash("sha256").update(encode([order, completeApplication(application) as unknown as Data])).digest("hex").slice(0, 32);
}

/** Number of a launch of this instance whose program lives: the armor has lost its memory of it. */
function runningLaunch(system: ProgramSystem, id: string): number | undefined {
  return system.launches(id).findLast((number) => {
    const record = system.record(id, number);
    return record?.program !== undefined && record.state === "running" && system.isAlive(record.program);
  });
}

/** Programs as processes of this machine. */
export function programSystem(data: DataDir, log: (text: string) => void): ProgramSystem {
  const node = readIdentity(data.identity)!.name;
  const logFolder = dirname(data.logs("any"));
  mkdirSync(logFolder, { recursive: true, mode: 0o700 });
  const logs = new LogKeeper(logFolder, systemClock, log);
  void logs.finishCuts();
  let api: ApplicationApi | undefined;
  const run = followRunDir(data);
  let told = false;
  /** While its folder is missing, where it was: that is where it will most likely be again. */
  const apiFolder = (): string | undefined => {
    try {
      const folder = openApiFolder(data, run);
      told = false;
      return folder;
    } catch (error) {
      if (!told) log(`no ARMOR_API: ${error instanceof Error ? error.message : String(error)}`);
      told = true;
      return linkedApiFolder(data);
    }
  };
  /** Made when there is somebody to use it. A program is worth more than its way to speak. */
  const apiNow = (): ApplicationApi | undefined => {
    const folder = apiFolder();
    if (folder === undefined) return api;
    if (!api) systemClock.every(lookAtRunDirMs, () => void apiNow()?.mend());
    api ??= new ApplicationApi(folder);
    api.folder = folder;
    return api;
  };
  const prober = new Prober(systemClock);

  /** What an instance and its probe find around them; a text says why there is none. */
  const surroundings = (instance: string, { name, user: wanted, env, directory }: Application): ProbeSurroundings & { readonly user: User } | string => {
    const user = wanted === null ? currentUser() : findUser(wanted);
    if (!user) return `there is no user "${wanted}"`;
    const socket = apiNow()?.path(instance);
    return {
      env: {
        ...standardEnvironment(user),
        ARMOR_NODE: node,
        ARMOR_APPLICATION: name,
        ARMOR_INSTANCE: instance,
        ...(socket !== undefined && { ARMOR_API: socket }),
        ...cleanEnvironment(env),
      },
      directory: directory ?? "/",
      user,
    };
  };

  return {
    clock: systemClock,
    bootId,
    launch: async (instance, number, application, task) => {
      const around = surroundings(instance, application);
      if (typeof around === "string") return around;
      const logFile = data.log(application.name, instance);
      // A number with a record may have a program, and that writes.
      if (!readLaunchRecord(data.launch(instance, number))) await logs.beforeStart(logFile, completeApplication(application).log);
      pruneLaunches(data.launches(instance), launchesKept);
      return await launch({
        data,
        instance,
        number,
        task,
        command: application.command,
        args: application.args,
        ...around,
        logFile,
      });
    },
    record: (instance, number) => readLaunchRecord(data.launch(instance, number)),
    instances: () => readdirSync(dirname(data.launches("any"))),
    isStarting: (instance, number) => isStarting(data.launch(instance, number)),
    launches: (instance) => listLaunches(data.launches(instance)),
    onExit: (instance, number, listener) => watchLaunch(data.launch(instance, number), listener, { intervalMs: launchLookMs }).look,
    isAlive,
    state: programState,
    signal: signalGroup,
    killGroup,
    stop: (program, graceMs) => stopGracefully(program, { graceMs }),
    endStarting: (instance, number) => endStarting(data.launch(instance, number)),
    serve: async (instance, number, { name, user }, onProgress) => {
      try {
        await apiNow()?.serve({ instance, application: name, node, launch: number }, user === null ? undefined : findUser(user), onProgress);
      } catch (error) {
        log(`${instance} has no ARMOR_API: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
    unserve: (instance, number) => api?.ended(instance, number),
    retain: (instances) => {
      if (instances.length > 0 || existsSync(data.api)) apiNow()?.retain(new Set(instances));
      try {
        sweepLogs(logFolder, new Set(instances.map((id) => id.slice(0, id.lastIndexOf(".")))));
        sweepLaunches(dirname(data.launches("any")), new Set(instances.map((id) => basename(data.launches(id)))));
      } catch (error) {
        log(`old logs and launch records are not deleted: ${error instanceof Error ? error.message : String(error)}`);
      }
    },
    keepLog: (instance, application) => logs.keep(data.log(application.name, instance), completeApplication(application).log),
    probe: (instance, application, probe) => prober.ask(probe, () => surroundings(instance, application)),
    look: lookFor,
  };
}

/** @returns Why this node cannot launch the application; empty if it can. */
function lookFor({ command, directory, env, user }: Application): string {
  if (user !== null && !findUser(user)) return `there is no user "${user}"`;
  const folder = directory ?? "/";
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return `the directory ${JSON.stringify(folder)} does not exist`;
  const found = findProgram(command, { path: env["PATH"], directory: folder });
  return found.ok ? "" : lookupText(found);
}
