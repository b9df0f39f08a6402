/**
 * Armor: a high-availability runtime. Run as a program it is the `armor` command;
 * imported it gives what an element is written with; a worked example is in
 * CONTRIBUTING.md.
 *
 * @example
 * ```ts
 * import { element } from "./mod.ts";
 * const counter = element({
 *   name: "counter",
 *   version: 1,
 *   state: { count: 0 },
 *   handlers: { "counter.add": (state) => ({ count: state.count + 1 }) },
 * });
 * ```
 *
 * @module
 */
import process from "node:process";
import { main } from "./armors/main.ts";

export { element } from "./core/element.ts";
export type {
  ArmorIdentity,
  Completion,
  Element,
  ElementDescription,
  EventRecord,
  Handler,
  OutgoingMessage,
  Reconfiguration,
  Thread,
  WorkRequest,
} from "./core/element.ts";
export { elementSdk } from "./core/element_sdk.ts";
export type { ElementFactory, ElementSdk } from "./core/element_sdk.ts";
export { op } from "./core/micro_operation.ts";
export type { ArmorId, MicroOperation } from "./core/micro_operation.ts";
export type { Data, DataRecord } from "./core/data.ts";
export type { HostCommand } from "./core/effects.ts";
export type { Epoch, Generation } from "./core/generation.ts";
export type { Failure, FailureCode, Lane, Message } from "./core/message.ts";
export type { Payload } from "./core/payload.ts";
export type { RandomSource } from "./core/random.ts";
export { ArmorError, OperationError } from "./core/errors.ts";
export { InvariantError } from "./core/invariant.ts";

export { makeArmor, TestArmor } from "./core/test_armor.ts";
export type { Outcome, PendingWork, SentMessage, TestArmorOptions } from "./core/test_armor.ts";

if (import.meta.main) await main(process.argv.slice(2));
