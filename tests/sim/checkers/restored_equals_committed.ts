/**
 * What a restore would give equals what the microkernel held when its process
 * ended between two steps. Acknowledgements and agreements are left out: they
 * wait for the next commit, and are found out again.
 *
 * @module
 */
import type { ChannelSnapshot, Snapshot } from "../../../core/checkpoint.ts";
import { DurableState } from "../../../core/durable_state.ts";
import { canonicalText } from "../plain_data.ts";
import type { Checker, Fail } from "./checker.ts";

/** Compares at every death that did not cut a step in two. */
export function restoredEqualsCommitted(fail: Fail): Checker {
  return {
    died: ({ kernel, store, process, node }) => {
      if (!store || kernel.steps === 0 || process.dieAfter !== undefined || !node.machine.on) return;
      const { snapshot, records } = store.restore();
      if (!snapshot) return;
      const state = new DurableState(snapshot);
      for (const record of records) state.apply(record);
      const restorable = {
        ...state.base,
        generation: state.generation,
        commit: state.commit,
        elements: Object.fromEntries(state.elements),
        continuations: Object.fromEntries(state.continuations),
        channels: [...state.channels.values()],
      };
      const held = kernel.snapshot();
      for (const [part, value] of Object.entries(committed(held))) {
        const other = committed(restorable)[part];
        if (canonicalText(value) === canonicalText(other)) continue;
        const text = (one: unknown): string => JSON.stringify(one, (_, item) => item instanceof Uint8Array ? `${item.length} bytes` : item);
        fail("restored equals committed", `${part} of ${kernel.armor} on ${node.name}: ${text(value)} but restored ${text(other)}`);
      }
    },
  };
}

function committed({ elements, continuations, channels, commit, generation }: Snapshot): { [part: string]: unknown } {
  const said = channels.filter(({ next, marks }) => next.system + next.user > 2 || marks.system + marks.user > 0);
  return { generation, commit, elements, continuations, channels: Object.fromEntries(said.map(numbers)) };
}

function numbers({ peer, next, marks }: ChannelSnapshot): [string, unknown] {
  return [peer, { next, marks }];
}
