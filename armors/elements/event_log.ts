/**
 * Event log: a daemon holds the events of its node until an FTM has numbered
 * them, and keeps the last numbered ones of the whole cluster for `armor events`.
 *
 * @module
 */
import { encode } from "../../core/codec.ts";
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { limits } from "../../core/limits.ts";
import { opFailed } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";

/** Held events under `n1`, `n2`, … in order; `next` counts them. */
type State = { readonly next: number } & { readonly [key: string]: Data };
type Volatile = { readonly sending: boolean; readonly wallOffsetMs: number };

/** What the FTM could not take is brought again after this time. */
const againMs = 2_000;

const held = (state: State): string[] =>
  Object.keys(state).filter((key) => key !== "next").sort((a, b) => Number(a.slice(1)) - Number(b.slice(1)));

/** @param boot Identity of this boot; wall time, for display only, comes from `clock.wall`. */
export function eventLog(node: string, boot: string): Element {
  const flush = (state: State, thread: Thread<Volatile>): void => {
    if (thread.volatile.sending) return;
    const keys = held(state).slice(0, limits.eventsPerMessageMax);
    if (keys.length === 0) return;
    const events = keys.map((key) => state[key]!);
    const sent = thread.send({
      ops: [op("events.record", "ftm"), op("events.recorded", thread.self)],
      payload: { events, keys, node },
      lane: "system",
    });
    if (sent) thread.setVolatile({ ...thread.volatile, sending: true });
  };

  return element<State, Volatile>({
    name: "event_log",
    version: 1,
    state: { next: 1 },
    volatile: () => ({ sending: false, wallOffsetMs: 0 }),
    handlers: {
      "armor.started": (state, thread) => flush(state, thread),
      "ftm.changed": (state, thread) => {
        thread.setVolatile({ ...thread.volatile, sending: false });
        thread.after("flush", 0, "events.flush");
        return state;
      },
      "clock.wall": (_state, thread) => {
        thread.setVolatile({ ...thread.volatile, wallOffsetMs: thread.payload["offsetMs"] as number });
      },
      // Numbers that were given away may be among what is lost; events of one origin are kept once.
      "checkpoint.restored": (state, thread) => {
        if (thread.payload["complete"] === false) return { ...state, next: state.next + 2 ** 20 + thread.random.below(2 ** 30) };
      },
      "events.flush": (state, thread) => flush(state, thread),
      "events.note": (state, thread) => {
        const next: { [key: string]: Data } = { ...state };
        let number = state.next;
        for (const event of thread.payload["events"] as DataRecord[]) {
          next[`n${number}`] = { node, boot, origin: `${node}/${number}`, ...bounded(event), wallMs: (event["atMs"] as number) + thread.volatile.wallOffsetMs };
          number += 1;
        }
        next["next"] = number;
        const keys = held(next as State);
        for (const key of keys.slice(0, Math.max(0, keys.length - limits.eventsMax))) delete next[key];
        flush(next as State, thread);
        return next as State;
      },
      [opFailed]: (_state, thread) => {
        const { payload } = thread.payload["message"] as unknown as { payload: DataRecord };
        if (payload["keys"] === undefined || !thread.volatile.sending) return;
        thread.setVolatile({ ...thread.volatile, sending: false });
        thread.after("flush", againMs, "events.flush");
      },
      // Numbered and published, but this node may yet die before its host has stored them.
      "events.recorded": (_state, thread) => thread.command({ kind: "events.settle", args: { keys: thread.payload["keys"]! } }),
      // The host has them: of an event that was sent again meanwhile it keeps one.
      "events.kept": (state, thread) => {
        const next: { [key: string]: Data } = { ...state };
        for (const key of thread.payload["keys"] as string[]) delete next[key];
        thread.setVolatile({ ...thread.volatile, sending: false });
        thread.after("flush", 0, "events.flush");
        return next as State;
      },
      "events.publish": (_state, thread) => {
        thread.command({ kind: "events.store", args: { events: thread.payload["events"]! } });
      },
    },
  });
}

/** Many of them travel together: what an element says at length is cut. */
function bounded(event: DataRecord): DataRecord {
  if (encode(event).length <= limits.eventBytesMax) return event;
  const cut = (value: Data): Data => (typeof value === "string" && value.length > limits.eventTextMax ? `${value.slice(0, limits.eventTextMax)}…` : value);
  const short = Object.fromEntries(Object.entries(event).map(([field, value]) => [field, cut(value)]));
  if (encode(short).length <= limits.eventBytesMax) return short;
  const { kind = "", subject = "", atMs = 0 } = short;
  return { kind, subject, atMs, cause: "what it said was too long" };
}
