/**
 * Node looks: what this daemon has found out about silent nodes. A closed link
 * starts a look at once; whoever asks for one a moment later (the FTM, or the one
 * that has just taken over) shares it instead of waiting for another.
 *
 * Only silence is shared, and only as long as nothing is heard on the link:
 * a node that has answered may have died since.
 *
 * @module
 */
import type { Clock } from "../../core/clock.ts";
import type { DataRecord } from "../../core/data.ts";
import { timing } from "../../core/limits.ts";
import type { Peers } from "./peers.ts";
import type { GuardQuestion } from "./probe_node.ts";

/** What looks need. */
export interface NodeLooksOptions {
  readonly clock: Clock;
  readonly peers: Pick<Peers, "address" | "isHeard" | "ping">;
  /** Does the guard of a node answer? */
  readonly guardAnswers: (question: GuardQuestion) => Promise<boolean>;
  /** The look that a closed link began is over. */
  readonly looked: (node: string, answered: boolean) => void;
}

type Look = { readonly address: string; readonly sinceMs: number; readonly answered: Promise<boolean> };

/** Longer than a takeover that follows a closed link; a hint lasts as long. */
const sharedForMs = 1_000;

/** Looks of one daemon. */
export class NodeLooks {
  readonly #looks = new Map<string, Look>();

  constructor(readonly options: NodeLooksOptions) {}

  /** The link to a node has closed: begin to look before anybody asks. */
  begin(node: string): void {
    const address = this.options.peers.address(node);
    if (address === undefined) return;
    void this.#look({ node, address, withinMs: timing.probeWithinMs }).then((answered) => this.options.looked(node, answered));
  }

  /**
   * Work `node.probe`: with `except` the question is whether somebody else has the
   * id, and only its guard can tell.
   *
   * @returns Whether the node has answered, by guard or daemon.
   */
  async ask(args: DataRecord): Promise<boolean> {
    const question = args as unknown as GuardQuestion;
    const { node, address } = question;
    if (question.except !== undefined) return await this.options.guardAnswers(question);
    const before = this.#looks.get(node);
    const isShared = before?.address === address && this.#ageMs(before) < sharedForMs;
    if (isShared && !await before.answered) return this.options.peers.isHeard(node, this.#ageMs(before));
    return await this.#look(question);
  }

  #ageMs({ sinceMs }: Look): number {
    return this.options.clock.nowMs() - sinceMs;
  }

  #look(question: GuardQuestion): Promise<boolean> {
    const { node, address, withinMs } = question;
    const { clock, peers, guardAnswers } = this.options;
    peers.ping(node);
    const answered = guardAnswers(question).catch(() => false).then((heard) => heard || peers.isHeard(node, withinMs));
    this.#looks.set(node, { address, sinceMs: clock.nowMs(), answered });
    return answered;
  }
}
