/**
 * Rule 3 of the safety list: no two FTMs act in the same epoch. An FTM acts once
 * it has begun.
 *
 * @module
 */
import type { Checker, Fail } from "./checker.ts";

/** Watches every `ftm.begin`. */
export function oneFtmPerEpoch(fail: Fail): Checker {
  const acting = new Map<string, string>();
  return {
    handling: ({ node, process, kernel }, op) => {
      if (op !== "ftm.begin") return;
      const epoch = `${kernel.generation.epoch}.${kernel.generation.node}`;
      const who = `${node.name} pid ${process.pid} of ${process.identity.bootId} at ${process.identity.startTicks}`;
      const other = acting.get(epoch);
      if (other !== undefined && other !== who) fail("one FTM per epoch", `in ${epoch} act ${other} and ${who}`);
      acting.set(epoch, who);
    },
  };
}
