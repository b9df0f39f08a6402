/**
 * Makeups: what armors are made of. Most armors of a cluster are made alike and
 * stay as they are, while everything else in a view changes often; so a view has
 * each list of elements once. They would be the larger part of it by far.
 *
 * @module
 */
import { type Data, dataEqual } from "../../core/data.ts";
import type { RegisteredArmor } from "./node_view.ts";

/** Lists of elements, each once. */
export type Makeups = readonly Data[];

/** An armor as a view shows it: `makeup` is an index into the makeups. */
export type ShownArmor = Omit<RegisteredArmor, "elements"> & { readonly makeup: number };

/** Take the lists of elements out. @param last Those of the view before, which stay if nothing has changed. */
export function withMakeups(armors: readonly RegisteredArmor[], last: Makeups | undefined): { armors: ShownArmor[]; makeups: Makeups } {
  const lists: Data[] = [];
  const shown = armors.map(({ elements, ...armor }) => {
    const known = lists.findIndex((list) => dataEqual(list, elements));
    return { ...armor, makeup: known < 0 ? lists.push(elements) - 1 : known };
  });
  return { armors: shown, makeups: last && dataEqual(last, lists) ? last : lists };
}
