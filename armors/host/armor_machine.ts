/**
 * What an armor other than the daemon needs of its machine besides what every
 * process of a node does.
 *
 * @module
 */
import type { CheckpointStore } from "../../core/checkpoint_store.ts";
import type { DataRecord } from "../../core/data.ts";
import type { Frame } from "../../core/frame.ts";
import type { FrameLink, LinkHandlers } from "../../transports/frame_link.ts";
import type { ElementLoader } from "./element_loader.ts";
import type { HandStorage } from "./hand_record.ts";
import type { Machine } from "./machine.ts";

/** An armor's machine. */
export interface ArmorMachine extends Machine {
  /** Id of the node. */
  readonly node: string;
  readonly hand: HandStorage;
  readonly loader: ElementLoader;
  /** Called once, by those who keep checkpoints. @throws {CheckpointError} */
  openStore(): CheckpointStore;
  /** Whether the armor has gone on in this boot before. */
  ranInThisBoot(): boolean;
  /** From now on it has. */
  markBoot(): void;
  /** Keep a message that cannot be handled. */
  deadLetter(args: DataRecord): void;
  /** Open a link to the daemon. */
  connect(handlers: LinkHandlers & { onOpen(): void }): FrameLink;
  /** Hand on a frame that has come. */
  hear(frame: Frame, take: (frame: Frame) => void): void;
}
