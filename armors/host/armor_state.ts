/**
 * What an armor finds of itself at its start, and the microkernel made of it.
 *
 * @module
 */
import type { CheckpointStore, Restored } from "../../core/checkpoint_store.ts";
import { compareGenerations, type Generation } from "../../core/generation.ts";
import { limits } from "../../core/limits.ts";
import { Microkernel } from "../../core/microkernel.ts";
import type { ElementSet } from "../elements/element_source.ts";
import { daemonOf } from "../shapes.ts";
import type { ArmorKind } from "./armor_kind.ts";
import type { ArmorMachine } from "./armor_machine.ts";
import { restoredGeneration } from "./restored_generation.ts";

/** Found at the start. */
export interface ArmorState {
  readonly store: CheckpointStore | undefined;
  readonly restored: Restored | undefined;
  /** What is wrong with it, in words; not `complete`: the armor does not have all that it had. */
  readonly damage: readonly string[];
  readonly complete: boolean;
  /** The checkpoint goes on under the ordered generation; otherwise the armor begins anew. */
  readonly follows: boolean;
  readonly generation: Generation;
  /** It is not the generation under which the checkpoint was written. */
  readonly renewed: boolean;
}

/** @param again It was started before under this order. */
export function openArmorState(kind: ArmorKind, machine: ArmorMachine, ordered: Generation, again: boolean): ArmorState {
  const store = kind.keepsCheckpoint ? machine.openStore() : undefined;
  const restored = store?.restore();
  const saved = restored?.records.at(-1)?.generation ?? restored?.snapshot?.generation;
  const complete = restored?.complete ?? true;
  const unsynced = store !== undefined && !machine.ranInThisBoot();
  const { follows, generation } = restoredGeneration({ ordered, again, saved, lost: restored?.lost, complete, unsynced, jump: machine.random.below(limits.generationJumpMax) });
  const renewed = saved !== undefined && compareGenerations(saved, generation) !== 0;
  // It has written something before, and the power took it without a trace.
  const gone = again && unsynced && saved === undefined && complete;
  const damage = gone ? ["nothing of it is left since the machine has restarted"] : restored?.damage ?? [];
  return { store, restored, damage, complete: complete && !gone, follows, generation, renewed };
}

/** @param given What it is made of besides, if it begins without a checkpoint. */
export async function makeKernel(
  kind: ArmorKind,
  machine: ArmorMachine,
  { restored, follows, generation, renewed }: ArmorState,
  given: ElementSet | undefined,
): Promise<Microkernel> {
  const { loader } = machine;
  const supply = { library: loader.library, ...(given && { given }) };
  const elements = await loader.compose(kind.elements(supply), follows ? restored : undefined, given);
  const kernel = new Microkernel({
    armor: kind.armor,
    generation,
    elements,
    random: machine.random,
    eventSink: daemonOf(machine.node),
    boot: machine.bootId,
    diagnose: ({ op, element, code, error }) => machine.log(`${op} at ${element || "no element"}: ${code}: ${describeError(error)}`),
    ...(follows && restored?.snapshot && { restored: { snapshot: restored.snapshot, records: restored.records } }),
  });
  if (renewed) kernel.needsSnapshot = true;
  return kernel;
}

/** An error with its causes, for a log. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return `${error.stack ?? error.message}${error.cause === undefined ? "" : `\nbecause: ${describeError(error.cause)}`}`;
}
