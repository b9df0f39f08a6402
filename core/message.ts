/**
 * Message: a program that travels. Two primary parts, as in the source: the
 * micro-operation sequence and the payload.
 *
 * @module
 */
import type { DataRecord } from "./data.ts";
import type { ArmorId, MicroOperation } from "./micro_operation.ts";
import type { Payload } from "./payload.ts";

/** `system`: replies, failures, recovery orders. `user`: everything else. */
export type Lane = "system" | "user";

/** Both, the one with priority first. */
export const lanes: readonly Lane[] = ["system", "user"];

/** What armors send one another. */
export interface Message {
  /** Unique for ever: sender, its generation and a counter that is part of its checkpoints. */
  readonly id: string;
  /** The armor that started the itinerary; failures go back there. */
  readonly from: ArmorId;
  /** The armor that runs the next op. */
  readonly to: ArmorId;
  /** Which of a channel's two queues it takes. */
  readonly lane: Lane;
  /** What is still to be done, next first. */
  readonly ops: readonly MicroOperation[];
  /** Data of this itinerary alone. */
  readonly payload: Payload;
  /** Ops done since the itinerary started; with the id it keys blocking work. */
  readonly executed: number;
  /** Segments committed since the itinerary started. */
  readonly segments: number;
  /** Armors visited. */
  readonly hops: number;
  /** Remaining milliseconds; absent: none. Binds only the armor that holds the thread. */
  readonly deadlineMs?: number;
  /** It reports a failure: its own failure is never answered. */
  readonly failed?: true;
}

/** Why a message came back. */
export type FailureCode =
  | "unsubscribed"
  | "check"
  | "handler-threw"
  | "deadline"
  | "limit"
  | "outbox-full"
  | "poison"
  | "unreadable"
  | "refused";

/** Payload field `failure` of an `armor.op-failed` message. */
export interface Failure extends DataRecord {
  /** A {@link FailureCode}, or the code an element gave its `OperationError`. */
  readonly code: string;
  /** The op that failed. */
  readonly op: string;
  /** The armor where it failed. */
  readonly armor: ArmorId;
  /** The element whose handler or check failed; empty if none. */
  readonly element: string;
  /** One line for people, made by Armor or by the element, never by the engine. */
  readonly text: string;
  /** Segments of the itinerary that had committed before. */
  readonly committed: number;
}

/** The op under which a failed message returns to its origin. */
export const opFailed = "armor.op-failed";

/** Whether a decoded value has the shape of a message, as far as handling it without a mistake needs. */
export function isMessage(value: unknown): value is Message {
  if (!isRecord(value) || !isRecord(value["payload"]) || !Array.isArray(value["ops"]) || value["ops"].length === 0) return false;
  const words = ["id", "from", "to", "lane"].every((field) => typeof value[field] === "string");
  const counts = ["executed", "segments", "hops"].every((field) => typeof value[field] === "number");
  return words && counts && value["ops"].every((one) => isRecord(one) && typeof one["name"] === "string");
}

function isRecord(value: unknown): value is { readonly [field: string]: unknown } {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
