/**
 * View changes: what differs between a view and the one its receiver was told
 * before. In a large cluster a view is long and little of it changes at a time:
 * sent as a whole to everybody, it would be nearly all there is of traffic.
 *
 * @module
 */
import { type Data, dataEqual } from "../../core/data.ts";
import { compareEpochs } from "../../core/generation.ts";
import type { View } from "./view_shape.ts";

/** Payload field `change` of `view.update`. */
export type ViewChange = Pick<View, "epoch" | "number" | "stale"> & {
  /** Number of the view that it changes, of the same epoch. */
  readonly since: number;
  /** Without those that are as before. */
  readonly fields: Partial<Pick<View, "makeups" | "names">>;
  readonly parts: { readonly [P in Part]: PartChange };
};

/** Parts that are lists of records, and what names a record. */
const keys = { nodes: "id", armors: "armor", applications: "name" } as const;
type Part = keyof typeof keys;
type Item = { readonly [field: string]: Data };

/** `order`: keys of all records; `null`: as before. */
type PartChange = { readonly changed: readonly Item[]; readonly order: readonly string[] | null };

/** What has changed from one view to a later one of the same epoch. */
export function viewChange(before: View, after: View): ViewChange {
  const { epoch, number, stale, makeups, names } = after;
  const fields = {
    ...(!dataEqual(before.makeups, makeups) && { makeups }),
    ...(!dataEqual(before.names, names) && { names }),
  };
  const part = (name: Part): PartChange => partChange(name, before[name] as unknown as Item[], after[name] as unknown as Item[]);
  return { epoch, number, stale, since: before.number, fields, parts: { nodes: part("nodes"), armors: part("armors"), applications: part("applications") } };
}

/** The view after a change; `undefined` if it is not of this view. */
export function changedView(before: View | null, { since, fields, parts, ...rest }: ViewChange): View | undefined {
  if (!before || before.number !== since || compareEpochs(before.epoch, rest.epoch) !== 0) return undefined;
  const part = (name: Part): Item[] => changedPart(name, before[name] as unknown as Item[], parts[name]);
  return { ...before, ...rest, ...fields, nodes: part("nodes"), armors: part("armors"), applications: part("applications") } as unknown as View;
}

function partChange(part: Part, before: readonly Item[], after: readonly Item[]): PartChange {
  const key = keys[part];
  const known = new Map(before.map((item) => [item[key], item]));
  const changed = after.filter((item) => !dataEqual(known.get(item[key]!), item));
  const sameOrder = before.length === after.length && after.every((item, index) => item[key] === before[index]![key]);
  return { changed, order: sameOrder ? null : after.map((item) => item[key] as string) };
}

function changedPart(part: Part, before: readonly Item[], { changed, order }: PartChange): Item[] {
  const key = keys[part];
  const items = new Map([...before, ...changed].map((item) => [item[key], item]));
  return (order ?? before.map((item) => item[key] as string)).map((name) => items.get(name)!);
}
