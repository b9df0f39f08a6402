/**
 * Reconfiguration: how an element comes into a live armor, leaves it or is
 * replaced. Source: "the ARMOR's functionality can be customized by adding,
 * removing or replacing elements". This file judges a change and works out its
 * consequences; nothing here changes the microkernel.
 *
 * @module
 */
import { encode } from "./codec.ts";
import type { DataRecord } from "./data.ts";
import type { Element, Reconfiguration } from "./element.ts";
import { ArmorError, OperationError } from "./errors.ts";
import type { Message } from "./message.ts";
import type { ArmorId } from "./micro_operation.ts";
import type { SubscriptionList } from "./subscription_list.ts";

/** What a change is judged by. */
export interface ReconfigurationContext {
  readonly self: ArmorId;
  readonly subscriptions: SubscriptionList;
  /** State and volatile part of an element as the segment leaves them. */
  state(name: string): DataRecord | undefined;
  volatile(name: string): unknown;
  /** Messages this armor holds, the one that asks for the change included. */
  waiting(): Iterable<Message>;
}

/** A change that can be made. */
export interface ReconfigurationPlan {
  readonly name: string;
  /** `undefined`: the element is removed. */
  readonly version: number | undefined;
  readonly subscriptions: SubscriptionList;
  readonly state: DataRecord | undefined;
  readonly volatile: unknown;
  /** The volatile part begins anew, timers included: the element gets `armor.started`. */
  readonly fresh: boolean;
}

/**
 * Judge a change.
 *
 * State goes through `migrate` when the versions differ; with the same version
 * it stays, and so do the volatile part and the timers.
 *
 * @throws {OperationError} `refused`: the name is taken or missing; a blocking
 *   op would have two subscribers; an op that a waiting message or a declared
 *   itinerary holds would have none; there is no `migrate`, or its result fails
 *   the check.
 */
export function planReconfiguration(change: Reconfiguration, context: ReconfigurationContext): ReconfigurationPlan {
  const element = "add" in change ? change.add : "replace" in change ? change.replace : undefined;
  const name = element?.name ?? (change as { readonly remove: string }).remove;
  const present = context.subscriptions.element(name);
  if ("add" in change && present) throw refused(`element "${name}" exists already`);
  if (!("add" in change) && !present) throw refused(`there is no element "${name}"`);
  const subscriptions = context.subscriptions.copy();
  if (!element) subscriptions.remove(name);
  else {
    const wrong = subscriptions.conflict(element);
    if (wrong !== undefined) throw refused(`element "${name}" does not fit: ${wrong}`);
    if (present) subscriptions.replace(element);
    else subscriptions.add(element);
  }
  refuseOrphans(name, subscriptions, context);
  if (!element) return { name, version: undefined, subscriptions, state: undefined, volatile: undefined, fresh: false };
  const fresh = present?.version !== element.version;
  try {
    const state = present ? migrated(present, element, context.state(name)!) : element.state;
    const volatile = fresh ? element.volatile?.() : context.volatile(name);
    const wrong = element.check?.(state, volatile);
    if (wrong !== undefined) throw refused(`the check of element "${name}" fails on its state: ${wrong}`);
    encode(state);
    return { name, version: element.version, subscriptions, state, volatile, fresh };
  } catch (cause) {
    if (cause instanceof OperationError) throw cause;
    if (cause instanceof ArmorError) throw refused(`the state of element "${name}" is not plain data`, cause);
    throw refused(`the state of element "${name}" cannot be made: its code throws`, cause);
  }
}

function migrated(before: Element, after: Element, state: DataRecord): DataRecord {
  if (before.version === after.version) return state;
  if (after.migrate) return after.migrate(state, before.version);
  throw refused(`element "${after.name}" has no migrate: version ${after.version} cannot take the state of version ${before.version}`);
}

/** No op loses its last subscriber while it is waited for. */
function refuseOrphans(name: string, after: SubscriptionList, { self, subscriptions, waiting }: ReconfigurationContext): void {
  for (const { name: user, uses = [] } of after.elements()) {
    const missing = uses.find((op) => after.subscribers(op).length === 0);
    if (missing !== undefined && (user === name || subscriptions.subscribers(missing).length > 0)) {
      throw refused(`op "${missing}" would have no subscriber: element "${user}" uses it`);
    }
  }
  const before = subscriptions.element(name);
  const lost = new Set(before ? Object.keys(before.handlers).filter((op) => after.subscribers(op).length === 0) : []);
  if (lost.size === 0) return;
  for (const message of waiting()) {
    const held = localOps(message, self).find((op) => lost.has(op));
    if (held !== undefined) throw refused(`op "${held}" would have no subscriber: message "${message.id}" waits for it`);
  }
}

/** Ops of an itinerary that run at `self`; one without a place runs where the one before it ran. */
function localOps({ to, ops }: Message, self: ArmorId): string[] {
  let place = to;
  return ops.filter(({ at }) => (place = at ?? place) === self).map(({ name }) => name);
}

function refused(text: string, cause?: unknown): OperationError {
  return new OperationError("refused", text, { cause });
}
