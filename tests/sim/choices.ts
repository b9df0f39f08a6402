/**
 * What a seed chooses: how large the cluster is, for how long it runs, and what
 * goes wrong how often. Each choice takes its own random numbers, so that giving
 * one of them leaves the others as they were.
 *
 * @module
 */
import { seededRandom } from "../../core/random.ts";
import { faultKinds } from "./fault_kinds.ts";

/** Everything that is chosen. */
export interface Choices {
  /** Nodes of the cluster, 1 to 9. */
  readonly nodes: number;
  /** Kinds of faults that may happen. */
  readonly kinds: readonly string[];
  /** Virtual milliseconds with faults and operators. */
  readonly durationMs: number;
  /** Between two faults, on average and roughly. */
  readonly pauseMs: number;
  /** Handlers get frozen data. */
  readonly frozen: boolean;
}

/** Small clusters are the more usual ones, and the quicker ones. */
const sizes = [1, 1, 2, 2, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 5, 5, 5, 6, 7, 8, 9];
/** Every so manieth seed is frozen: it is slow. */
const frozenEvery = 16;

/** Dense faults in larger clusters last shorter. */
const denseNodes = 4;

/** What this seed chooses, but for what is given. */
export function choicesOf(seed: number, given: Partial<Choices> = {}): Choices {
  const random = seededRandom(seed + 77);
  const nodes = sizes[random.below(sizes.length)]!;
  const share = 1 + random.below(4);
  const longMs = 20_000 + random.below(20_000);
  // Most recoveries are to end before the next fault; in every fourth seed hardly one does.
  const dense = random.below(4) === 0;
  const pauseMs = dense ? 30 + random.below(150) : 500 + random.below(6_000);
  const kinds = Object.keys(faultKinds).filter(() => random.below(5) < share);
  // What a fault costs grows with the nodes that hear of it: a large cluster in which hardly one recovery ends is not looked at for as long.
  const durationMs = dense && nodes > denseNodes ? Math.round((longMs * denseNodes) / nodes) : longMs;
  const chosen: Choices = { nodes, kinds, durationMs, pauseMs, frozen: seed % frozenEvery === 0 };
  return { ...chosen, ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined)) };
}
