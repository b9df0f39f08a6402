/**
 * Start one armor as a process of its own: restore its checkpoint, register with
 * the local daemon, run.
 *
 * @module
 */
import process from "node:process";
import { parseRoleFlags, type RoleOptions } from "./role_flags.ts";
import type { CheckpointStore, Restored } from "../../core/checkpoint_store.ts";
import type { Data } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import type { Element } from "../../core/element.ts";
import { ArmorError, CheckpointError } from "../../core/errors.ts";
import type { Frame } from "../../core/frame.ts";
import { compareGenerations, type Generation } from "../../core/generation.ts";
import { Microkernel } from "../../core/microkernel.ts";
import type { Payload } from "../../core/payload.ts";
import { connectLink } from "../../transports/http2_client.ts";
import type { ElementSet } from "../elements/element_source.ts";
import type { ElementSupply } from "../elements/reconfiguration.ts";
import { compareVersions } from "../elements/table_version.ts";
import type { FtmBegin } from "../elements/takeover.ts";
import { elementsKey, executionOf, type Role } from "../shapes.ts";
import { ArmorHost } from "./armor_host.ts";
import { Ballast } from "./ballast.ts";
import { openCheckpointFiles } from "./checkpoint_file.ts";
import { dataDir, type DataDir } from "./data_dir.ts";
import { DeadLetterFile, deadLetterPath } from "./dead_letters.ts";
import { ElementLoader } from "./element_loader.ts";
import { badStateStatus, diskStatus, handFile, handPath, HandRecord, type InHand } from "./hand_record.ts";
import { openHeartbeats, type Heartbeats } from "./heartbeats.ts";
import { readIdentity } from "./identity.ts";
import { DaemonLink, type Registered } from "./local_link.ts";
import { markBoot, restoredGeneration } from "./restored_generation.ts";
import { openRunDir } from "./run_dir.ts";
import { bootId, systemClock } from "./system_clock.ts";
import { logLine, systemMachine } from "./system_machine.ts";
import { systemRandom } from "./system_random.ts";

/** What an armor's own host adds to the loop: commands and blocking work of its kind. */
export interface ArmorKind {
  readonly armor: string;
  /** What it is made of before anything from outside. */
  readonly elements: (supply: ElementSupply) => readonly Element[];
  /** What it is made of from outside, where it begins without a checkpoint, is in the daemon's answer. */
  readonly given: (answer: Registered) => ElementSet | undefined;
  /** The FTM's state is kept by the daemons. */
  readonly keepsCheckpoint: boolean;
  readonly asksOtherNodes: boolean;
  /** Perform a command that only this kind knows. */
  readonly command?: (command: HostCommand, local: (op: string, payload?: Payload) => void) => void;
  readonly work?: (kind: string, args: Data) => Promise<Data>;
}

/** Start the armor of a role; returns while it runs, or an exit status. */
export async function startArmor(role: string, argv: readonly string[]): Promise<number | undefined> {
  const options = parseRoleFlags(argv);
  // A mistake of ours: whoever watches this process starts it again.
  const fail = (error: unknown): never => {
    logLine(`${role} ends: ${describeError(error)}`);
    process.exit(error instanceof CheckpointError ? diskStatus : 70);
  };
  process.on("uncaughtException", fail);
  process.on("unhandledRejection", fail);
  try {
    return await startRole(role, options);
  } catch (error) {
    // What cannot be told to the operator in one line, or may be mended meanwhile: a full disk.
    const retried = error instanceof CheckpointError ? error.code !== "version" : !(error instanceof ArmorError);
    if (retried) fail(error);
    throw error;
  }
}

async function startRole(role: string, options: RoleOptions): Promise<number | undefined> {
  if (role === "daemon-process") return (await import("./run_daemon.ts")).runDaemon(options);
  const data = dataDir(options.dataDir);
  const identity = readIdentity(data.identity);
  if (!identity) throw new ArmorError("no_daemon", `Cannot start ${role}: there is no node in ${JSON.stringify(options.dataDir)}; start one with --role daemon`);
  const kind = await kindOf(role as Role, identity.id, data, options);
  const generation = options.epoch === undefined ? undefined : parseGeneration(options.epoch);
  return new Promise((resolve, reject) => void runArmor(kind, role as Role, data, generation, options, resolve).catch(reject));
}

