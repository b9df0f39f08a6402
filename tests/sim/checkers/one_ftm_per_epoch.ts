/**
 * Rule 3 of the safety list: no two FTMs act in the same epoch. An FTM acts once
 * it has begun; after that no other process is started in its epoch either.
 *
 * @module
 */
import type { Checker, Fail, Life } from "./checker.ts";

/** Watches every start of an FTM, and every `ftm.begin`. */
export function oneFtmPerEpoch(fail: Fail): Checker {
  const acting = new Map<string, string>();
  const look = ({ node, process, kernel }: Life): { readonly epoch: string; readonly who: string } => {
    const epoch = `${kernel.generation.epoch}.${kernel.generation.node}`;
    const who = `${node.name} pid ${process.pid} of ${process.identity.bootId} at ${process.identity.startTicks}`;
    const other = acting.get(epoch);
    if (other !== undefined && other !== who) fail("one FTM per epoch", `in ${epoch} act ${other} and ${who}`);
    return { epoch, who };
  };
  return {
    made: (life) => {
      if (life.kernel.armor === "ftm") look(life);
    },
    handling: (life, op) => {
      if (op !== "ftm.begin") return;
      const { epoch, who } = look(life);
      acting.set(epoch, who);
    },
  };
}
