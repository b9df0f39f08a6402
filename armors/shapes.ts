/**
 * Shapes that several elements exchange in payloads. Plain data, so `type`, not
 * `interface`.
 *
 * @module
 */
import type { Data } from "../core/data.ts";
import { compareEpochs, type Epoch, type Generation } from "../core/generation.ts";
import type { ArmorId } from "../core/micro_operation.ts";
import type { ProcessIdentity } from "../core/process_identity.ts";
import type { Application } from "./application.ts";

/** The four armor types, and `own`: an armor of the user's. */
export const roles = ["daemon", "ftm", "heartbeat", "execution", "own"] as const;

/** One of {@link roles}. */
export type Role = (typeof roles)[number];

/** Of which order a job has completed; in events of that. */
export type Completion = { readonly name: string; readonly serial: string; readonly restart: number };

/** A node as the cluster knows it durably. */
export type NodeRegistration = {
  readonly id: string;
  readonly name: string;
  /** HOST:PORT under which other nodes reach it. */
  readonly address: string;
  /** `armor down` was acknowledged: its applications go elsewhere, then it has left. */
  readonly draining: boolean;
  /** Left by `armor down`. */
  readonly left: boolean;
  /** Left because another node has its name now: its data dir was lost. */
  readonly replaced?: boolean;
  /** It joins together with others: a majority is one with them and one without them, until that is stored. */
  readonly joining?: boolean;
  /** How many nodes had joined the cluster before it; given by the application table. */
  readonly number?: number;
};

/** What the FTM may think of a node. */
export const nodeStates = ["alive", "suspect", "failed", "draining", "left"] as const;

/** One of {@link nodeStates}. */
export type NodeState = (typeof nodeStates)[number];

/** State of an armor in status. */
export type ArmorState = "starting" | "running" | "recovering" | "failed";

/** (placement by the FTM, restart by the daemon). */
export type Incarnation = { readonly placement: number; readonly restart: number };

/** One armor as its daemon reports it. */
export type ArmorReport = {
  readonly armor: ArmorId;
  readonly role: Role;
  readonly pid: number | null;
  readonly state: ArmorState;
  readonly incarnation: Incarnation;
  readonly generation: Generation | null;
  readonly elements: Data;
};

/** Orders table versions: epoch of writing, then sequence. */
export type TableVersion = { readonly epoch: Epoch; readonly sequence: number };

/** A copy of the table as it travels. */
export type TableCopy = {
  readonly version: TableVersion;
  /** Last versions of earlier epochs, and of copies merged, that it contains. */
  readonly lineage: readonly TableVersion[];
  /** Under `app:NAME`, `gone:NAME` and `node:ID`. */
  readonly entries: { readonly [key: string]: Data };
  /** A part of it, or all, was lost with a checkpoint: its keeper cannot say what is newest. */
  readonly lost?: true;
};

/** A removed application: what a returning node must not bring back. */
export type Tombstone = { readonly revision: number; readonly revisionEpoch: Epoch; readonly sequence?: number; readonly requests?: readonly string[] };

/** An armor of the user's own; entry `armor:NAME` of the application table. */
export type OwnArmorEntry = {
  /** Never used again once it is removed. */
  readonly id: ArmorId;
  readonly name: string;
  /** Name of the node it is placed on if that is possible. */
  readonly node: string | null;
  readonly revision: number;
  readonly revisionEpoch: Epoch;
  /** As in {@link ApplicationEntry}. */
  readonly sequence?: number;
};

/** Key of an armor's elements from outside in the application table. */
export const elementsKey = (armor: ArmorId): string => `elements:${armor}`;

/** Key of the node that has an armor's checkpoint, an armor of the user's own, in the application table. */
export const homeKey = (armor: ArmorId): string => `home:${armor}`;

/** What an operator wants of one application. */
export type ApplicationEntry = {
  /** Names this submission: one that is removed and submitted again is another application. */
  readonly serial: string;
  readonly application: Application;
  readonly desired: "running" | "stopped";
  /** Counts the operator's changes. */
  readonly revision: number;
  /** Epoch in which the revision was acknowledged. */
  readonly revisionEpoch: Epoch;
  /** Of the table's version in that epoch with which the revision came: a copy that contains the version has had it. */
  readonly sequence?: number;
  /** Counts the operator's restarts. */
  readonly restart: number;
  /** Instances of a job that have completed. */
  readonly completed: readonly string[];
  /** The operators' last requests that have changed it: one that is tried again under another FTM does not take effect twice. */
  readonly requests?: readonly string[];
};

