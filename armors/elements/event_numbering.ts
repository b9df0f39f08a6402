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
import type { FtmBegin } from "./takeover.ts";

type Volatile = { readonly epoch: Epoch; readonly next: number };

/** Numbers that one FTM can give away before it comes to those of another whose epoch has the same number. */
const numbersEach = 2 ** 24;

/**
 * Two leaders that did not hear each other may have come to the same epoch number: each has its own range, by the
 * place of its id among those of all nodes that were ever registered.
 */
function firstNumber({ epoch, reports }: FtmBegin): number {
  const keys = new Set(reports.flatMap(({ table }) => Object.keys(table.entries)));
  const ids = [...keys].filter((key) => key.startsWith("node:")).map((key) => key.slice("node:".length)).sort();
  return Math.max(0, ids.indexOf(epoch.node)) * numbersEach + 1;
}

/** Numbers the events of one FTM. */
export function eventNumbering(): Element {
  return element<DataRecord, Volatile>({
    name: "event_numbering",
    version: 1,
    state: {},
    volatile: () => ({ epoch: epochZero, next: 1 }),
    handlers: {
      "ftm.begin": (_state, thread) => {
        const begin = thread.payload["begin"] as unknown as FtmBegin;
        thread.setVolatile({ epoch: begin.epoch, next: firstNumber(begin) });
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
