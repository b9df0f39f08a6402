/**
 * Makeups: what armors are made of. Most armors of a cluster are made alike and
 * stay as they are, while everything else in a view changes often; so a view names
 * makeups by number, and they travel only when they have changed. They are the
 * larger part of a view by far.
 *
 * @module
 */
import { type Data, dataEqual } from "../../core/data.ts";
import { compareEpochs, type Epoch } from "../../core/generation.ts";
import type { RegisteredArmor } from "./registration.ts";

/** Lists of elements, each once. */
export type Makeups = {
  /** Counts their changes in an epoch. */
  readonly number: number;
  readonly lists: readonly Data[];
};

/** An armor as a view shows it: `makeup` is an index into the lists. */
export type ShownArmor = Omit<RegisteredArmor, "elements"> & { readonly makeup: number };

/** Part of a view; only the number where the receiver was told before. */
type Shown = { readonly epoch: Epoch; readonly makeups: Makeups | number };

/** Take the lists of elements out. @param last Those of the view before, which stay if nothing has changed. */
export function withMakeups(armors: readonly RegisteredArmor[], last: Makeups | undefined): { armors: ShownArmor[]; makeups: Makeups } {
  const lists: Data[] = [];
  const shown = armors.map(({ elements, ...armor }) => {
    const known = lists.findIndex((list) => dataEqual(list, elements));
    return { ...armor, makeup: known < 0 ? lists.push(elements) - 1 : known };
  });
  const same = last && dataEqual(last.lists, lists);
  return { armors: shown, makeups: same ? last : { number: (last?.number ?? 0) + 1, lists } };
}

/** The makeups that a view means, given the view before it; without that, those of nobody. */
export function toldMakeups({ epoch, makeups }: Shown, before: Shown | null): Makeups {
  if (typeof makeups !== "number") return makeups;
  const known = before?.makeups;
  const isMeant = before && typeof known === "object" && compareEpochs(before.epoch, epoch) === 0 && known.number === makeups;
  return isMeant ? known : { number: makeups, lists: [] };
}
