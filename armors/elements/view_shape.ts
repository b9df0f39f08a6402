/**
 * View: the shape of what the FTM tells daemons and the heartbeat armor of the
 * cluster. Plain data, so `type`, not `interface`.
 *
 * @module
 */
import type { Epoch } from "../../core/generation.ts";
import type { InstanceState, ShownInstance } from "../shapes.ts";
import type { Makeups, ShownArmor } from "./makeups.ts";

/** Payload field `view` of `view.update`, unless that has `change`. */
export type View = {
  readonly epoch: Epoch;
  /** Counts the views of this epoch; an older one is not taken for news. */
  readonly number: number;
  /** The FTM has no majority of the registered nodes. */
  readonly stale: boolean;
  readonly nodes: readonly { readonly id: string; readonly name: string; readonly address: string; readonly state: string; readonly absent: boolean }[];
  readonly armors: readonly ShownArmor[];
  /** What they are made of. */
  readonly makeups: Makeups;
  /** Names of armors of the user's own, by id. */
  readonly names: { readonly [armor: string]: string };
  readonly applications: readonly {
    readonly name: string;
    readonly desired: string;
    readonly state: InstanceState;
    readonly revision: number;
    readonly instances: readonly ShownInstance[];
  }[];
};

/** Payload field `follow` of `heartbeat.follow`: what it takes to replace the FTM. */
export type Follow = {
  readonly epoch: Epoch;
  readonly nodes: readonly { readonly id: string; readonly address: string; readonly state: string; readonly absent: boolean }[];
  /** Node of the FTM; empty if it is not known. */
  readonly ftm: string;
};
