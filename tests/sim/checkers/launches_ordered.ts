/**
 * After a reboot no program is launched without an FTM's order. And whatever is
 * launched has its number on the disk: no number is used twice in one boot as
 * long as its records are kept, none without a launch record, none that the
 * execution armor has not committed.
 *
 * @module
 */
import type { SimNode } from "../sim_node.ts";
import type { Checker, Fail, Life } from "./checker.ts";

type Instances = { readonly [id: string]: { readonly launch: number } };

/** Looks at the records whenever a program starts. */
export function launchesOrdered(fail: Fail): Checker {
  /** Boots in which an FTM has said what belongs on the node. */
  const ordered = new Set<string>();
  /** By the records of an instance, which go when it belongs there no more. */
  const used = new WeakMap<object, Set<string>>();
  const lives = new Map<SimNode, Life>();
  return {
    made: (life) => {
      if (life.kernel.armor.startsWith("execution@")) lives.set(life.node, life);
    },
    handling: ({ node }, op) => {
      if (op === "instances.assign") ordered.add(node.machine.bootId);
    },
    programStarted: (node, { name }, number) => {
      const { bootId } = node.machine;
      if (!ordered.has(bootId)) fail("launches ordered", `${name} starts on ${node.name} before an FTM has ordered anything since the reboot`);
      const records = node.disk.launchesOf(name);
      if (!records.has(number)) fail("launches ordered", `${name} starts on ${node.name} without a launch record`);
      const numbers = used.get(records) ?? new Set();
      const key = `${bootId} ${number}`;
      if (numbers.has(key)) fail("launches ordered", `launch ${number} of ${name} on ${node.name} starts a second program`);
      used.set(records, numbers.add(key));
      const committed = (lives.get(node)?.kernel.state("instances") as Instances | undefined)?.[name]?.launch ?? number;
      if (committed < number) fail("launches ordered", `launch ${number} of ${name} on ${node.name} is not committed, the last one is ${committed}`);
    },
  };
}
