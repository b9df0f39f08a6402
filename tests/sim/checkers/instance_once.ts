/**
 * Rule 5 of the safety list: an instance never runs twice on one node.
 *
 * @module
 */
import type { Checker, Fail } from "./checker.ts";

/** Looks at the other programs whenever one starts. */
export function instanceOnce(fail: Fail): Checker {
  return {
    programStarted: (node, program) => {
      const others = node.machine.all("program").filter((one) => one !== program && one.name === program.name);
      if (others.length > 0) fail("instance once", `${program.name} runs on ${node.name} as ${others[0]!.pid} and is started as ${program.pid}`);
    },
  };
}
