/**
 * A simulated armor's process: the real one on a simulated machine. Execution
 * armors have the real program host.
 *
 * @module
 */
import { executionArmor } from "../../armors/execution_armor.ts";
import { faultToleranceManager } from "../../armors/fault_tolerance_manager.ts";
import { heartbeatArmor } from "../../armors/heartbeat_armor.ts";
import { ownArmor } from "../../armors/own_armor.ts";
import { type ArmorKind, traitsOf } from "../../armors/host/armor_kind.ts";
import { armorOrder } from "../../armors/host/armor_order.ts";
import { executionHost } from "../../armors/host/execution_host.ts";
import { parseRoleFlags } from "../../armors/host/role_flags.ts";
import { runArmor } from "../../armors/host/run_armor.ts";
import type { ProgramState } from "../../armors/host/process_table.ts";
import type { Role } from "../../armors/shapes.ts";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import { machineOf, runIn } from "./process_machine.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";
import { simPrograms } from "./sim_programs.ts";

/** Start an armor as its daemon does, with these flags. */
export function startSimArmor(node: SimNode, role: Role, armor: string, flags: readonly string[]): SimProcess {
  const order = armorOrder(role, parseRoleFlags(["--role", role, "--data-dir", "/", ...flags]));
  return node.machine.spawn(role, armor, 30 + node.random.below(60), (process) => {
    const system = machineOf(node, process);
    const { disk, network } = node;
    const machine = {
      ...system,
      node: node.id,
      hand: disk.hand(armor, process),
      openStore: () => system.openStore(armor, "process"),
      ranInThisBoot: () => disk.boots.get(armor) === node.machine.bootId,
      markBoot: () => void (process.effect() && disk.boots.set(armor, node.machine.bootId)),
      deadLetter: ({ failure }) => system.log(`dead letter: ${JSON.stringify(failure)}`),
      connect: (handlers) => network.connect(process, node.name, node.socket, {}, handlers),
      hear: (frame, take) => take(frame),
    } satisfies Parameters<typeof runArmor>[1];
    runIn(process, system, () => runArmor(kindOf(role, node, process), machine, order));
  });
}

type Holder = ProcessIdentity | undefined;

function stateOf(process: SimProcess | undefined): ProgramState {
  return process === undefined ? "gone" : process.stopped ? "stopped" : "running";
}

function kindOf(role: Role, node: SimNode, process: SimProcess): ArmorKind {
  const { id } = node;
  const traits = traitsOf(role as Exclude<Role, "daemon">, id, process.name);
  if (role === "own") return { ...traits, elements: ownArmor };
  if (role === "ftm") return { ...traits, elements: (supply) => faultToleranceManager({ node: id, supply }) };
  if (role === "heartbeat") return { ...traits, elements: (supply) => heartbeatArmor({ node: id, supply }) };
  const pair = {
    clock: process.clock,
    holders: () => [node.guardLock, node.daemonLock].map((held) => (held?.alive ? held.identity : undefined)) as [Holder, Holder],
    state: (found: ProcessIdentity) => stateOf(node.machine.find(found)),
    wake: (found: ProcessIdentity) => node.machine.find(found)?.signal("SIGCONT"),
  };
  return { ...traits, elements: (supply) => executionArmor({ node: id, supply }), ...executionHost(simPrograms(node, process), pair) };
}
