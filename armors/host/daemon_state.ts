/**
 * What a daemon finds of itself at its start: how its last lives ended, its
 * checkpoint, and what it remembers beside that. From all of it its microkernel
 * is made.
 *
 * @module
 */
import type { CheckpointStore } from "../../core/checkpoint_store.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { daemonArmor } from "../daemon_armor.ts";
import { daemonOf } from "../shapes.ts";
import type { DaemonMachine, DaemonOptions } from "./daemon_machine.ts";
import { HandRecord, type Life } from "./hand_record.ts";
import { type NodeMemory, recall, recallPromise, rememberingStore, untold } from "./node_memory.ts";

/** A daemon that has not begun yet. */
export interface DaemonState {
  readonly kernel: Microkernel;
  readonly store: CheckpointStore;
  readonly hand: HandRecord;
  readonly life: Life;
  /** There was no checkpoint. */
  readonly first: boolean;
  readonly complete: boolean;
  readonly damage: readonly string[];
  /** What was remembered before this life. */
  readonly memory: NodeMemory | undefined;
}

/** Restore it. While it does, it holds in its hand record that it does. */
export async function openDaemonState(machine: DaemonMachine, options: DaemonOptions): Promise<DaemonState> {
  const { identity } = machine;
  const { id, name, bootstrap, memory } = identity.now;
  const armor = daemonOf(id);
  const hand = new HandRecord(machine.hand, false);
  const life = hand.begin(options.ownEnd);
  machine.onExit((status) => hand.end(status));
  if (life === "careful") machine.log(`the daemon is careful: its last lives ended early; it died under ${JSON.stringify(hand.suspects)}`);
  hand.hold({ kind: "restore", id: "", op: "" });
  const store = rememberingStore(machine.store, () => kernel, memory, (next) => identity.remember(next));
  const restored = store.restore();
  const { complete, damage, generation } = recall(restored, memory, { epoch: 0, node: id, counter: 0 });
  // Before anything is sent under it, or written that looks whole: the next loss counts from here.
  if (!complete && memory) identity.remember(untold(memory, generation));
  const { snapshot, records } = recallPromise(restored, memory);
  const builtIn = daemonArmor({
    id,
    name,
    address: options.address,
    boot: machine.bootId,
    bootstrap,
    allowElements: options.allowElements,
    supply: { library: machine.loader.library },
  });
  const kernel: Microkernel = new Microkernel({
    armor,
    generation,
    elements: await machine.loader.compose(builtIn, restored),
    random: machine.random,
    eventSink: armor,
    boot: machine.bootId,
    diagnose: ({ op, element, code, error }) => machine.log(`${op} at ${element || "no element"}: ${code}: ${error instanceof Error ? error.stack : String(error)}`),
    ...(snapshot && { restored: { snapshot, records } }),
  });
  // After damage, or where a sync may have failed, the log goes on only behind a new snapshot.
  if (!complete || restored.unsynced) kernel.needsSnapshot = true;
  hand.release();
  return { kernel, store, hand, life, first: snapshot === undefined, complete, damage, memory };
}
