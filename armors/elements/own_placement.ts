/**
 * Where armors of the user's own belong: what the FTM installs and removes, from
 * the application table and the daemons' reports.
 *
 * @module
 */
import type { Data } from "../../core/data.ts";
import type { ArmorId } from "../../core/micro_operation.ts";
import { hasMajority, homeKey, type OwnArmorEntry } from "../shapes.ts";
import type { NodeView, RegisteredArmor } from "./node_view.ts";
import type { TableChange } from "./table_version.ts";

/** What is known in one round. */
export type OwnSituation = {
  readonly nodes: readonly NodeView[];
  readonly armors: readonly RegisteredArmor[];
  readonly table: { readonly [key: string]: Data };
  /** Nodes whose own copy of the table is taken in: on another the armor may be one that only that node knows of. */
  readonly takenIn: readonly string[];
  /** The node on which an armor was last ordered. */
  lastNode(armor: ArmorId): string | undefined;
};

/** What is to be done. */
export type OwnPlan = {
  /** `before`: it is there and needs its process again. `forgotten`: it was there, but its daemon has lost that; it begins anew. */
  readonly install: readonly { readonly armor: ArmorId; readonly name: string; readonly node: string; readonly before: RegisteredArmor | undefined; readonly forgotten: boolean }[];
  /** No longer in the table. */
  readonly remove: readonly RegisteredArmor[];
};

/** The armors of the user's own, by name. */
export function ownArmors(table: { readonly [key: string]: Data }): OwnArmorEntry[] {
  const keys = Object.keys(table).filter((key) => key.startsWith("armor:")).sort();
  return keys.map((key) => table[key] as unknown as OwnArmorEntry);
}

/**
 * Compare what is with what should be. Nothing is placed before every node that
 * may hold an armor has reported; one that has failed for good stays where it
 * is, because it would begin anew elsewhere.
 */
export function planOwnArmors({ nodes, armors, table, takenIn, lastNode }: OwnSituation): OwnPlan {
  const wanted = ownArmors(table);
  const ids = new Set(wanted.map(({ id }) => id));
  const replaced = nodes.filter((node) => node.replaced).map(({ id }) => id);
  const remove = armors.filter(({ role, armor, node }) => role === "own" && !ids.has(armor) && [...takenIn, ...replaced].includes(node));
  const usable = nodes.filter(({ state, reported }) => state === "alive" && reported);
  const certain = hasMajority(nodes) && nodes.every(({ state, reported }) => reported || state === "failed" || state === "left");
  const load = new Map(usable.map(({ id }) => [id, armors.filter(({ role, node }) => role === "own" && node === id).length]));
  const install: OwnPlan["install"][number][] = [];
  for (const { id, name, node: preferred } of wanted) {
    const before = armors.find(({ armor }) => armor === id);
    if (before) {
      const again = before.state === "recovering" && usable.some((node) => node.id === before.node);
      if (again) install.push({ armor: id, name, node: before.node, before, forgotten: false });
      continue;
    }
    if (!certain) continue;
    const last = lastNode(id) ?? table[homeKey(id)];
    const cost = (node: NodeView): number => (node.id === last ? 0 : node.name === preferred ? 1 : 2 + load.get(node.id)!);
    const target = usable.filter(({ elements }) => elements).sort((a, b) => cost(a) - cost(b) || (a.id < b.id ? -1 : 1))[0];
    if (!target) continue;
    install.push({ armor: id, name, node: target.id, before: undefined, forgotten: target.id === table[homeKey(id)] });
    load.set(target.id, load.get(target.id)! + 1);
  }
  return { install, remove };
}

/**
 * Armors that run elsewhere than the table says. Their checkpoints stayed behind,
 * so they began anew: a rewind, to be told once.
 *
 * @returns `from`: the node that has the checkpoint. `change`: what the table is to say.
 */
export function movedOwnArmors({ armors, table }: Pick<OwnSituation, "armors" | "table">): {
  readonly moved: readonly { readonly armor: ArmorId; readonly name: string; readonly node: string; readonly from: string }[];
  readonly change: TableChange;
} {
  const wanted = ownArmors(table);
  const set: { [key: string]: Data } = {};
  const moved: { armor: ArmorId; name: string; node: string; from: string }[] = [];
  for (const { id, name } of wanted) {
    const running = armors.find(({ armor, state }) => armor === id && state === "running");
    const from = table[homeKey(id)] as string | undefined;
    if (!running || running.node === from) continue;
    set[homeKey(id)] = running.node;
    if (from !== undefined) moved.push({ armor: id, name, node: running.node, from });
  }
  const homes = new Set(wanted.map(({ id }) => homeKey(id)));
  const unset = Object.keys(table).filter((key) => key.startsWith("home:") && !homes.has(key));
  return { moved, change: { set, unset } };
}
