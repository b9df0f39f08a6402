/**
 * A new FTM places nothing before every daemon it holds alive has answered, and
 * a majority of the registered nodes, and their execution armors have told it
 * what runs.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { decode } from "../../../core/codec.ts";
import type { Message } from "../../../core/message.ts";
import type { NodeView } from "../../../armors/elements/registration.ts";
import type { FtmBegin } from "../../../armors/elements/takeover.ts";
import { nodeOf } from "../../../armors/shapes.ts";
import type { SimProcess } from "../sim_processes.ts";
import type { Checker, Fail } from "./checker.ts";

const order = "instances.assign";

/** Compares what an FTM orders with what it has been told. */
export function placementWaits(fail: Fail): Checker {
  const answered = new WeakMap<SimProcess, Set<string>>();
  const told = new WeakMap<SimProcess, Set<string>>();
  /** Held alive after the step before: in one step it may place first and then let a node join. */
  const aliveBefore = new WeakMap<SimProcess, ReadonlySet<string>>();
  return {
    made: ({ process, kernel }) => {
      if (kernel.armor === "ftm") answered.set(process, new Set()) && told.set(process, new Set());
    },
    handling: ({ process }, op, { payload }) => {
      if (op === "ftm.begin") for (const { node } of (payload["begin"] as FtmBegin).reports) answered.get(process)?.add(node);
      else if (op === "instances.told") told.get(process)?.add(String(payload["node"]));
      else if (op === "armors.told") answered.get(process)?.add(String(payload["node"]));
    },
    stepped: ({ process, kernel, node }, _event, { commits }) => {
      if (kernel.armor !== "ftm") return;
      const nodes = [...(kernel.volatile("registration") as { nodes: ReadonlyMap<string, NodeView> }).nodes.values()];
      const before = aliveBefore.get(process);
      aliveBefore.set(process, new Set(nodes.filter(({ state }) => state === "alive").map(({ id }) => id)));
      for (const { sent = [] } of commits) {
        for (const { peer, body } of sent) {
          if (!Buffer.from(body.buffer, body.byteOffset, body.length).includes(order)) continue;
          const { ops, payload } = decode(body) as Message;
          // An empty list places nothing.
          if (!ops.some(({ name }) => name === order) || (payload["instances"] as unknown[]).length === 0) continue;
          const silent = nodes.filter(({ id, state }) => state === "alive" && before?.has(id) !== false && !told.get(process)!.has(id));
          if (silent.length > 0) fail("placement waits", `the FTM of ${node.name} orders ${nodeOf(peer)} before it knows what runs on ${silent.map(({ name }) => name).join(", ")}`);
          const registered = nodes.filter(({ state, replaced }) => state !== "left" && !replaced);
          const heard = registered.filter(({ id }) => answered.get(process)!.has(id) || told.get(process)!.has(id));
          if (registered.length > 2 && 2 * heard.length <= registered.length) {
            fail("placement waits", `the FTM of ${node.name} orders ${nodeOf(peer)} after ${heard.length} of ${registered.length} nodes have answered`);
          }
        }
      }
    },
  };
}
