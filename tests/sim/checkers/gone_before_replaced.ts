/**
 * Nothing is replaced before it is known to be gone: when an armor begins to
 * work, no other process of its node is the same armor.
 *
 * @module
 */
import type { SimProcess } from "../sim_processes.ts";
import type { Checker, Fail } from "./checker.ts";

/** Keeps the last process of each armor on each node. */
export function goneBeforeReplaced(fail: Fail): Checker {
  const last = new Map<string, SimProcess>();
  return {
    made: ({ node, process, kernel }) => {
      const name = `${kernel.armor} of ${node.name}`;
      const before = last.get(name);
      if (before?.alive) fail("gone before replaced", `${name} begins as ${process.pid} while ${before.pid} lives`);
      last.set(name, process);
    },
  };
}
