/**
 * Queues stay far below their bounds: what grows for ever would reach them in
 * hours, not in a simulated minute.
 *
 * @module
 */
import type { Checker, Fail, Life } from "./checker.ts";

/** More than what is seen in the worst of runs, where a daemon of many nodes is away and everything else crashes. */
const waitingMax = 600;
const suspendedMax = 100;
const everySteps = 200;

/** Looks at every armor now and then. */
export function boundedQueues(fail: Fail): Checker {
  const look = ({ kernel, node }: Life): void => {
    const { channels, continuations } = kernel.snapshot();
    for (const { peer, outbox } of channels) {
      if (outbox.length > waitingMax) fail("bounded queues", `${kernel.armor} of ${node.name} has ${outbox.length} messages waiting for ${peer}`);
    }
    const suspended = Object.keys(continuations).length;
    if (suspended > suspendedMax) fail("bounded queues", `${kernel.armor} of ${node.name} has ${suspended} suspended threads`);
  };
  return {
    stepped: (life) => {
      if (life.kernel.steps % everySteps === 0) look(life);
    },
    died: look,
  };
}
