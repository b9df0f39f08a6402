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
import type { NodeView } from "../../../armors/elements/node_view.ts";
import type { FtmBegin } from "../../../armors/elements/takeover.ts";
import { nodeOf } from "../../../armors/shapes.ts";
import type { SimProcess } from "../sim_processes.ts";
import type { Checker, Fail } from "./checker.ts";

const order = "instances.assign";

/** Compares what an FTM orders with what it has been told. */
export function placementWaits(fail: Fail): Checker {
  const answered = new WeakMap<SimProcess, Set<string>>();
  const told = new WeakMap<SimProcess, Set<string>>();
  /** What was wrong with each decision since the last step, by the nodes that it knew of: one that joins later in the same step, or is heard again, is not among them. */
  const wrongs = new WeakMap<SimProcess, (string | undefined)[]>();
  const wrongWith = (process: SimProcess, nodes: readonly NodeView[]): string | undefined => {
    const silent = nodes.filter(({ id, state }) => state === "alive" && !told.get(process)!.has(id));
    if (silent.length > 0) return `before it knows what runs on ${silent.map(({ name }) => name).join(", ")}`;
    const registered = nodes.filter(({ state, replaced }) => state !== "left" && !replaced);
    const heard = registered.filter(({ id }) => answered.get(process)!.has(id) || told.get(process)!.has(id));
    return registered.length > 2 && 2 * heard.length <= registered.length ? `after ${heard.length} of ${registered.length} nodes have answered` : undefined;
  };
  return {
    made: ({ process, kernel }) => {
      if (kernel.armor === "ftm") answered.set(process, new Set()) && told.set(process, new Set()) && wrongs.set(process, []);
    },
    handling: ({ process }, op, { payload }) => {
      if (op === "placement.decide") wrongs.get(process)?.push(wrongWith(process, payload["nodes"] as unknown as NodeView[]));
      else if (op === "ftm.begin") for (const { node } of (payload["begin"] as FtmBegin).reports) answered.get(process)?.add(node);
      else if (op === "instances.told") told.get(process)?.add(String(payload["node"]));
      else if (op === "armors.told") answered.get(process)?.add(String(payload["node"]));
    },
    stepped: ({ process, kernel, node }, _event, { commits }) => {
      if (kernel.armor !== "ftm") return;
      const decisions = wrongs.get(process)!.splice(0);
      for (const { sent = [] } of commits) {
        for (const { peer, body } of sent) {
          if (!Buffer.from(body.buffer, body.byteOffset, body.length).includes(order)) continue;
          const { ops, payload } = decode(body) as Message;
          // An empty list places nothing.
          if (!ops.some(({ name }) => name === order) || (payload["instances"] as unknown[]).length === 0) continue;
          if (decisions.every((wrong) => wrong !== undefined)) fail("placement waits", `the FTM of ${node.name} orders ${nodeOf(peer)} ${decisions[0] ?? "without a decision"}`);
        }
      }
    },
  };
}
