/**
 * What a daemon needs of its machine besides what every process of a node does,
 * and what it was told on its command line.
 *
 * @module
 */
import type { CheckpointStore } from "../../core/checkpoint_store.ts";
import type { DataRecord } from "../../core/data.ts";
import type { FrameLink, LinkHandlers } from "../../transports/frame_link.ts";
import type { LinkPeer, LinkRefusal } from "../../transports/http2_server.ts";
import type { Application } from "../application.ts";
import type { ClusterDocument } from "../join_search.ts";
import type { ArmorSystem } from "./armor_processes.ts";
import type { ElementLoader } from "./element_loader.ts";
import type { StoredEvent } from "./event_store.ts";
import type { GuardSystem } from "./guard_watch.ts";
import type { HandStorage } from "./hand_record.ts";
import type { KeptIdentity } from "./identity.ts";
import type { Machine } from "./machine.ts";

/** What the flags of a daemon say. */
export interface DaemonOptions {
  /** Under which others reach this node. */
  readonly address: string;
  readonly listenHost: string;
  /** `--join`. */
  readonly joins: readonly string[];
  readonly allowElements: boolean;
  /** How often its guard has started it again. */
  readonly restart: number;
  /** The process before this one ended by its own doing. */
  readonly ownEnd: boolean;
}

/** A daemon's machine. */
export interface DaemonMachine extends Machine {
  readonly identity: KeptIdentity;
  readonly hand: HandStorage;
  readonly store: CheckpointStore;
  readonly loader: ElementLoader;
  readonly armors: ArmorSystem;
  readonly guards: GuardSystem;
  readonly events: { add(events: readonly StoredEvent[]): void; readonly lastEpoch: number };
  /** The initial configuration, until the FTM has it. */
  readonly configuration: { applications(): readonly Application[] | undefined; forget(): void };
  /** Of the data dir, for texts. */
  readonly folder: string;
  /** Heartbeat key of an armor or guard. */
  keyOf(id: string): Uint8Array;
  /** Milliseconds since 1970, for people. */
  wallMs(): number;
  /** Whether the disk has room and the ballast is whole; makes it whole if it can. */
  hasRoom(): boolean;
  /** Keep a message that cannot be handled. */
  deadLetter(args: DataRecord): void;
  /** Open a link to another node; `undefined` while there is no certificate. */
  connect(address: string, headers: Readonly<Record<string, string>>, handlers: LinkHandlers & { onOpen(): void }): FrameLink | undefined;
  /** As `askCluster`. */
  ask(address: string): Promise<ClusterDocument | undefined>;
  /** Leave word of the exit status for a guard that is not the parent. */
  leaveWord(status: number): void;
}

/** Where links come in. */
export interface DaemonDoors {
  /** Let the armors of this node in. */
  openInner(onLink: (link: FrameLink) => LinkHandlers): Promise<void>;
  /** Let other nodes in, once there is a certificate. */
  openOuter(onLink: (link: FrameLink, peer: LinkPeer) => LinkHandlers | LinkRefusal): Promise<void>;
  close(): Promise<void>;
}