async function kindOf(role: Role, node: string, data: DataDir, { armor: own }: RoleOptions): Promise<ArmorKind> {
  const given = (answer: Registered): ElementSet | undefined => answer.given ?? undefined;
  if (role === "ftm") {
    const { faultToleranceManager } = await import("../fault_tolerance_manager.ts");
    const elements = (supply: ElementSupply): Element[] => faultToleranceManager({ node, supply });
    return { armor: "ftm", elements, given: ftmElements, keepsCheckpoint: false, asksOtherNodes: true };
  }
  if (role === "heartbeat") {
    const { heartbeatArmor } = await import("../heartbeat_armor.ts");
    const elements = (supply: ElementSupply): Element[] => heartbeatArmor({ node, supply });
    return { armor: "heartbeat", elements, given, keepsCheckpoint: true, asksOtherNodes: true };
  }
  if (role === "own") {
    const { ownArmor } = await import("../own_armor.ts");
    if (own === undefined) throw new ArmorError("usage", "option \"--armor\" is missing: an armor of one's own is started by its daemon; see armor install --help");
    return { armor: own, elements: ownArmor, given, keepsCheckpoint: true, asksOtherNodes: false };
  }
  const { executionArmor } = await import("../execution_armor.ts");
  const { programHost, programSystem } = await import("./program_host.ts");
  const { pairSystem, watchPair } = await import("./pair_watch.ts");
  const armor = executionOf(node);
  const elements = (supply: ElementSupply): Element[] => executionArmor({ node, supply });
  const { command: ofPrograms, work } = programHost(programSystem(data, logLine));
  const command: ArmorKind["command"] = (one, local) => {
    if (one.kind !== "pair.watch") return ofPrograms(one, local);
    const pair = one.args["pair"] as string[];
    watchPair(pairSystem(data), (which, durationMs) => local("pair.woken", { armor: pair[which]!, durationMs }));
  };
  return { armor, elements, given, keepsCheckpoint: true, asksOtherNodes: false, command, work };
}

async function runArmor(
  kind: ArmorKind,
  role: Role,
  data: DataDir,
  ordered: Generation | undefined,
  options: RoleOptions,
  end: (status: number) => void,
): Promise<void> {
  const run = openRunDir(data);
  let host: ArmorHost | undefined;
  let heartbeats: Heartbeats | undefined;
  let registered: Registered | undefined;
  let started = false;
  /** Came before the armor knew what it starts from. */
  const early: Frame[] = [];
  const log = logLine;

  // Where faults may be injected; without the flag there is no such place.
  const seams = options.allowInjection ? (await import("./injection.ts")).openSeams(data, kind.armor, log, () => host?.kernel) : undefined;
  const machine = systemMachine(run, seams);
  const again = options.incarnation !== undefined && !options.incarnation.endsWith(".0");
  const loader = new ElementLoader();
  const hand = new HandRecord(handFile(handPath(data, kind.armor)), kind.keepsCheckpoint);
  const life = hand.begin(options.ended === "own");
  process.on("exit", (status) => hand.end(status));
  if (life === "failed") {
    log(`armor "${kind.armor}" gives up: it died again and again with nothing in hand`);
    process.exit(badStateStatus);
  }
  if (life === "careful") log(`armor "${kind.armor}" is careful: its last lives ended early; it died under ${JSON.stringify(hand.suspects)}`);
  const letters = new DeadLetterFile(deadLetterPath(data, kind.armor), kind.armor, log);

  // Started by the daemon: the generation is known, and restoring a checkpoint needs nobody.
  hand.hold(restoring);
  let opened = ordered && openState(kind, data, ordered, again);
  if (opened?.restored?.snapshot && opened.follows) host = await makeHost(kind, data, opened, loader, undefined, surround());
  hand.release();

  const link = new DaemonLink({
    connect: (handlers) => connectLink({ address: { path: run.socket }, ...handlers }),
    clock: systemClock,
    register: () => ({
      type: "register",
      armor: kind.armor,
      role,
      process: machine.self,
      generation: host?.kernel.generation ?? null,
      elements: host?.kernel.describe() ?? [],
    }),
    onRegistered: (answer) => {
      const first = registered === undefined;
      registered = answer;
      if (first) begin(answer).catch(fail);
      else host?.dispatch({ kind: "link-up" });
    },
    onFrame: (frame) => {
      if (!started) early.push(frame);
      else if (seams) seams.pass("messages", "here", frame, (passed) => host!.frame(passed));
      else host!.frame(frame);
    },
    onLinkUp: () => started && host?.dispatch({ kind: "link-up" }),
    onRefused: (reason) => {
      process.stderr.write(`armor: ${reason}\n`);
      end(1);
      process.exit(1);
    },
  });

  async function begin(answer: Registered): Promise<void> {
    hand.hold(restoring);
    opened ??= openState(kind, data, answer.generation, again);
    if (!host) {
      host = await makeHost(kind, data, opened, loader, kind.given(answer), surround());
      link.describe(host.kernel.describe());
    }
    heartbeats = await openHeartbeats({
      machine,
      armor: kind.armor,
      ...(kind.asksOtherNodes && { outerHost: answer.host }),
      keyOf: (id) => (id === kind.armor ? registered?.key : undefined),
      cluster: () => registered?.cluster ?? "",
      progress: () => host!.kernel.steps,
      epoch: () => host!.kernel.generation.epoch,
      local: (op, payload) => host!.local(op, payload),
    });
    host.start({ bootId: bootId() }, opened.restored?.snapshot === undefined);
    const { damage = [], complete = true } = opened.restored ?? {};
    if (damage.length > 0) host.local("checkpoint.restored", { damage: [...damage], complete });
    if (answer.begin) host.local("ftm.begin", { begin: answer.begin });
    started = true;
    for (const frame of early.splice(0)) host.frame(frame);
  }

  function fail(error: unknown): never {
    log(`armor "${kind.armor}" cannot begin: ${describeError(error)}`);
    process.exit(error instanceof CheckpointError ? diskStatus : 70);
  }

  function surround(): Omit<ConstructorParameters<typeof ArmorHost>[1], "store"> {
    return {
      durability: "process",
      hand,
      careful: life === "careful",
      deadLetter: (args) => letters.add(args, new Date().toISOString()),
      ...(seams && { clock: seams.clock() }),
      send: (frame) => (seams ? seams.pass("messages", "here", frame, (passed) => link.send(passed)) : link.send(frame)),
      command: (command) => {
        if (command.kind === "heartbeat.ask") heartbeats?.ask(command.args);
        else if (command.kind === "heartbeat.reply") heartbeats?.reply(command.args);
        else if (command.kind === "exit") {
          log(`armor "${kind.armor}" ends: ${String(command.args["text"])}`);
          process.exit(0);
        } else kind.command?.(command, (op, payload) => host!.local(op, payload));
      },
      work: (name, args) => {
        if (name === "element.load") return loader.work(args, registered?.allowElements === true, log);
        return kind.work?.(name, args) ?? Promise.reject(new Error(`no work of kind "${name}"`));
      },
      reconfigured: () => link.describe(host!.kernel.describe()),
      log,
    };
  }
}

