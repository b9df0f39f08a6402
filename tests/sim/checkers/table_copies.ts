/**
 * Which version of the table is on whose disk, for the checkers that ask whether
 * enough nodes have it.
 *
 * @module
 */
import type { NodeView } from "../../../armors/elements/node_view.ts";
import { daemonOf, type NodeRegistration, type TableVersion } from "../../../armors/shapes.ts";
import type { DataRecord } from "../../../core/data.ts";
import type { Effects } from "../../../core/effects.ts";
import { compareEpochs } from "../../../core/generation.ts";
import type { Life } from "./checker.ts";

type Stored = { readonly commit: number; readonly version: TableVersion };

/** Follows the copies of the table on the disks; a checker passes on what it hears. */
export class TableCopies {
  /** Versions that each daemon has stored, by its commits, and its last life. */
  readonly #copies = new Map<string, { life: Life; stored: Stored[] }>();
  /** By daemon, the newest version that was ever synced there: what rots afterwards was stored all the same. */
  readonly #synced = new Map<string, TableVersion>();
  /** When each FTM last held which node failed, in {@link steps}: one that is back when an answer leaves was not there for the change. */
  readonly #failed = new Map<string, number>();
  /** Steps of FTMs so far. */
  steps = 0;

  made(life: Life): void {
    const { kernel } = life;
    if (!kernel.armor.startsWith("daemon@")) return;
    const { commit } = kernel.snapshot();
    const stored = (this.#copies.get(kernel.armor)?.stored ?? []).filter((one) => one.commit <= commit);
    this.#copies.set(kernel.armor, { life, stored });
  }

  /** A frame leaves: what it follows from is synced, and that at the latest is when others hear of it. */
  sent({ kernel }: Life): void {
    if (kernel.armor.startsWith("daemon@")) this.#sync(kernel.armor);
  }

  stepped({ kernel, node }: Life, { commits }: Effects): void {
    for (const { commit, set } of commits) {
      const version = set?.["table_replica"]?.["version"] as TableVersion | undefined;
      if (version) this.#copies.get(kernel.armor)!.stored.push({ commit, version });
    }
    this.#sync(kernel.armor);
    if (kernel.armor !== "ftm") return;
    this.steps += 1;
    const { nodes } = kernel.volatile("registration") as { nodes: ReadonlyMap<string, NodeView> };
    // Among more a majority decides, and not who has failed.
    if (nodes.size > 9) return;
    for (const { id, state } of nodes.values()) {
      this.#sync(daemonOf(id));
      if (state === "failed") this.#failed.set(`${node.id} ${id}`, this.steps);
    }
  }

  /** Not after a power cut, nor with damaged files: of what is left there nothing is unsynced. */
  #sync(daemon: string): void {
    const copy = this.#copies.get(daemon);
    if (!copy?.life.store) return;
    const { reached, disk, process: { machine, identity } } = copy.life.store;
    if (!machine.on || machine.bootId !== identity.bootId || disk.altered.has(daemon)) return;
    const last = copy.stored.findLast((one) => one.commit <= reached)?.version;
    const before = this.#synced.get(daemon);
    if (last && (!before || isAtLeast(last, before))) this.#synced.set(daemon, last);
  }

  /** Whether a power cut would have left it there. */
  reached(node: string, version: TableVersion): boolean {
    const daemon = daemonOf(node);
    this.#sync(daemon);
    const synced = this.#synced.get(daemon);
    return synced !== undefined && isAtLeast(synced, version);
  }

  /** @param members Nodes of which enough must have it. `step`: when it was to be stored. @returns How many have it of how many, if that is not enough. */
  tooFew({ kernel, node: own }: Life, version: TableVersion, members: readonly string[], step: number): string | undefined {
    const nodes = [...(kernel.volatile("registration") as { nodes: ReadonlyMap<string, NodeView> }).nodes.values()];
    const registered = nodes.filter((node) => members.includes(node.id) && (node.id === own.id || node.state !== "left"));
    const have = registered.filter((node) => this.reached(node.id, version));
    const peerFailed = registered.length === 2 && registered.some((node) => (this.#failed.get(`${own.id} ${node.id}`) ?? -1) >= step);
    const enough = registered.length <= 2 ? have.length === registered.length || (peerFailed && have.length === 1) : 2 * have.length > registered.length;
    return enough && this.reached(own.id, version) ? undefined : `${have.length} of ${registered.length} nodes`;
  }
}

/** Nodes of which enough must have a table in this state. One that had left counts no more than one that was not there, although it may have returned before the answer. */
export function membersOf(table: DataRecord, own: string): string[] {
  const counts = (id: string): boolean => id === own || !(table[`node:${id}`] as unknown as NodeRegistration).left;
  return Object.keys(table).filter((key) => key.startsWith("node:")).map((key) => key.slice("node:".length)).filter(counts);
}

/** Whether one version is the other, or came later. */
export function isAtLeast(a: TableVersion, b: TableVersion): boolean {
  return (compareEpochs(a.epoch, b.epoch) || a.sequence - b.sequence) >= 0;
}
