/**
 * Elements that keep count of what they sent and received: the ground truth of
 * the delivery tests.
 *
 * @module
 */
import type { Data } from "../../core/data.ts";
import { type Element, element } from "../../core/element.ts";
import type { Lane } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import type { KernelNetwork } from "../sim/kernel_network.ts";

/** What an armor knows of its own sends and receipts. */
export type Ledger = {
  /** `token` → peer and lane, in order. */
  readonly sent: readonly (readonly [string, string, string])[];
  /** Token, sender and lane, in order of their effect. */
  readonly taken: readonly (readonly [string, string, string])[];
  /** Tokens that came back as failed. */
  readonly failed: readonly string[];
};

/** `ledger.send {token, to, lane}` sends; `ledger.take` notes; failures come back by token. */
export const ledger: Element = element<Ledger>({
  name: "ledger",
  version: 1,
  state: { sent: [], taken: [], failed: [] },
  handlers: {
    "ledger.send": (state, thread) => {
      const { token, to, lane = "user", deadlineMs } = thread.payload as { token: string; to: string; lane?: Lane; deadlineMs?: number };
      const accepted = thread.send({
        ops: [op("ledger.take", to)],
        payload: { token, sender: thread.self },
        lane,
        ...(deadlineMs !== undefined && { deadlineMs }),
      });
      return accepted ? { ...state, sent: [...state.sent, [token, to, lane]] } : undefined;
    },
    "ledger.take": (state, thread) => {
      const { token, sender } = thread.payload as { token: string; sender: string };
      return { ...state, taken: [...state.taken, [token, sender, thread.message.lane]] };
    },
    "armor.op-failed": (state, thread) => {
      const { message } = thread.payload as unknown as { message: { payload: { token?: string } } };
      return { ...state, failed: [...state.failed, message.payload.token ?? "?"] };
    },
  },
});

/** Takes events, so that tests have an armor to send them to. */
export const eventLog: Element = element<{ readonly notes: readonly Data[] }>({
  name: "event-log",
  version: 1,
  state: { notes: [] },
  handlers: {
    "events.note": (state, thread) => ({ notes: [...state.notes, ...(thread.payload["events"] as Data[])] }),
  },
});

/** Every message sent in surviving state with how often it took effect in surviving state. */
export function deliveries(network: KernelNetwork): { token: string; from: string; to: string; lane: string; taken: number; failed: number }[] {
  const all = new Map<string, { token: string; from: string; to: string; lane: string; taken: number; failed: number }>();
  const ids = [...network.armors.keys()].filter((id) => network.state(id, "ledger") !== undefined);
  for (const from of ids) {
    for (const [token, to, lane] of network.state<Ledger>(from, "ledger").sent) all.set(token, { token, from, to, lane, taken: 0, failed: 0 });
  }
  for (const to of ids) {
    const { taken, failed } = network.state<Ledger>(to, "ledger");
    for (const [token, from, lane] of taken) {
      const delivery = all.get(token) ?? { token, from, to, lane, taken: 0, failed: 0 };
      all.set(token, delivery);
      delivery.taken += 1;
    }
    for (const token of failed) {
      const delivery = all.get(token);
      if (delivery) delivery.failed += 1;
    }
  }
  return [...all.values()];
}

/** Tokens per sender, receiver and lane, as sent and as taken. */
export function orders(network: KernelNetwork): { sent: Map<string, string[]>; taken: Map<string, string[]> } {
  const sent = new Map<string, string[]>();
  const taken = new Map<string, string[]>();
  const push = (map: Map<string, string[]>, key: string, token: string): void => void map.set(key, [...(map.get(key) ?? []), token]);
  for (const id of network.armors.keys()) {
    const book = network.state<Ledger | undefined>(id, "ledger");
    for (const [token, to, lane] of book?.sent ?? []) push(sent, `${id} ${to} ${lane}`, token);
    for (const [token, from, lane] of book?.taken ?? []) push(taken, `${from} ${id} ${lane}`, token);
  }
  return { sent, taken };
}
