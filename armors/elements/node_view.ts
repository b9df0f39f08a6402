/**
 * Nodes and armors as the FTM has registered them.
 *
 * @module
 */
import type { Thread } from "../../core/element.ts";
import type { Epoch } from "../../core/generation.ts";
import type { ArmorReport, NodeRegistration, NodeState } from "../shapes.ts";

/** A node as other elements of the FTM see it; payload field `nodes`. */
export type NodeView = {
  readonly id: string;
  readonly name: string;
  readonly address: string;
  readonly state: NodeState;
  /** `armor down` was acknowledged; it stays true while the node is away. */
  readonly draining: boolean;
  /** Its daemon has reported to this FTM. */
  readonly reported: boolean;
  /** Until then a silent node is only suspect. */
  readonly plannedUntilMs: number;
  /** It takes elements by message. */
  readonly elements: boolean;
  /** Its disk has no room for what is new. */
  readonly full: boolean;
  /** Another node has its name now. */
  readonly replaced: boolean;
  /** It joins together with others, and that is not stored on enough nodes. */
  readonly joining?: boolean;
};

/** An armor with its node; payload field `armors`. */
export type RegisteredArmor = ArmorReport & { readonly node: string };

/** What the FTM knows of nodes and armors; volatile. */
export type Registry = {
  readonly epoch: Epoch;
  readonly nodes: ReadonlyMap<string, NodeView>;
  readonly armors: ReadonlyMap<string, RegisteredArmor>;
  /** A node whose coming or going is not yet stored on enough nodes; after a takeover the table as a whole. */
  readonly changing: string | null;
  /** Nodes that want to join and wait for that; they will join together. */
  readonly joiners: ReadonlyMap<string, NodeRegistration & { readonly askedAtMs: number }>;
  /** Their threads. */
  readonly waiting: readonly string[];
  /** When nodes joined last. */
  readonly joinedAtMs: number;
};
/** A thread in the registration. */
export type Registering = Thread<Registry>;

/** Enter a node, or what is new of it. */
export function setNode(thread: Registering, node: NodeView): void {
  thread.setVolatile({ ...thread.volatile, nodes: new Map(thread.volatile.nodes).set(node.id, node) });
}

/** Whether it is being taken in together with others. */
export function isJoining(node: NodeView | undefined): boolean {
  return node?.joining === true && node.state !== "left";
}
