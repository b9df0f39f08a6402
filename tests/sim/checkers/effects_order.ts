/**
 * Nothing leaves an armor before the commit it follows from has reached the
 * armor's durability class.
 *
 * @module
 */
import type { Frame } from "../../../core/frame.ts";
import type { Microkernel } from "../../../core/microkernel.ts";
import type { Checker, Fail } from "./checker.ts";

/** Looks at the disk whenever a frame leaves. */
export function effectsOrder(fail: Fail): Checker {
  const committed = new WeakMap<Microkernel, number>();
  const needed = new WeakMap<Frame, number>();
  return {
    // What was restored may be known to the system and not yet to the disk.
    made: ({ kernel, store, follows }) => {
      if (store && follows) committed.set(kernel, kernel.snapshot().commit);
    },
    stepped: ({ kernel, store }, _event, { commits, sends, acks }) => {
      if (!store) return;
      const commit = commits.at(-1)?.commit ?? committed.get(kernel);
      if (commit === undefined) return;
      committed.set(kernel, commit);
      for (const frame of sends) needed.set(frame, commit);
      for (const frame of acks) needed.set(frame, commit);
    },
    sent: ({ kernel, node, store }, frame) => {
      const commit = needed.get(frame);
      if (commit === undefined || store!.reached >= commit) return;
      fail("effects order", `${frame.type} from ${kernel.armor} of ${node.name} to ${frame.to} leaves after commit ${commit}, the disk has ${store!.reached}`);
    },
  };
}
