/**
 * Versions of the application table: which copy is fresher, which has gone its
 * own way while the nodes could not reach each other, and how two are merged.
 *
 * @module
 */
import { type Data, dataEqual } from "../../core/data.ts";
import { compareEpochs } from "../../core/generation.ts";
import { type ApplicationEntry, elementsKey, type OwnArmorEntry, type TableCopy, type TableVersion, type Tombstone } from "../shapes.ts";

/** Payload field `store`: the whole table, or the difference from version `base`. */
export type TableStore = {
  readonly version: TableVersion;
  readonly lineage: readonly TableVersion[];
  readonly base: TableVersion | null;
  readonly set: { readonly [key: string]: Data };
  readonly unset: readonly string[];
};

/** Payload field `change` of `table.change`. */
export type TableChange = { readonly set: { readonly [key: string]: Data }; readonly unset: readonly string[] };

/** Past epochs whose last version is remembered; an older copy is merged, which is always safe. */
const lineageMax = 64;

/** Version order: epoch of writing, then sequence. */
export function compareVersions(a: TableVersion, b: TableVersion): number {
  return compareEpochs(a.epoch, b.epoch) || a.sequence - b.sequence;
}

/** The entries without version, lineage and mark of loss. */
export function tableEntries(state: { readonly [key: string]: Data }): { [key: string]: Data } {
  const { version: _version, lineage: _lineage, lost: _lost, ...entries } = state;
  return entries;
}

/** Whether everything in `version` is contained in a table with this version and lineage. */
export function contains(table: Pick<TableCopy, "version" | "lineage">, version: TableVersion): boolean {
  if (version.epoch.number === 0) return true;
  return [table.version, ...table.lineage].some((known) =>
    compareEpochs(known.epoch, version.epoch) === 0 && version.sequence <= known.sequence
  );
}

/** The lineage of a table that goes on from, or has taken in, these versions. */
export function extendLineage(lineage: readonly TableVersion[], versions: readonly TableVersion[]): TableVersion[] {
  let next = [...lineage];
  for (const version of versions) {
    if (version.epoch.number === 0) continue;
    next = next.filter((known) => compareEpochs(known.epoch, version.epoch) !== 0);
    const known = lineage.find(({ epoch }) => compareEpochs(epoch, version.epoch) === 0);
    next.push(known && known.sequence > version.sequence ? known : version);
  }
  return next.slice(-lineageMax);
}

/** What merging changes in our table. */
export type Merge = {
  readonly set: { readonly [key: string]: Data };
  readonly unset: readonly string[];
  /** Applications of which an acknowledged change of one side gave way, with what was lost. */
  readonly superseded: readonly { readonly name: string; readonly revision: number; readonly epoch: number }[];
};

/**
 * Take in a copy that went its own way. Of two versions of one application the
 * higher (epoch, revision) stays; a removal counts as a revision. What gives way
 * is a change that is lost, unless the side of the other had it once and went on.
 */
export function mergeTables(our: TableCopy, their: TableCopy): Merge {
  const [ours, theirs] = [our.entries, their.entries];
  const set: { [key: string]: Data } = {};
  const unset: string[] = [];
  const superseded: { name: string; revision: number; epoch: number }[] = [];
  for (const [live, dead] of [["app", "gone"], ["armor", "gone-armor"]] as const) {
    for (const name of namesOf(theirs, [live, dead])) {
      const [app, gone] = [`${live}:${name}`, `${dead}:${name}`];
      const mine = (ours[app] ?? ours[gone]) as unknown as Revised | undefined;
      const other = (theirs[app] ?? theirs[gone]) as unknown as Revised;
      if (mine && dataEqual(mine as unknown as Data, other as unknown as Data)) continue;
      const order = mine ? compareRevisions(other, mine) : 1;
      const [loser, winner] = order > 0 ? [mine, their] : [other, our];
      if (loser && !contains(winner, { epoch: loser.revisionEpoch, sequence: loser.sequence ?? 0 })) {
        superseded.push({ name, revision: loser.revision, epoch: loser.revisionEpoch.number });
      }
      if (order <= 0) {
        // Completion is a fact of either side.
        const both = joinCompleted(ours[app], theirs[app]);
        if (both) set[app] = both;
        continue;
      }
      const key = theirs[app] !== undefined ? app : gone;
      set[key] = joinCompleted(theirs[app], ours[app]) ?? theirs[key]!;
      const otherKey = key === app ? gone : app;
      if (ours[otherKey] !== undefined) unset.push(otherKey);
    }
  }
  for (const [key, value] of Object.entries(theirs)) {
    if (!/^(app|gone|armor|gone-armor|elements):/.test(key) && ours[key] === undefined) set[key] = value;
  }
  mergeElements(ours, theirs, set, unset);
  return { set, unset, superseded };
}

