/**
 * Join search: what a node without a cluster makes of the answers of those it
 * may join. All nodes of a new cluster are started with the same list; the one
 * that is first in it starts the cluster when none of the others has one, the
 * others wait for it. Pure; the host asks.
 *
 * @module
 */
import type { Epoch } from "../core/generation.ts";

/** What a daemon tells one that wants to join; `GET /v1/cluster`. */
export type ClusterDocument = {
  readonly version: string;
  /** Its id. */
  readonly node: string;
  /** Empty while it has none itself. */
  readonly cluster: string;
  /** Where the FTM was last heard of; `null` until there is one. */
  readonly ftm: { readonly epoch: Epoch; readonly node: string } | null;
  /** Address of the FTM's node, as far as known. */
  readonly address: string;
};

/** What to do next. */
export type JoinStep =
  | { readonly kind: "wait" }
  | { readonly kind: "join"; readonly found: ClusterDocument }
  | { readonly kind: "bootstrap" };

/** Nobody has had a cluster for this long: whoever is first in the list starts one. */
export const bootstrapAfterMs = 3_000;

const wait: JoinStep = { kind: "wait" };

/** One node's search. */
export class JoinSearch {
  #aloneSinceMs: number;

  /**
   * @param addresses In the operator's order.
   * @param self This node's id and the address under which others reach it.
   */
  constructor(readonly addresses: readonly string[], readonly self: { readonly id: string; readonly address: string }, nowMs: number) {
    this.#aloneSinceMs = nowMs;
  }

  /**
   * Take one round of answers, in the order of the addresses; `undefined` for
   * those who were silent.
   */
  answered(answers: readonly (ClusterDocument | undefined)[], nowMs: number): JoinStep {
    const others = answers.filter((answer) => answer !== undefined && answer.node !== this.self.id);
    const members = others.filter((answer) => answer!.cluster !== "");
    // A cluster without an FTM just now is one all the same: it will have one.
    if (members.length > 0) this.#aloneSinceMs = nowMs;
    const found = members.find((answer) => answer!.ftm !== null && answer!.address !== "");
    if (found) return { kind: "join", found };
    const [first] = this.addresses;
    const isFirst = first === this.self.address || answers[0]?.node === this.self.id;
    if (!isFirst) return wait;
    return this.addresses.length === 1 || nowMs - this.#aloneSinceMs >= bootstrapAfterMs ? { kind: "bootstrap" } : wait;
  }
}
