/**
 * Start one armor as a process of its own: restore its checkpoint, register with
 * the local daemon, run.
 *
 * @module
 */
import process from "node:process";
import { parseRoleFlags, type RoleOptions } from "./role_flags.ts";
import type { Data } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import type { Element } from "../../core/element.ts";
import { ArmorError } from "../../core/errors.ts";
import type { Frame } from "../../core/frame.ts";
import { compareGenerations, type Generation } from "../../core/generation.ts";
import { Microkernel } from "../../core/microkernel.ts";
import type { Payload } from "../../core/payload.ts";
import { connectLink } from "../../transports/http2_client.ts";
import type { Role } from "../shapes.ts";
import { executionOf } from "../shapes.ts";
import { ArmorHost } from "./armor_host.ts";
import { openCheckpointFiles } from "./checkpoint_file.ts";
import { dataDir, type DataDir } from "./data_dir.ts";
import { openHeartbeats, type Heartbeats } from "./heartbeats.ts";
import { readIdentity } from "./identity.ts";
import { DaemonLink, type Registered } from "./local_link.ts";
import { identify } from "./process_table.ts";
import { markBoot, restoredGeneration } from "./restored_generation.ts";
import { poisonedStatus, RestoreAttempts } from "./restore_attempts.ts";
import { openRunDir } from "./run_dir.ts";
import { bootId, systemClock } from "./system_clock.ts";
import { systemRandom } from "./system_random.ts";

/** What an armor's own host adds to the loop: commands and blocking work of its kind. */
export interface ArmorKind {
  readonly armor: string;
  readonly elements: readonly Element[];
  /** The FTM's state is kept by the daemons. */
  readonly keepsCheckpoint: boolean;
  readonly asksOtherNodes: boolean;
  /** Perform a command that only this kind knows. */
  readonly command?: (command: HostCommand, local: (op: string, payload?: Payload) => void) => void;
  readonly work?: (kind: string, args: Data) => Promise<Data>;
}

/** One line of the armor's own log. */
const logLine = (text: string): void => void process.stderr.write(`${new Date().toISOString()} ${text}\n`);

/** Start the armor of a role; returns while it runs, or an exit status. */
export async function startArmor(role: string, argv: readonly string[]): Promise<number | undefined> {
  const options = parseRoleFlags(argv);
  if (role === "daemon-process") return (await import("./run_daemon.ts")).runDaemon(options);
  const data = dataDir(options.dataDir);
  const identity = readIdentity(data.identity);
  if (!identity) throw new ArmorError("no_daemon", `Cannot start ${role}: there is no node in ${JSON.stringify(options.dataDir)}; start one with --role daemon`);
  const kind = await kindOf(role as Role, identity.id, data);
  const generation = options.epoch === undefined ? undefined : parseGeneration(options.epoch);
  return new Promise((resolve) => runArmor(kind, role as Role, data, generation, options, resolve));
}

async function kindOf(role: Role, node: string, data: DataDir): Promise<ArmorKind> {
  if (role === "ftm") {
    const { faultToleranceManager } = await import("../fault_tolerance_manager.ts");
    return { armor: "ftm", elements: faultToleranceManager({ node }), keepsCheckpoint: false, asksOtherNodes: true };
  }
  if (role === "heartbeat") {
    const { heartbeatArmor } = await import("../heartbeat_armor.ts");
    return { armor: "heartbeat", elements: heartbeatArmor({ node }), keepsCheckpoint: true, asksOtherNodes: true };
  }
  const { executionArmor } = await import("../execution_armor.ts");
  const { programHost, programSystem } = await import("./program_host.ts");
  const armor = executionOf(node);
  return { armor, elements: executionArmor({ node }), keepsCheckpoint: true, asksOtherNodes: false, ...programHost(programSystem(data, logLine)) };
}

