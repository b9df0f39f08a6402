/**
 * What a checker of a safety rule hears; each rule is a file of its own beside
 * this one. A checker calls `fail` at the first violation.
 *
 * @module
 */
import type { Data, DataRecord } from "../../../core/data.ts";
import type { Effects } from "../../../core/effects.ts";
import type { Frame } from "../../../core/frame.ts";
import type { KernelEvent } from "../../../core/kernel_event.ts";
import type { Message } from "../../../core/message.ts";
import type { Microkernel } from "../../../core/microkernel.ts";
import type { SimStore } from "../sim_disk.ts";
import type { SimNode } from "../sim_node.ts";
import type { SimProcess } from "../sim_processes.ts";

/** One armor's life: a process with a microkernel. */
export interface Life {
  readonly node: SimNode;
  readonly process: SimProcess;
  readonly kernel: Microkernel;
  readonly store: SimStore | undefined;
  /** It goes on from a checkpoint. */
  readonly follows: boolean;
}

/** A handler that is about to run. */
export interface Handling {
  readonly message: Message;
  readonly payload: { readonly [field: string]: Data };
  /** Of its element, with what this segment has changed. */
  readonly state: DataRecord;
}

/** Hears of everything. */
export interface Checker {
  /** A microkernel was made. */
  made?(life: Life): void;
  /** It took a step; its effects are still to be performed. */
  stepped?(life: Life, event: KernelEvent, effects: Effects): void;
  /** A frame leaves. */
  sent?(life: Life, frame: Frame): void;
  /** A handler of one of {@link watchedOps} is about to run. */
  handling?(life: Life, op: string, handling: Handling): void;
  /** The process is gone. */
  died?(life: Life): void;
  /** A shim has started a program under this launch number. */
  programStarted?(node: SimNode, program: SimProcess, number: number): void;
  /** A daemon stores numbered events. */
  eventsStored?(node: SimNode, events: readonly DataRecord[]): void;
  /** The run is over, and the cluster as it should be. */
  over?(lives: readonly Life[]): void;
}

/** Ends the run: `rule` is the checker's name. */
export type Fail = (rule: string, text: string) => void;

/** Ops whose handlers are watched. */
export const watchedOps: ReadonlySet<string> = new Set([
  "ftm.begin",
  "armor.install",
  "armor.remove",
  "armor.forget",
  "view.update",
  "table.store",
  "membership.end",
  "instances.assign",
  "instances.told",
  "armors.told",
  "table.commit",
  "placement.decide",
  "program.exited",
]);
