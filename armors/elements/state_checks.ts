/**
 * State checks: what can never be true of the states that decide what runs
 * where. They run after each op, so they look at names and at words with few
 * values, not at everything; seals find the rest (`core/state_seals.ts`).
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import { type ApplicationEntry, type InstanceOrder, instanceStates, type NodeRegistration, nodeStates, roles } from "../shapes.ts";

const isOneOf = (words: readonly string[], word: unknown): boolean => words.includes(word as string);
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

/** Entries of the application table, or of a copy of it. */
export function wrongTable(state: DataRecord): string | undefined {
  for (const key in state) {
    if (key.startsWith("app:")) {
      const { application, desired, revision } = state[key] as ApplicationEntry;
      if (key.slice(4) !== application.name) return `${key} is application "${application.name}"`;
      if (!isOneOf(["running", "stopped"], desired)) return `${key} is to be "${desired}"`;
      if (!isOneOf(["service", "job"], application.kind)) return `${key} is a "${application.kind}"`;
      if (!isCount(revision) || !isCount(application.instances)) return `${key} has no numbers`;
    } else if (key.startsWith("node:") && (state[key] as NodeRegistration).id !== key.slice(5)) return `${key} is another node`;
  }
  return undefined;
}

/** An execution armor's instances, by id. */
export function wrongInstances(state: { readonly [id: string]: { readonly order: InstanceOrder; readonly state: string; readonly launch: number } }): string | undefined {
  for (const id in state) {
    const { order, state: word, launch } = state[id]!;
    if (order.id !== id) return `${id} has the order of ${order.id}`;
    if (!isOneOf(instanceStates, word)) return `${id} is "${word}"`;
    if (!isOneOf(["running", "stopped"], order.desired)) return `${id} is to be "${order.desired}"`;
    if (!isCount(launch)) return `${id} has launch ${launch}`;
  }
  return undefined;
}

/** A daemon's armors, by id. */
export function wrongArmors(state: { readonly [armor: string]: { readonly armor: string; readonly role: string } }): string | undefined {
  for (const id in state) {
    const { armor, role } = state[id]!;
    if (armor !== id) return `${id} is armor "${armor}"`;
    if (!isOneOf(roles, role)) return `${id} is a "${role}"`;
  }
  return undefined;
}

/** Nodes and armors that an FTM has registered. */
export function wrongRegistry(
  nodes: ReadonlyMap<string, { readonly id: string; readonly state: string }>,
  armors: ReadonlyMap<string, { readonly armor: string }>,
): string | undefined {
  for (const [id, node] of nodes) {
    if (node.id !== id) return `node ${id} is node ${node.id}`;
    if (!isOneOf(nodeStates, node.state)) return `node ${id} is "${node.state}"`;
  }
  for (const [id, { armor }] of armors) if (armor !== id) return `${id} is armor "${armor}"`;
  return undefined;
}
