/**
 * The simulated machine, as a process of a node sees it: what every process gets
 * in place of `system_machine.ts`.
 *
 * @module
 */
import type { Machine } from "../../armors/host/machine.ts";
import { againAfter } from "../../armors/host/start_failure.ts";
import type { DurabilityClass } from "../../core/checkpoint_store.ts";
import type { SimStore } from "./sim_disk.ts";
import { SimLoader } from "./sim_loader.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";

/** One process's machine, and what in it is the same for all armors. */
export interface ProcessMachine extends Machine {
  readonly loader: SimLoader;
  /** The armor's own checkpoints. */
  openStore(armor: string, durability: DurabilityClass): SimStore;
}

/** Of this process. */
export function machineOf(node: SimNode, process: SimProcess): ProcessMachine {
  const { machine } = node;
  let store: SimStore | undefined;
  const endings: ((status: number) => void)[] = [];
  const log = (text: string): void => node.log(`${process.name} of ${node.name}: ${text}`);
  return {
    clock: process.clock,
    random: node.random,
    bootId: machine.bootId,
    self: process.identity,
    ports: {
      read: (id) => node.portFiles.get(id),
      write: (id, port) => void (process.alive && node.portFiles.set(id, port)),
    },
    loader: new SimLoader(node, process),
    openStore: (armor, durability) => store = node.disk.store(armor, durability, process),
    pause: (delayMs) => process.later(delayMs, () => {}),
    openPort: async (_way, options) => {
      await process.later(0, () => {});
      return node.ports.open(node, process, options);
    },
    around: (surroundings, kernel) => {
      node.watch.made(node, process, kernel, store, kernel.snapshot().commit > 0);
      return {
        ...surroundings,
        send: (frame) => {
          if (!process.effect()) return;
          node.watch.sent(process, frame);
          surroundings.send(frame);
        },
        command: (command) => {
          if (!process.effect()) return;
          machine.clock.settled ||= !command.kind.startsWith("heartbeat.");
          surroundings.command(command);
        },
        work: (kind, args) => {
          machine.clock.settled = true;
          return surroundings.work(kind, args);
        },
      };
    },
    log,
    tell: (text) => {
      if (process.role === "daemon") node.lastWords = text;
      log(text);
    },
    onTerminate: (asked) => {
      process.handlers.set("SIGTERM", asked);
    },
    onExit: (ends) => void endings.push(ends),
    exit: (status) => {
      // The real one does not return; here the code goes on, without effect.
      if (!process.alive) return undefined as never;
      for (const ends of endings) ends(status);
      node.watch.ended(node, process, status);
      process.end({ code: status, signal: null });
      return undefined as never;
    },
  };
}

/** Run the code of a process; what it throws ends it as it would end the real one, see `start_armor.ts`. */
export function runIn(process: SimProcess, { exit, tell }: Machine, main: () => Promise<void>): void {
  process.machine.clock.settled = true;
  main().catch((error) => {
    tell(error instanceof Error ? error.stack ?? error.message : String(error));
    exit(againAfter(error) ?? 1);
  });
}
