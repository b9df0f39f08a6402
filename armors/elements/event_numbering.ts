/**
 * Event numbering: the FTM gives every event of the cluster its number, epoch
 * number · 2^32 + n, and publishes it to all daemons. That a job has completed is
 * told only after the table has it, on enough nodes: whoever hears of it can rely
 * on its not being run again.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { type Epoch, epochZero } from "../../core/generation.ts";
import { limits, pauseAmongMany, timing } from "../../core/limits.ts";
import { op } from "../../core/micro_operation.ts";
import { daemonOf, type NodeRegistration } from "../shapes.ts";
import type { NodeView } from "./node_view.ts";
import type { FtmBegin } from "./takeover.ts";

type Volatile = {
  readonly epoch: Epoch;
  readonly next: number;
  /** Numbered, but not told yet: what comes soon after the last is told together. */
  readonly held: readonly DataRecord[];
  /** Threads that brought them: nobody may forget an event that has not been told. */
  readonly waiting: readonly string[];
  readonly toldAtMs: number;
};

/** Until then they have been told. */
const toldWithinMs = 60_000;
/** So many do not wait any longer: where daemons died again and again without an FTM, each life has sent what it holds. */
const waitingMax = 32;

/** Numbers of one epoch number; one FTM can give away so many before it comes to those of another whose epoch has the same number. */
const numbersAll = 2 ** 32;
const numbersEach = 2 ** 20;

/**
 * Two leaders that did not hear each other may have come to the same epoch number: each has its own range, by the number
 * its node got when it joined. That is the same in every copy of the table, also where one knows nodes that the other does not.
 */
function firstNumber({ epoch, reports }: FtmBegin): number {
  const registrations = reports.map(({ table }) => table.entries[`node:${epoch.node}`] as NodeRegistration | undefined);
  const number = registrations.find((one) => one?.number !== undefined)?.number ?? 0;
  return ((number * numbersEach) % numbersAll) + 1;
}

const empty: Volatile = { epoch: epochZero, next: 1, held: [], waiting: [], toldAtMs: -Infinity };

/** Publish what is held. */
function tell(thread: Thread<Volatile>, now: Volatile, nodes: readonly NodeView[]): void {
  const { held, waiting } = now;
  for (const { id, state } of nodes) {
    // One that is to leave is told until it has: the FTM's own may be the only one left to keep them.
    if (state === "failed" || state === "left") continue;
    for (let from = 0; from < held.length; from += limits.eventsPerMessageMax) {
      thread.send({ ops: [op("events.publish", daemonOf(id))], payload: { events: held.slice(from, from + limits.eventsPerMessageMax) }, lane: "system" });
    }
  }
  for (const key of waiting) thread.complete(key, { ok: true, value: null });
  thread.cancel("tell");
  thread.setVolatile({ ...now, held: [], waiting: [], toldAtMs: thread.nowMs });
}

/** Numbers the events of one FTM. */
export function eventNumbering(): Element {
  return element<DataRecord, Volatile>({
    name: "event_numbering",
    version: 1,
    state: {},
    volatile: () => empty,
    blocking: ["events.number"],
    handlers: {
      "ftm.begin": (_state, thread) => {
        const begin = thread.payload["begin"] as unknown as FtmBegin;
        thread.setVolatile({ ...empty, epoch: begin.epoch, next: firstNumber(begin) });
      },
      "events.record": (_state, thread) => thread.insert(op("table.complete"), op("nodes.read"), op("events.number")),
      "events.number": (_state, thread) => {
        if (thread.completion) {
          // Not told: whoever has brought them keeps them.
          if (!thread.completion.ok) thread.payload["keys"] = [];
          return;
        }
        if ((thread.payload["events"] as DataRecord[]).length === 0) return;
        const { epoch, next, held, waiting, toldAtMs } = thread.volatile;
        const nodes = thread.payload["nodes"] as unknown as readonly NodeView[];
        const names = new Map(nodes.map(({ id, name }) => [id, name]));
        const events = (thread.payload["events"] as DataRecord[]).map((event, index) => ({
          ...event,
          seq: epoch.number * numbersAll + next + index,
          epoch: epoch.number,
          node: named(event["node"], names),
          from: named(event["from"] ?? null, names),
        }));
        for (const field of ["nodes", "armors", "events"]) delete thread.payload[field];
        const now = { ...thread.volatile, next: next + events.length, held: [...held, ...events] };
        const waitMs = toldAtMs + Math.max(timing.eventsPauseMs, pauseAmongMany(nodes.length, timing.eventsPausePerNodeMs)) - thread.nowMs;
        if (waitMs <= 0 || waiting.length >= waitingMax) return tell(thread, now, nodes);
        const key = thread.block({ kind: "wait", timeoutMs: toldWithinMs });
        thread.after("tell", waitMs, "events.tell");
        thread.setVolatile({ ...now, waiting: [...waiting, key] });
      },
      "events.tell": (_state, thread) => thread.insert(op("nodes.read"), op("events.tell-held")),
      "events.tell-held": (_state, thread) => tell(thread, thread.volatile, thread.payload["nodes"] as unknown as readonly NodeView[]),
    },
  });
}

/** Events name nodes as operators do. */
function named(id: Data | undefined, names: ReadonlyMap<string, string>): Data {
  return typeof id === "string" ? names.get(id) ?? id : null;
}
