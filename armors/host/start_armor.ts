/**
 * Start one armor as a process of its own on the real machine.
 *
 * @module
 */
import process from "node:process";
import { ArmorError, CheckpointError } from "../../core/errors.ts";
import type { Microkernel } from "../../core/microkernel.ts";
import { connectLink } from "../../transports/http2_client.ts";
import type { Role } from "../shapes.ts";
import { type ArmorKind, traitsOf } from "./armor_kind.ts";
import type { ArmorMachine } from "./armor_machine.ts";
import { armorOrder } from "./armor_order.ts";
import { describeError } from "./armor_state.ts";
import { Ballast } from "./ballast.ts";
import { openCheckpointFiles } from "./checkpoint_file.ts";
import { dataDir, type DataDir } from "./data_dir.ts";
import { DeadLetterFile, deadLetterPath } from "./dead_letters.ts";
import { ElementLoader } from "./element_loader.ts";
import { diskStatus, handFile, handPath } from "./hand_record.ts";
import { readIdentity } from "./identity.ts";
import { markBoot, ranInBoot } from "./restored_generation.ts";
import { againAfter, mistakeStatus } from "./start_failure.ts";
import { parseRoleFlags, type RoleOptions } from "./role_flags.ts";
import { runArmor } from "./run_armor.ts";
import { followRunDir } from "./run_dir.ts";
import { logLine, systemMachine } from "./system_machine.ts";

/** Start the armor of a role; returns while it runs. */
export async function startArmor(role: string, argv: readonly string[]): Promise<undefined> {
  const options = parseRoleFlags(argv);
  // A mistake of ours: whoever watches this process starts it again.
  const fail = (error: unknown, status = error instanceof CheckpointError ? diskStatus : mistakeStatus): never => {
    logLine(`${role} ends: ${describeError(error)}`);
    process.exit(status);
  };
  process.on("uncaughtException", (error) => fail(error));
  process.on("unhandledRejection", (error) => fail(error));
  try {
    return await startRole(role, options);
  } catch (error) {
    const status = againAfter(error);
    if (status === undefined) throw error;
    return fail(error, status);
  }
}

async function startRole(role: string, options: RoleOptions): Promise<undefined> {
  if (role === "daemon-process") return (await import("./run_daemon.ts")).runDaemon(options);
  const data = dataDir(options.dataDir);
  const identity = readIdentity(data.identity);
  if (!identity) throw new ArmorError("no_daemon", `Cannot start ${role}: there is no node in ${JSON.stringify(options.dataDir)}; start one with --role daemon`);
  const kind = await kindOf(role as Exclude<Role, "daemon">, identity.id, data, options);
  await runArmor(kind, await machineOf(kind, identity.id, data, options), armorOrder(role as Role, options));
}

/** Each process loads only its own elements. */
async function kindOf(role: Exclude<Role, "daemon">, node: string, data: DataDir, { armor: own }: RoleOptions): Promise<ArmorKind> {
  const traits = traitsOf(role, node, own);
  if (role === "ftm") {
    const { faultToleranceManager } = await import("../fault_tolerance_manager.ts");
    return { ...traits, elements: (supply) => faultToleranceManager({ node, supply }) };
  }
  if (role === "heartbeat") {
    const { heartbeatArmor } = await import("../heartbeat_armor.ts");
    return { ...traits, elements: (supply) => heartbeatArmor({ node, supply }) };
  }
  if (role === "own") {
    const { ownArmor } = await import("../own_armor.ts");
    if (own === undefined) throw new ArmorError("usage", "option \"--armor\" is missing: an armor of one's own is started by its daemon; see armor install --help");
    return { ...traits, elements: ownArmor };
  }
  const { executionArmor } = await import("../execution_armor.ts");
  const { executionHost } = await import("./execution_host.ts");
  const { pairSystem } = await import("./pair_watch.ts");
  const { programSystem } = await import("./program_host.ts");
  return { ...traits, elements: (supply) => executionArmor({ node, supply }), ...executionHost(programSystem(data, logLine), pairSystem(data)) };
}

async function machineOf({ armor }: ArmorKind, node: string, data: DataDir, { allowInjection }: RoleOptions): Promise<ArmorMachine> {
  const run = followRunDir(data);
  const folder = data.armor(armor);
  let kernel: Microkernel | undefined;
  // Where faults may be injected; without the flag there is no such place.
  const seams = allowInjection ? (await import("./injection.ts")).openSeams(data, armor, logLine, () => kernel) : undefined;
  const letters = new DeadLetterFile(deadLetterPath(data, armor), armor, logLine);
  const system = systemMachine(run, seams);
  return {
    ...system,
    node,
    hand: handFile(handPath(data, armor)),
    loader: new ElementLoader(),
    openStore: () => openCheckpointFiles(folder, armor, "process", new Ballast(data.ballast)),
    ranInThisBoot: () => ranInBoot(`${folder}/boot`, system.bootId),
    markBoot: () => markBoot(`${folder}/boot`, system.bootId),
    deadLetter: (args) => letters.add(args, new Date().toISOString()),
    connect: (handlers) => connectLink({ address: { path: run.socket }, ...handlers }),
    hear: (frame, take) => (seams ? seams.pass("messages", "here", frame, take) : take(frame)),
    around: (surroundings, of) => {
      kernel = of;
      const { send } = surroundings;
      return seams ? { ...system.around(surroundings, of), send: (frame) => seams.pass("messages", "here", frame, send) } : surroundings;
    },
  };
}
