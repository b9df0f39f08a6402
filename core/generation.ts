/**
 * Epochs (fencing numbers of the FTM) and generations (of an armor's state).
 * Both are totally ordered, so that of any two claims one is older and refused.
 *
 * @module
 */

/** Fencing number of the FTM: compared by number, then node id. */
export type Epoch = { readonly number: number; readonly node: string };

/** Names one line of an armor's state; given by whoever orders a rewind. */
export type Generation = { readonly epoch: number; readonly node: string; readonly counter: number };

/** Before every epoch. */
export const epochZero: Epoch = { number: 0, node: "" };

/** @returns Negative if `a` is older than `b`, 0 if equal, positive if newer. */
export function compareEpochs(a: Epoch, b: Epoch): number {
  return a.number - b.number || compareText(a.node, b.node);
}

/** @returns Negative if `a` is older than `b`, 0 if equal, positive if newer. */
export function compareGenerations(a: Generation, b: Generation): number {
  return a.epoch - b.epoch || compareText(a.node, b.node) || a.counter - b.counter;
}

/** Shown to people: `3.n1.0`. */
export function generationText(generation: Generation): string {
  return `${generation.epoch}.${generation.node}.${generation.counter}`;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
