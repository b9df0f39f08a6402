/**
 * What a restore would give equals what the microkernel held when its process
 * ended between two steps, and the next life in the same boot has it. What waits
 * for the next commit and is found out again is left out: acknowledgements,
 * agreements, and what the host's work came to.
 *
 * @module
 */
import type { ChannelSnapshot, Snapshot } from "../../../core/checkpoint.ts";
import { DurableState } from "../../../core/durable_state.ts";
import { compareGenerations, generationText } from "../../../core/generation.ts";
import { diskStatus } from "../../../armors/host/hand_record.ts";
import { canonicalText } from "../plain_data.ts";
import type { Checker, Fail, Life } from "./checker.ts";

type Compared = Pick<Snapshot, "elements" | "continuations" | "channels" | "commit" | "generation">;
type Parts = { readonly [part: string]: unknown };

/** Compares at every death that did not cut a step in two, where the disk was sound, and at the next start. */
export function restoredEqualsCommitted(fail: Fail): Checker {
  /** By line of state and boot. */
  const lastHeld = new Map<string, Snapshot>();
  const lineOf = ({ kernel, node }: Life): string => `${kernel.armor} ${generationText(kernel.generation)} of ${node.name} in ${node.machine.bootId}`;
  const compare = (where: string, held: Parts, restored: Parts): void => {
    for (const [part, value] of Object.entries(held)) {
      if (canonicalText(value) === canonicalText(restored[part])) continue;
      const text = (one: unknown): string => JSON.stringify(one, (_, item) => item instanceof Uint8Array ? `${item.length} bytes` : item);
      fail("restored equals committed", `${part} of ${where}: ${text(value)} but restored ${text(restored[part])}`);
    }
  };
  return {
    made: (life) => {
      const line = lineOf(life);
      const held = lastHeld.get(line);
      lastHeld.delete(line);
      if (!held || !life.follows) return;
      const restored = life.kernel.snapshot();
      compare(line, committed(held, restored), committed(restored, held));
      compare(line, { outboxes: outboxes(held, held) }, { outboxes: outboxes(restored, held) });
    },
    died: (life) => {
      const { kernel, store, process, node } = life;
      lastHeld.delete(lineOf(life));
      if (!store || kernel.steps === 0 || process.dieAfter !== undefined || !node.machine.on) return;
      // Damaged files, and a step whose commit found no room.
      if (node.disk.altered.has(kernel.armor) || process.exit?.code === diskStatus) return;
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
      compare(lineOf(life), committed(held, restorable), committed(restorable, held));
      lastHeld.set(lineOf(life), held);
    },
  };
}

/** What the host's work came to, or that it took too long, waits in memory until its thread runs; a next life finds it out again. */
function withoutHostsWord(continuations: Compared["continuations"], other: Compared["continuations"]): Compared["continuations"] {
  return Object.fromEntries(Object.entries(continuations).map(([key, one]) => {
    const { completion, ...rest } = one;
    const isHosts = completion !== undefined && (one.work?.kind !== "wait" || (!completion.ok && completion.error === "timeout"));
    return [key, isHosts && other[key] !== undefined && other[key].completion === undefined ? rest : one];
  }));
}

function committed({ elements, continuations: all, channels, commit, generation }: Compared, other: Pick<Snapshot, "channels" | "continuations">): Parts {
  const continuations = withoutHostsWord(all, other.continuations);
  const numbers = ({ peer, next, marks, inbound }: ChannelSnapshot): [string, unknown][] => {
    // Marks count a peer's messages in the generation agreed on.
    const agreed = other.channels.find((one) => one.peer === peer)?.inbound;
    const same = inbound === undefined || agreed === undefined || compareGenerations(inbound, agreed) === 0;
    // Where nothing was said or heard that counts there may be no channel.
    const said = next.system + next.user > 2 || (same && marks.system + marks.user > 0);
    return said ? [[peer, same ? { next, marks } : { next }]] : [];
  };
  return { generation, commit, elements, continuations, channels: Object.fromEntries(channels.flatMap(numbers)) };
}

/** What waits in the outboxes, without what `held` knows to be acknowledged. */
function outboxes({ channels }: Snapshot, held: Snapshot): { [peer: string]: unknown } {
  const waiting = channels.map(({ peer, outbox }) => {
    const acked = held.channels.find((one) => one.peer === peer)?.acked ?? { system: 0, user: 0 };
    return [peer, outbox.filter(({ lane, sequence }) => sequence > acked[lane])] as const;
  });
  return Object.fromEntries(waiting.filter(([, outbox]) => outbox.length > 0));
}
