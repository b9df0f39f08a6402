/**
 * A simulated armor's process: `start_armor.ts` with the real link to its
 * daemon, the real loop around the microkernel and, for execution armors, the
 * real program host.
 *
 * @module
 */
import type { Data } from "../../core/data.ts";
import type { HostCommand } from "../../core/effects.ts";
import type { Element } from "../../core/element.ts";
import type { Frame } from "../../core/frame.ts";
import { compareGenerations, type Generation } from "../../core/generation.ts";
import { Microkernel } from "../../core/microkernel.ts";
import type { Payload } from "../../core/payload.ts";
import { executionArmor } from "../../armors/execution_armor.ts";
import { faultToleranceManager } from "../../armors/fault_tolerance_manager.ts";
import { heartbeatArmor } from "../../armors/heartbeat_armor.ts";
import { ArmorHost } from "../../armors/host/armor_host.ts";
import { badStateStatus, HandRecord } from "../../armors/host/hand_record.ts";
import { DaemonLink, type Registered } from "../../armors/host/local_link.ts";
import { restoredGeneration } from "../../armors/host/restored_generation.ts";
import { programHost } from "../../armors/host/program_host.ts";
import { daemonOf, executionOf, type Role } from "../../armors/shapes.ts";
import { openSimHeartbeats } from "./sim_heartbeats.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";
import { simPrograms } from "./sim_programs.ts";

interface Kind {
  readonly armor: string;
  readonly elements: readonly Element[];
  readonly keepsCheckpoint: boolean;
  readonly asksOtherNodes: boolean;
  readonly command?: (command: HostCommand, local: (op: string, payload?: Payload) => void) => void;
  readonly work?: (kind: string, args: Data) => Promise<Data>;
}

function kindOf(role: Role, node: SimNode, process: SimProcess): Kind {
  if (role === "ftm") return { armor: "ftm", elements: faultToleranceManager({ node: node.id }), keepsCheckpoint: false, asksOtherNodes: true };
  if (role === "heartbeat") return { armor: "heartbeat", elements: heartbeatArmor({ node: node.id }), keepsCheckpoint: true, asksOtherNodes: true };
  const armor = executionOf(node.id);
  const elements = executionArmor({ node: node.id });
  return { armor, elements, keepsCheckpoint: true, asksOtherNodes: false, ...programHost(simPrograms(node, process)) };
}

/** Start an armor as its daemon does. */
export function startSimArmor(node: SimNode, role: Role, armor: string, ordered: Generation, again: boolean): SimProcess {
  return node.machine.spawn(role, armor, 30 + node.random.below(60), (process) => runSimArmor(node, process, role, ordered, again));
}

function runSimArmor(node: SimNode, process: SimProcess, role: Role, ordered: Generation, again: boolean): void {
  const kind = kindOf(role, node, process);
  const end = (status: number): never => {
    node.watch.ended(node, process, status);
    process.end({ code: status, signal: null });
    return undefined as never;
  };
  let heartbeats: ReturnType<typeof openSimHeartbeats> | undefined;
  let registered: Registered | undefined;
  let started = false;
  const early: Frame[] = [];
  const log = (text: string): void => node.log(`${kind.armor}: ${text}`);

  const surroundings = {
    durability: "process",
    clock: process.clock,
    exit: end,
    send: (frame: Frame) => {
      if (!process.effect()) return;
      node.watch.sent(process, frame);
      link.send(frame);
    },
    command: (command: HostCommand) => {
      if (!process.effect()) return;
      if (command.kind === "heartbeat.ask") heartbeats?.ask(command.args);
      else if (command.kind === "heartbeat.reply") heartbeats?.reply(command.args);
      else if (command.kind === "exit") {
        log(`ends: ${String(command.args["text"])}`);
        end(0);
      } else kind.command?.(command, (op, payload = {}) => process.run(() => host!.local(op, payload)));
    },
    work: (name: string, args: Data): Promise<Data> => {
      node.machine.clock.settled = true;
      return kind.work?.(name, args) ?? Promise.reject(new Error(`no work of kind "${name}"`));
    },
    log,
  } as const;

  const store = kind.keepsCheckpoint ? node.disk.store(kind.armor, "process", process) : undefined;
  const hand = new HandRecord(node.disk.hand(kind.armor, process), kind.keepsCheckpoint);
  const life = hand.begin();
  if (life === "failed") return end(badStateStatus);
  const restored = store?.restore();
  const saved = restored?.records.at(-1)?.generation ?? restored?.snapshot?.generation;
  const complete = restored?.complete ?? true;
  const unsynced = node.disk.boots.get(kind.armor) !== node.machine.bootId;
  node.disk.boots.set(kind.armor, node.machine.bootId);
  const { follows, generation } = restoredGeneration({ ordered, again, saved, complete, unsynced });
  const kernel = new Microkernel({
    armor: kind.armor,
    generation,
    elements: node.watch.elements(process, kind.elements),
    random: node.random,
    eventSink: daemonOf(node.id),
    diagnose: ({ op, element, code, error }) => log(`${op} at ${element || "no element"}: ${code}: ${error instanceof Error ? error.stack : String(error)}`),
    ...(follows && restored?.snapshot && { restored: { snapshot: restored.snapshot, records: restored.records } }),
  });
  if (saved && compareGenerations(saved, generation) !== 0) kernel.needsSnapshot = true;
  node.watch.made(node, process, kernel, store, follows);
  const host = new ArmorHost(kernel, {
    ...surroundings,
    store,
    hand,
    careful: life === "careful",
    deadLetter: ({ failure }) => log(`dead letter: ${JSON.stringify(failure)}`),
  });

  const link = new DaemonLink({
    connect: (handlers) => node.network.connect(process, node.name, node.socket, {}, handlers),
    clock: process.clock,
    register: () => ({
      type: "register",
      armor: kind.armor,
      role,
      process: process.identity,
      generation: host.kernel.generation,
      elements: host.kernel.describe(),
    }),
    onRegistered: (answer) => {
      const first = registered === undefined;
      registered = answer;
      if (first) begin(answer);
      else host.dispatch({ kind: "link-up" });
    },
    onFrame: (frame) => {
      if (started) host.frame(frame);
      else early.push(frame);
    },
    onLinkUp: () => started && host.dispatch({ kind: "link-up" }),
    onRefused: (reason) => {
      log(`refused: ${reason}`);
      end(1);
    },
  });

  function begin(answer: Registered): void {
    // Sockets are opened in another turn.
    process.clock.after(1, () => {
      heartbeats = openSimHeartbeats({
        node,
        process,
        armor: kind.armor,
        asksOtherNodes: kind.asksOtherNodes,
        knowsKeyOf: (id) => id === kind.armor,
        cluster: () => registered?.cluster ?? "",
        progress: () => kernel.steps,
        epoch: () => kernel.generation.epoch,
        local: (op, payload) => host.local(op, payload),
      });
      host.start({ bootId: node.machine.bootId });
      if (answer.begin) host.local("ftm.begin", { begin: answer.begin });
      started = true;
      for (const frame of early.splice(0)) host.frame(frame);
    });
  }
}