function runArmor(
  kind: ArmorKind,
  role: Role,
  data: DataDir,
  ordered: Generation | undefined,
  options: RoleOptions,
  end: (status: number) => void,
): void {
  const run = openRunDir(data);
  const self = identify(process.pid);
  if (!self) throw new ArmorError("no_proc", "Cannot start: /proc is not readable");
  let host: ArmorHost | undefined;
  let heartbeats: Heartbeats | undefined;
  let registered: Registered | undefined;
  let started = false;
  /** What is wrong with the checkpoint; told once the armor runs. */
  let damage: Payload | undefined;
  /** Came before the armor knew what it starts from. */
  const early: Frame[] = [];
  const log = logLine;

  const again = options.incarnation !== undefined && !options.incarnation.endsWith(".0");
  // Started by the daemon: the generation is known, and restoring needs nobody.
  if (ordered) host = makeHost(kind, data, ordered, again, surround(), (found) => (damage = found));

  const link = new DaemonLink({
    connect: (handlers) => connectLink({ address: { path: run.socket }, ...handlers }),
    clock: systemClock,
    register: () => ({
      type: "register",
      armor: kind.armor,
      role,
      process: self,
      generation: host?.kernel.generation ?? null,
      elements: host?.kernel.describe() ?? [],
    }),
    onRegistered: (answer) => {
      const first = registered === undefined;
      registered = answer;
      if (first) void begin(answer);
      else host?.dispatch({ kind: "link-up" });
    },
    onFrame: (frame) => {
      if (started) host!.frame(frame);
      else early.push(frame);
    },
    onLinkUp: () => started && host?.dispatch({ kind: "link-up" }),
    onRefused: (reason) => {
      process.stderr.write(`armor: ${reason}\n`);
      end(1);
      process.exit(1);
    },
  });

  async function begin(answer: Registered): Promise<void> {
    host ??= makeHost(kind, data, answer.generation, again, surround(), (found) => (damage = found));
    heartbeats = await openHeartbeats({
      armor: kind.armor,
      run,
      ...(kind.asksOtherNodes && { outerHost: answer.host }),
      keyOf: (id) => (id === kind.armor ? registered?.key : undefined),
      cluster: () => registered?.cluster ?? "",
      progress: () => host!.kernel.steps,
      epoch: () => host!.kernel.generation.epoch,
      local: (op, payload) => host!.local(op, payload),
    });
    host.start({ bootId: bootId() });
    if (damage) host.local("checkpoint.restored", damage);
    if (answer.begin) host.local("ftm.begin", { begin: answer.begin });
    started = true;
    for (const frame of early.splice(0)) host.frame(frame);
  }

  function surround(): Omit<ConstructorParameters<typeof ArmorHost>[1], "store"> {
    return {
      durability: "process",
      send: (frame) => link.send(frame),
      command: (command) => {
        if (command.kind === "heartbeat.ask") heartbeats?.ask(command.args);
        else if (command.kind === "heartbeat.reply") heartbeats?.reply(command.args);
        else if (command.kind === "exit") {
          log(`armor "${kind.armor}" ends: ${String(command.args["text"])}`);
          process.exit(0);
        } else if (command.kind === "dead-letter") log(`dead letter: ${JSON.stringify(command.args["failure"])}`);
        else kind.command?.(command, (op, payload) => host!.local(op, payload));
      },
      work: (name, args) => kind.work?.(name, args) ?? Promise.reject(new Error(`no work of kind "${name}"`)),
      log,
    };
  }
}

function makeHost(
  kind: ArmorKind,
  data: DataDir,
  ordered: Generation,
  again: boolean,
  surroundings: Omit<ConstructorParameters<typeof ArmorHost>[1], "store">,
  damaged: (found: Payload) => void,
): ArmorHost {
  const store = kind.keepsCheckpoint ? openCheckpointFiles(data.armor(kind.armor), kind.armor, surroundings.durability) : undefined;
  const attempts = store && new RestoreAttempts(`${data.armor(kind.armor)}/attempts`);
  if (attempts && !attempts.begin()) process.exit(poisonedStatus);
  const restored = store?.restore();
  const saved = restored?.records.at(-1)?.generation ?? restored?.snapshot?.generation;
  const complete = restored?.complete ?? true;
  const unsynced = store !== undefined && surroundings.durability === "process" && !markBoot(`${data.armor(kind.armor)}/boot`, bootId());
  const { follows, generation } = restoredGeneration({ ordered, again, saved, complete, unsynced });
  const kernel = new Microkernel({
    armor: kind.armor,
    generation,
    elements: kind.elements,
    random: systemRandom,
    eventSink: sinkOf(data),
    diagnose: ({ op, element, code, error }) => surroundings.log(`${op} at ${element || "no element"}: ${code}: ${describeError(error)}`),
    ...(follows && restored?.snapshot && { restored: { snapshot: restored.snapshot, records: restored.records } }),
  });
  const host = new ArmorHost(kernel, { ...surroundings, store, committed: () => attempts?.settle() });
  if (restored && restored.damage.length > 0) damaged({ damage: [...restored.damage], complete });
  if (saved && compareGenerations(saved, generation) !== 0) kernel.needsSnapshot = true;
  return host;
}

function sinkOf(data: DataDir): string {
  return `daemon@${readIdentity(data.identity)!.id}`;
}

function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.stack ?? error.message}${error.cause === undefined ? "" : `\nbecause: ${describeError(error.cause)}`}`;
}

/** The daemon's notation on the command line: `EPOCH.NODE.COUNTER`. */
export function parseGeneration(text: string): Generation {
  const match = /^(\d+)\.([^.]+)\.(\d+)$/.exec(text);
  if (!match) throw new ArmorError("usage", `--epoch ${JSON.stringify(text)} is not of the form EPOCH.NODE.COUNTER`);
  return { epoch: Number(match[1]), node: match[2]!, counter: Number(match[3]) };
}