/** In hand while an armor makes itself from its checkpoint. */
const restoring: InHand = { kind: "restore", id: "", op: "" };

/** What an armor finds of itself at its start. */
type Opened = {
  readonly store: CheckpointStore | undefined;
  readonly restored: Restored | undefined;
  /** The checkpoint goes on under the ordered generation; otherwise the armor begins anew. */
  readonly follows: boolean;
  readonly generation: Generation;
  /** It is not the generation under which the checkpoint was written. */
  readonly renewed: boolean;
};

function openState(kind: ArmorKind, data: DataDir, ordered: Generation, again: boolean): Opened {
  const store = kind.keepsCheckpoint ? openCheckpointFiles(data.armor(kind.armor), kind.armor, "process", new Ballast(data.ballast)) : undefined;
  const restored = store?.restore();
  const saved = restored?.records.at(-1)?.generation ?? restored?.snapshot?.generation;
  const complete = restored?.complete ?? true;
  const unsynced = store !== undefined && !markBoot(`${data.armor(kind.armor)}/boot`, bootId());
  const { follows, generation } = restoredGeneration({ ordered, again, saved, complete, unsynced });
  const renewed = saved !== undefined && compareGenerations(saved, generation) !== 0;
  return { store, restored, follows, generation, renewed };
}

/** @param given What it is made of besides, if it begins without a checkpoint. */
async function makeHost(
  kind: ArmorKind,
  data: DataDir,
  { store, restored, follows, generation, renewed }: Opened,
  loader: ElementLoader,
  given: ElementSet | undefined,
  surroundings: Omit<ConstructorParameters<typeof ArmorHost>[1], "store">,
): Promise<ArmorHost> {
  const supply = { library: loader.library, ...(given && { given }) };
  const elements = await loader.compose(kind.elements(supply), follows ? restored : undefined, given);
  const kernel = new Microkernel({
    armor: kind.armor,
    generation,
    elements,
    random: systemRandom,
    eventSink: sinkOf(data),
    diagnose: ({ op, element, code, error }) => surroundings.log(`${op} at ${element || "no element"}: ${code}: ${describeError(error)}`),
    ...(follows && restored?.snapshot && { restored: { snapshot: restored.snapshot, records: restored.records } }),
  });
  const host = new ArmorHost(kernel, { ...surroundings, store });
  if (renewed) kernel.needsSnapshot = true;
  return host;
}

/** The FTM keeps no checkpoint: what it was given is in the application table it starts from. */
function ftmElements({ begin }: Registered): ElementSet | undefined {
  const { reports = [] } = (begin ?? {}) as unknown as Partial<FtmBegin>;
  const tables = reports.map(({ table }) => table).sort((a, b) => compareVersions(b.version, a.version));
  return tables[0]?.entries[elementsKey("ftm")] as unknown as ElementSet | undefined;
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