function namesOf(table: { readonly [key: string]: Data }, kinds: readonly string[]): Set<string> {
  const keys = Object.keys(table).filter((key) => kinds.includes(key.slice(0, key.indexOf(":"))));
  return new Set(keys.map((key) => key.slice(key.indexOf(":") + 1)));
}

/** Elements go with the armor they belong to; those of the built-in armors stay ours where both have some. */
function mergeElements(
  ours: { readonly [key: string]: Data },
  theirs: { readonly [key: string]: Data },
  set: { [key: string]: Data },
  unset: string[],
): void {
  const idOf = (entry: Data | undefined): string | undefined => (entry as OwnArmorEntry | undefined)?.id;
  const taken = new Set(Object.entries(set).filter(([key]) => key.startsWith("armor:")).map(([, entry]) => elementsKey(idOf(entry)!)));
  for (const [key, value] of Object.entries(theirs)) {
    if (!key.startsWith("elements:")) continue;
    const builtIn = !Object.entries(theirs).some(([name, entry]) => name.startsWith("armor:") && elementsKey(idOf(entry)!) === key);
    if (taken.has(key) || (builtIn && ours[key] === undefined)) set[key] = value;
  }
  for (const [key, entry] of Object.entries(ours)) {
    if (!key.startsWith("armor:")) continue;
    const replaced = unset.includes(key) || (set[key] !== undefined && idOf(set[key]) !== idOf(entry));
    if (replaced) unset.push(elementsKey(idOf(entry)!));
  }
}

type Revised = Pick<ApplicationEntry, "revision" | "revisionEpoch" | "sequence"> & (Tombstone | ApplicationEntry);

/** Entries that are to be set: those with a new revision say with which version of the table it came. */
export function dated(
  table: { readonly [key: string]: Data },
  set: { readonly [key: string]: Data },
  sequence: number,
): { [key: string]: Data } {
  return Object.fromEntries(Object.entries(set).map(([key, entry]) => {
    if (!/^(app|gone|armor|gone-armor):/.test(key)) return [key, entry];
    const [before, next] = [table[key] as unknown as Revised | undefined, entry as unknown as Revised];
    const same = before && compareRevisions(before, next) === 0;
    return [key, same ? entry : { ...next, sequence } as unknown as Data];
  }));
}

function compareRevisions(a: Revised, b: Revised): number {
  return compareEpochs(a.revisionEpoch, b.revisionEpoch) || a.revision - b.revision;
}

/** The entry `stays` with the completed instances of `other`, if that changes it. */
function joinCompleted(stays: Data | undefined, other: Data | undefined): Data | undefined {
  if (stays === undefined || other === undefined) return undefined;
  const [a, b] = [stays as unknown as ApplicationEntry, other as unknown as ApplicationEntry];
  if (!a.application || !b.application) return undefined;
  const missing = b.completed.filter((id) => !a.completed.includes(id));
  if (missing.length === 0 || !dataEqual(a.application as Data, b.application as Data) || a.restart !== b.restart) return undefined;
  return { ...a, completed: [...a.completed, ...missing] } as unknown as Data;
}
