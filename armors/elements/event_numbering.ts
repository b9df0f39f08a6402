/**
 * Event numbering: the FTM gives every event of the cluster its number, epoch
 * number · 2^32 + n, and publishes it to all daemons.
 *
 * @module
 */
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element } from "../../core/element.ts";
import { type Epoch, epochZero } from "../../core/generation.ts";
import { op } from "../../core/micro_operation.ts";
import { daemonOf } from "../shapes.ts";
import type { NodeView } from "./registration.ts";

type Volatile = { readonly epoch: Epoch; readonly next: number };

/** Numbers events of one epoch from 1. */
export function eventNumbering(): Element {
  return element<DataRecord, Volatile>({
    name: "event_numbering",
    version: 1,
    state: {},
    volatile: () => ({ epoch: epochZero, next: 1 }),
    handlers: {
      "ftm.begin": (_state, thread) => {
        thread.setVolatile({ epoch: (thread.payload["begin"] as { epoch: Epoch }).epoch, next: 1 });
      },
      "events.record": (_state, thread) => thread.insert(op("nodes.read"), op("events.number")),
      "events.number": (_state, thread) => {
        const { epoch, next } = thread.volatile;
        const nodes = thread.payload["nodes"] as unknown as readonly NodeView[];
        const names = new Map(nodes.map(({ id, name }) => [id, name]));
        const events = (thread.payload["events"] as DataRecord[]).map((event, index) => ({
          ...event,
          seq: epoch.number * 2 ** 32 + next + index,
          epoch: epoch.number,
          node: named(event["node"], names),
          from: named(event["from"] ?? null, names),
        }));
        thread.setVolatile({ epoch, next: next + events.length });
        for (const { id, state } of nodes) {
          if (state === "alive" || state === "suspect") {
            thread.send({ ops: [op("events.publish", daemonOf(id))], payload: { events }, lane: "system" });
          }
        }
        for (const field of ["nodes", "armors", "events"]) delete thread.payload[field];
      },
    },
  });
}

/** Events name nodes as operators do. */
function named(id: Data | undefined, names: ReadonlyMap<string, string>): Data {
  return typeof id === "string" ? names.get(id) ?? id : null;
}
