/**
 * A job completes once. A program that has ended with status 0 is not started
 * again without an operator's word, on the same node in the same boot; its
 * completion is not told more often than it happened; and what is on record as
 * completed is not taken for a failure.
 *
 * One exception: of a job whose shim was killed there is no exit status on record, and
 * nobody knows how it ended; and an execution armor that has lost its checkpoints or a
 * part of them, and says so, knows of a job by its launch record only, which is gone if
 * the job was placed elsewhere meanwhile. Such a job may run again.
 *
 * @module
 */
import type { InstanceOrder, InstanceState } from "../../../armors/shapes.ts";
import type { SimNode } from "../sim_node.ts";
import type { Checker, Fail } from "./checker.ts";

type Instances = { readonly [id: string]: { readonly launch: number; readonly state: InstanceState; readonly order: InstanceOrder; readonly cannot: string } };

/** What is to be done once, on one node in one boot. */
function taskOf({ machine }: SimNode, id: string, { serial, restart }: InstanceOrder): string {
  return `${machine.bootId} ${id} ${serial} ${restart}`;
}

/** Compares what is told with how programs ended. */
export function completedOnce(fail: Fail): Checker {
  /** Orders of launches, by boot, instance and number. */
  const launched = new Map<string, InstanceOrder>();
  /** The launch that completed a task. */
  const completed = new Map<string, number>();
  /** Tasks of which nobody knows how they ended, or that completed before their node's execution armor lost what it knew, or a part of it. */
  const forgotten = new Set<string>();
  /** By instance, how often it ended with status 0. */
  const ends = new Map<string, number>();
  const told = new Map<string, Set<string>>();
  /** An execution armor that was rewound may tell again what it has told. */
  const rewinds = new Map<string, number>();
  const counters = new Map<string, number>();
  return {
    made: ({ kernel, node }) => {
      if (!kernel.armor.startsWith("execution@")) return;
      const { complete = true } = node.disk.restored.get(kernel.armor) ?? {};
      if (!complete) for (const task of completed.keys()) if (task.startsWith(`${node.machine.bootId} `)) forgotten.add(task);
      const { counter } = kernel.generation;
      if ((counters.get(kernel.armor) ?? counter) !== counter) rewinds.set(kernel.armor, (rewinds.get(kernel.armor) ?? 0) + 1);
      counters.set(kernel.armor, counter);
    },
    stepped: ({ kernel, node }, _event, { commits }) => {
      if (!kernel.armor.startsWith("execution@")) return;
      for (const { set, unset } of commits) {
        // Numbers begin again with an instance that was forgotten.
        for (const id of unset?.["instances"] ?? []) for (const key of launched.keys()) if (key.startsWith(`${node.machine.bootId} ${id} `)) launched.delete(key);
        for (const [id, { launch, order }] of Object.entries((set?.["instances"] ?? {}) as unknown as Instances)) {
          const key = `${node.machine.bootId} ${id} ${launch}`;
          // Numbers begin anew with an application that is submitted again after its removal.
          if (launched.get(key)?.serial !== order.serial) launched.set(key, order);
        }
      }
    },
    handling: ({ node }, op, { payload }) => {
      if (op !== "program.exited") return;
      const { id, launch, status } = payload as { id: string; launch: number; status: number | null };
      const record = node.disk.launchesOf(id).get(launch)?.record;
      const order = launched.get(`${node.machine.bootId} ${id} ${launch}`);
      if (order && status === null && record?.exit === undefined) forgotten.add(taskOf(node, id, order));
      if (record?.exit === 0 && status !== 0) fail("completed once", `${id} ended on ${node.name} with status 0, by the record of launch ${launch}, and is said to have ended with ${status}`);
    },
    programStarted: (node, program, number) => {
      const { bootId } = node.machine;
      const order = launched.get(`${bootId} ${program.name} ${number}`);
      if (order?.application.kind !== "job") return;
      const task = taskOf(node, program.name, order);
      const last = completed.get(task);
      const excused = forgotten.has(task) && node.disk.launchesOf(program.name).get(last!)?.record.exit === undefined;
      if (last !== undefined && !excused) fail("completed once", `${program.name} has completed on ${node.name} and is started again as launch ${number}`);
      // Nobody knows that it did; it may fail now, and be started again.
      if (excused) completed.delete(task);
      program.onDeath.push(() => {
        if (program.exit?.code !== 0) return;
        completed.set(task, number);
        forgotten.delete(task);
        ends.set(program.name, (ends.get(program.name) ?? 0) + 1);
      });
    },
    eventsStored: (node, stored) => {
      for (const { kind, subject, origin } of stored) {
        if (kind !== "application.completed") continue;
        const id = String(subject);
        told.set(id, (told.get(id) ?? new Set()).add(String(origin)));
        const most = (ends.get(id) ?? 0) + [...rewinds.values()].reduce((sum, one) => sum + one, 0);
        const said = told.get(id)!.size;
        if (said > most) fail("completed once", `${id} is told on ${node.name} to have completed ${said} times, and it was ${ends.get(id) ?? 0} times`);
      }
    },
    over: (lives) => {
      for (const { kernel, node } of lives) {
        for (const [id, { launch, state, order, cannot }] of Object.entries((kernel.state("instances") ?? {}) as unknown as Instances)) {
          const exit = node.disk.launchesOf(id).get(launch)?.record.exit;
          // One that cannot be started was not under this number: the record is of a life that a power cut took.
          if (order.application.kind === "job" && state === "failed" && cannot === "" && exit === 0) {
            fail("completed once", `${id} has completed on ${node.name} as launch ${launch}, and is held failed`);
          }
          if (state === "completed" && !told.has(id)) fail("completed once", `${id} has completed on ${node.name}, and no event says so`);
        }
      }
    },
  };
}
