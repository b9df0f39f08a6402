/**
 * Gateway: where armors are. Source: the daemon serves "as a gateway for
 * armor-to-armor communication". The element keeps the map; the host moves the
 * frames.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import { type Element, element, type Thread } from "../../core/element.ts";
import { compareEpochs, type Epoch } from "../../core/generation.ts";
import { op } from "../../core/micro_operation.ts";
import { ftmGeneration, nodeOf, type NodeRegistration, type NodeReport } from "../shapes.ts";
import type { FtmLocation } from "./epoch_promise.ts";
import type { View } from "./view_shape.ts";
import { changedView, type ViewChange } from "./view_change.ts";

type Volatile = {
  /** The newest, wherever it came from. */
  readonly view: View | null;
  /** The last one of `view.update`, which changes refer to. */
  readonly base: View | null;
};

/** Whether `view` is at least as new as `other`. */
export function isAsNew(view: View, other: View): boolean {
  const order = compareEpochs(view.epoch, other.epoch);
  return order > 0 || (order === 0 && view.number >= other.number);
}

/** The view as a whole, please. */
function want(thread: Thread<Volatile>): void {
  thread.send({ ops: [op("view.want", "ftm")], payload: { node: nodeOf(thread.self) }, lane: "system" });
}

function show(thread: Thread<Volatile>, view: View): void {
  const before = thread.volatile.view;
  if (before && !isAsNew(view, before)) return;
  thread.setVolatile({ ...thread.volatile, view });
  const nodes = Object.fromEntries(view.nodes.map(({ id, address }) => [id, address]));
  const armors: Record<string, string> = {};
  for (const { armor, node } of view.armors) if (!armor.includes("@") && node !== "") armors[armor] = node;
  // Where the FTM is it announces itself; it may send a view before it has heard of its own process.
  delete armors["ftm"];
  thread.command({ kind: "routes.nodes", args: { nodes } });
  thread.command({ kind: "routes.armors", args: { armors } });
  thread.payload["addresses"] = nodes;
  thread.payload["heartbeat"] = armors["heartbeat"] ?? null;
  thread.payload["dead"] = view.nodes.filter(({ state }) => state === "failed" || state === "left").map(({ id }) => id);
  thread.payload["absent"] = view.nodes.filter(({ absent }) => absent).map(({ id }) => id);
  thread.insert(op("heartbeat.located"));
}

/** Follows the FTM's view; tells the host the routes. */
export function gateway(): Element {
  return element<DataRecord, Volatile>({
    name: "gateway",
    version: 1,
    state: {},
    volatile: () => ({ view: null, base: null }),
    handlers: {
      "armor.started": (_state, thread) => {
        thread.insert(op("table.read"), op("gateway.peers"));
      },
      "gateway.peers": (_state, thread) => {
        const nodes: Record<string, string> = {};
        for (const [key, value] of Object.entries(thread.payload["table"] as DataRecord)) {
          if (!key.startsWith("node:")) continue;
          const { address, replaced } = value as NodeRegistration;
          if (!replaced) nodes[key.slice(5)] = address;
        }
        thread.command({ kind: "routes.nodes", args: { nodes } });
      },
      "ftm.changed": (_state, thread) => {
        const ftm = thread.payload["ftm"] as FtmLocation;
        const { node } = ftm;
        const address = thread.payload["address"];
        if (typeof address === "string") thread.command({ kind: "routes.nodes", args: { nodes: { [node]: address } } });
        thread.command({ kind: "routes.armors", args: { armors: { ftm: node }, ftm: ftmGeneration(ftm.epoch) } });
      },
      // For the successor of an FTM that was told of a planned absence.
      "armors.report": (_state, thread) => {
        const { report, avoid = [] } = thread.payload as unknown as { report: NodeReport; avoid?: readonly string[] };
        const { view } = thread.volatile;
        if (!view || avoid.length === 0) return;
        const instances = view.applications.flatMap((one) => one.instances).filter(({ node }) => node !== null && avoid.includes(node));
        thread.payload["report"] = { ...report, shown: { epoch: view.epoch, number: view.number, instances } };
      },
      // Comes with an answer, which is to arrive also where the view is outdated.
      "view.offer": (_state, thread) => thread.insert(op("epoch.read"), op("view.take")),
      "view.take": (_state, thread) => {
        const { promised } = thread.payload["epochs"] as { promised: Epoch };
        const view = thread.payload["view"] as View;
        for (const field of ["epochs", "view"]) delete thread.payload[field];
        if (compareEpochs(view.epoch, promised) >= 0) show(thread, view);
      },
      "view.update": (_state, thread) => {
        const { base } = thread.volatile;
        const { view = null, change } = thread.payload as unknown as { view?: View; change: ViewChange };
        for (const field of ["view", "change"]) delete thread.payload[field];
        const told = view ?? changedView(base, change);
        if (!told) return want(thread);
        if (!base || isAsNew(told, base)) thread.setVolatile({ ...thread.volatile, base: told });
        show(thread, told);
      },
      // After a restart there may be nothing else to tell.
      "armors.tell": (_state, thread) => {
        if (thread.volatile.base === null) want(thread);
      },
    },
  });
}
