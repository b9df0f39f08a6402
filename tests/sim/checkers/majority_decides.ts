/**
 * An FTM without a majority in reach declares nobody failed, moves nothing and
 * accepts nothing. With two nodes one is enough.
 *
 * @module
 */
import { Buffer } from "node:buffer";
import { decode } from "../../../core/codec.ts";
import type { KernelEvent } from "../../../core/kernel_event.ts";
import type { Message } from "../../../core/message.ts";
import type { NodeView } from "../../../armors/elements/node_view.ts";
import type { SimProcess } from "../sim_processes.ts";
import type { Checker, Fail } from "./checker.ts";

type Nodes = ReadonlyMap<string, NodeView>;

/** Compares what an FTM does with whom it holds alive. */
export function majorityDecides(fail: Fail): Checker {
  const before = new WeakMap<SimProcess, Nodes>();
  return {
    stepped: ({ process, kernel, node }, event, { commits }) => {
      if (kernel.armor !== "ftm") return;
      const { nodes } = kernel.volatile("registration") as { nodes: Nodes };
      const last = before.get(process);
      before.set(process, nodes);
      // In one step it may decide first and then miss another node: of these two either may come first.
      const inReach = hasMajority(nodes) || (last !== undefined && hasMajority(last));
      if (last && last !== nodes && !inReach) {
        const failed = [...nodes.values()].filter(({ id, state }) => state === "failed" && last.has(id) && last.get(id)!.state !== "failed");
        for (const { name } of failed) fail("majority decides", `the FTM of ${node.name} declares ${name} failed without a majority`);
      }
      if (inReach || event.kind === "start") return;
      for (const { sent = [], set } of commits) {
        if (sent.some(({ body }) => says(body, "application.moved") && isNote(body))) fail("majority decides", `the FTM of ${node.name} moves instances without a majority`);
        const changed = Object.keys(set?.["application_table"] ?? {}).filter((key) => key.startsWith("app:"));
        if (changed.length > 0 && isOperation(event)) fail("majority decides", `the FTM of ${node.name} accepts a change of ${changed.join(", ")} without a majority`);
      }
    },
  };
}

/** Of those that count; of two one is enough. */
function hasMajority(nodes: Nodes): boolean {
  const voters = [...nodes.values()].filter(({ state, replaced }) => state !== "left" && !replaced);
  const inReach = voters.filter(({ state }) => state === "alive" || state === "draining").length;
  return voters.length <= 2 ? inReach > 0 : 2 * inReach > voters.length;
}

/** An operator's request has just come. */
function isOperation(event: KernelEvent): boolean {
  if (event.kind !== "frame" || event.frame.type !== "data") return false;
  return (decode(event.frame.body) as Message).ops[0]!.name.startsWith("application.");
}

/** An event of its own, not one that it passes on. */
function isNote(body: Uint8Array): boolean {
  return (decode(body) as Message).ops[0]!.name === "events.note";
}

function says(body: Uint8Array, word: string): boolean {
  return Buffer.from(body.buffer, body.byteOffset, body.length).includes(word);
}