/** Where and when the FTM placed an instance; a later one wins. */
export type Placement = { readonly epoch: Epoch; readonly number: number };

/** States of an instance in status. */
export const instanceStates = ["pending", "starting", "running", "restarting", "stopping", "stopped", "completed", "failed"] as const;

/** One of {@link instanceStates}. */
export type InstanceState = (typeof instanceStates)[number];

/** One instance as the FTM orders it from an execution armor. */
export type InstanceOrder = {
  readonly id: string;
  /** Of the application's entry. */
  readonly serial: string;
  readonly application: Application;
  readonly desired: "running" | "stopped";
  readonly restart: number;
  readonly placement: Placement;
};

/** One instance as its execution armor reports it. */
export type InstanceReport = {
  readonly id: string;
  readonly serial: string;
  readonly name: string;
  readonly placement: Placement;
  readonly state: InstanceState;
  readonly pid: number | null;
  readonly restarts: number;
  /** Counts how often it was started, or was to be, in this placement. */
  readonly launch: number;
  /** Restarts by operators that it has taken: what it says is about the run after them. */
  readonly restart: number;
  /** The restart policy gave up on this node for now. */
  readonly crashLoop: boolean;
  /** Why it cannot run here at all; empty: it can. */
  readonly cannot: string;
};

/** What a daemon tells a new FTM, together with its promise. */
export type NodeReport = {
  readonly node: string;
  readonly armors: readonly ArmorReport[];
  readonly table: TableCopy;
  /** It takes elements by message. */
  readonly allowElements: boolean;
  /** Its disk is full. */
  readonly full?: boolean;
  /** Nodes whose connection has just closed and that it has asked in vain since. */
  readonly silent?: readonly string[];
  /** What it was last told of instances on nodes that are absent as planned, which cannot report themselves. */
  readonly shown?: { readonly epoch: Epoch; readonly number: number; readonly instances: readonly ShownInstance[] };
};

/** One instance as status shows it. */
export type ShownInstance = {
  readonly id: string;
  readonly node: string | null;
  readonly pid: number | null;
  readonly state: InstanceState;
  readonly restarts: number;
};

/** An armor as a daemon keeps it. */
export type LocalArmor = {
  readonly armor: ArmorId;
  readonly role: Role;
  readonly incarnation: Incarnation;
  readonly generation: Generation;
  readonly process: ProcessIdentity | null;
  readonly failed: boolean;
};

/** Names of the armors of one node. */
export const daemonOf = (node: string): ArmorId => `daemon@${node}`;
/** The execution armor of a node. */
export const executionOf = (node: string): ArmorId => `execution@${node}`;
/** The node part of `daemon@NODE` or `execution@NODE`. */
export const nodeOf = (armor: ArmorId): string => armor.slice(armor.indexOf("@") + 1);

/** An FTM has one line of state in its epoch. */
export const ftmGeneration = ({ number, node }: Epoch): Generation => ({ epoch: number, node, counter: 0 });

/** How many of `registered` nodes must answer or store: 1 of 1, 1 of 2 (availability), a majority from three up. */
export function quorum(registered: number): number {
  return registered <= 2 ? 1 : Math.floor(registered / 2) + 1;
}

/** Ids of an application's instances: `NAME.0`, `NAME.1`, … */
export function instanceIds(entry: ApplicationEntry): string[] {
  return Array.from({ length: entry.application.instances }, (_, index) => `${entry.application.name}.${index}`);
}

/** A later placement wins. */
export function comparePlacements(a: Placement, b: Placement): number {
  return compareEpochs(a.epoch, b.epoch) || a.number - b.number;
}

/**
 * Whether the nodes in reach are enough of those registered: without that, an
 * FTM refuses changes, declares nobody failed and moves nothing.
 */
export function hasMajority(nodes: readonly Voter[], except: number = 0): boolean {
  const voters = nodes.filter(({ state, replaced }) => state !== "left" && !replaced);
  const isEnough = (some: readonly Voter[]): boolean => some.filter(({ state }) => state === "alive" || state === "draining").length - except >= quorum(some.length);
  return isEnough(voters) && isEnough(voters.filter(({ joining }) => !joining));
}

type Voter = { readonly state: NodeState; readonly replaced?: boolean; readonly joining?: boolean };
