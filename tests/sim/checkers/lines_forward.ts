/**
 * Generations and epochs never go backwards: not in the lives of an armor on one
 * node, not in the orders that it obeys. A generation is not used again after a
 * part of its state was lost that others may have heard of, and still know of:
 * what is removed for good is forgotten by all, and a daemon that has lost that
 * may start it once more, until it is told again.
 *
 * @module
 */
import { compareEpochs, compareGenerations, type Epoch, type Generation, generationText } from "../../../core/generation.ts";
import type { Checker, Fail, Life } from "./checker.ts";

/** Follows the lives of each armor. */
export function linesForward(fail: Fail): Checker {
  /** The last in which something was said: one that ends before that, and whose files a power cut takes, is known to nobody. */
  const newest = new Map<string, Generation>();
  /** By line of state, the last commit after which something has left. */
  const heard = new Map<string, number>();
  /** By line of state, the epochs of orders obeyed, each higher than the one before, with the commit: what a power cut has taken had no effect. */
  const obeyed = new Map<string, { readonly epoch: Epoch; readonly commit: number }[]>();
  const lineOf = ({ kernel, node }: Life): string => `${kernel.armor} ${generationText(kernel.generation)} of ${node.name}`;
  const last = new WeakMap<Life, number>();
  const forget = (armor: string): void => {
    for (const map of [newest, heard, obeyed]) for (const line of map.keys()) if (line.startsWith(`${armor} `)) map.delete(line);
  };
  return {
    made: (life) => {
      const { kernel, node, store } = life;
      const name = `${kernel.armor} of ${node.name}`;
      const before = newest.get(name);
      if (before && compareGenerations(kernel.generation, before) < 0) {
        fail("lines forward", `${name} is made in generation ${generationText(kernel.generation)} after ${generationText(before)}`);
      }
      if (!store) return;
      const { commit } = kernel.snapshot();
      const seen = heard.get(lineOf(life)) ?? 0;
      if (commit < seen) fail("lines forward", `${lineOf(life)} goes on from commit ${commit}, but others have heard of ${seen}`);
      last.set(life, commit);
      obeyed.set(lineOf(life), (obeyed.get(lineOf(life)) ?? []).filter((one) => one.commit <= commit));
    },
    stepped: (life, _event, { commits }) => {
      if (commits.length > 0) last.set(life, commits.at(-1)!.commit);
    },
    sent: (life) => {
      newest.set(`${life.kernel.armor} of ${life.node.name}`, life.kernel.generation);
      // What a node without a cluster sends reaches nobody, and is forgotten with its next start.
      if (life.store && life.node.identity?.cluster) heard.set(lineOf(life), Math.min(last.get(life)!, life.store.reached));
    },
    handling: (life, op, { payload }) => {
      if (op === "armor.forget") return (payload["forget"] as readonly string[]).forEach(forget);
      const epoch = payload["epoch"] as Epoch | undefined;
      if (!epoch || op === "ftm.begin" || op === "table.commit") return;
      const line = lineOf(life);
      const all = obeyed.get(line) ?? [];
      const before = all.at(-1)?.epoch;
      if (before && compareEpochs(epoch, before) < 0) fail("lines forward", `${line} obeys ${op} of epoch ${epoch.number} of ${epoch.node} after one of ${before.number} of ${before.node}`);
      else if (!before || compareEpochs(epoch, before) > 0) obeyed.set(line, [...all, { epoch, commit: (last.get(life) ?? 0) + 1 }]);
    },
  };
}
