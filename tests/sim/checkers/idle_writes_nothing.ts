/**
 * Heartbeats, acknowledgements and polls touch volatile state only: a step that
 * only answers or counts them changes nothing durable.
 *
 * @module
 */
import type { KernelEvent } from "../../../core/kernel_event.ts";
import type { Microkernel } from "../../../core/microkernel.ts";
import type { Checker, Fail } from "./checker.ts";

/** Looks at the commits of idle steps. */
export function idleWritesNothing(fail: Fail): Checker {
  const careful = new WeakSet<Microkernel>();
  return {
    stepped: ({ kernel, node }, event, { commits }) => {
      // In a careful life threads wait for a step of their own, whatever that is about, and the last of them for the first one after it.
      const waits = kernel.caution !== undefined || careful.has(kernel);
      if (kernel.caution) careful.add(kernel);
      else careful.delete(kernel);
      if (commits.length === 0 || !isIdle(event) || waits) return;
      // What has been acknowledged is written now and then; messages that nobody took turn round.
      const written = commits.find(({ set, unset, handled }) => set ?? unset ?? handled);
      if (written) fail("idle writes nothing", `${kernel.armor} of ${node.name} writes ${Object.keys(written.set ?? written.unset ?? {}).join(", ")} at ${event.kind === "local" ? event.op : event.kind}`);
    },
  };
}

function isIdle(event: KernelEvent): boolean {
  return (event.kind === "local" && event.op === "heartbeat.asked") || (event.kind === "frame" && event.frame.type === "ack");
}
