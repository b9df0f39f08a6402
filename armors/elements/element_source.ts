/**
 * Sources of elements as armors keep them and as they travel.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import type { Element } from "../../core/element.ts";
import { invariant } from "../../core/invariant.ts";
import { limits } from "../../core/limits.ts";
import { comparePlacements, type Placement } from "../shapes.ts";

/** Payload field `element` of `element.add` and `element.replace`. */
export type ElementSource = {
  /** Which of the elements that the source makes. */
  readonly name: string;
  /** One file of TypeScript or JavaScript that exports a factory. */
  readonly source: string;
};

/** An element that an armor was given. */
export type OwnElement = {
  readonly name: string;
  /** Of its source: SHA-256, hexadecimal. */
  readonly hash: string;
  /** It stands in the place of one that came with the armor. */
  readonly builtIn: boolean;
  /** Which change of the armor's elements made it; absent: it was installed so. */
  readonly change?: ElementsChange;
};

/** When the FTM sent a change of elements; a later one wins. */
export type ElementsChange = Placement;

/** The last change of elements that were removed, by name: an older one that comes after it does nothing. */
export type RemovedElements = { readonly [name: string]: ElementsChange };

/** Elements with their sources, as they travel and as the application table keeps them. */
export type ElementSet = {
  readonly own: readonly OwnElement[];
  /** By hash. */
  readonly sources: { readonly [hash: string]: string };
  readonly removed?: RemovedElements;
};

/** Part of the state of `reconfiguration`: elements in the order in which they came, and the sources by hash. */
export type SourceState = { readonly own: readonly OwnElement[]; readonly removed?: RemovedElements } & { readonly [key: string]: Data };

/** Property of {@link SourceState} that holds a source. */
export const sourceKey = (hash: string): string => `source:${hash}`;

/** The elements of a set, as `reconfiguration` keeps them. */
export function sourceState({ own, sources, removed }: ElementSet): SourceState {
  return { own, ...(removed && { removed }), ...Object.fromEntries(Object.entries(sources).map(([hash, source]) => [sourceKey(hash), source])) };
}

type Changes = Pick<ElementSet, "own" | "removed">;

/** The last change of an element, also if it was removed by it. */
export function lastChange({ own, removed = {} }: Changes, name: string): ElementsChange | undefined {
  const present = own.find((one) => one.name === name);
  return present ? present.change : Object.hasOwn(removed, name) ? removed[name] : undefined;
}

/** Whether a change of this element is not newer than what is known of it; one without a number always is. */
export function isOld(known: Changes, name: string, change: ElementsChange | undefined): boolean {
  const last = lastChange(known, name);
  return change !== undefined && last !== undefined && comparePlacements(change, last) <= 0;
}

/** Removed elements after one more change: one that is there again is among them no more. The oldest give way. */
export function removedAfter({ removed = {} }: Changes, name: string, change: ElementsChange | undefined): { readonly removed?: RemovedElements } {
  const { [name]: _before, ...others } = removed;
  const next = Object.entries(change ? { ...others, [name]: change } : others).sort(([, a], [, b]) => comparePlacements(b, a));
  return next.length > 0 ? { removed: Object.fromEntries(next.slice(0, limits.ownElementsMax)) } : {};
}

const basic: readonly string[] = ["messaging", "heartbeat_reply", "checkpointing", "reconfiguration", "self_audit"];

/** Whether an element is one of those that every armor has. */
export const isBasic = (name: string): boolean => basic.includes(name);

/** What a checkpoint of an armor says of the elements it was given. */
export function ownElements(reconfiguration: DataRecord | undefined): { readonly own: readonly OwnElement[]; source(hash: string): string } {
  const state = (reconfiguration ?? {}) as Partial<SourceState>;
  return { own: state.own ?? [], source: (hash) => String(state[sourceKey(hash)] ?? "") };
}

/**
 * What an armor is made of: the elements it comes with, those replaced in their
 * places, then those it was given, in the order in which they came.
 *
 * @param elementOf The element of that name that a source makes.
 */
export function composed(
  builtIn: readonly Element[],
  own: readonly OwnElement[],
  elementOf: (entry: OwnElement) => Element | undefined,
): Element[] {
  const made = new Map<string, Element>();
  for (const entry of own) {
    const element = elementOf(entry);
    invariant(element !== undefined, `the source of element "${entry.name}" is not there`);
    made.set(entry.name, element);
  }
  const names = new Set(builtIn.map(({ name }) => name));
  return [...builtIn.map((element) => made.get(element.name) ?? element), ...[...made.values()].filter(({ name }) => !names.has(name))];
}
