/**
 * Pair watch: guard and daemon of a node replace each other, so if both are
 * stopped at once nobody is left to do it. The execution armor of their node
 * lets them go on.
 *
 * @module
 */
import { type Element, element } from "../../core/element.ts";
import type { ArmorId } from "../../core/micro_operation.ts";

/** The host looks and wakes; this element tells of it. */
export function pairWatch(node: string): Element {
  return element({
    name: "pair_watch",
    version: 1,
    state: {},
    handlers: {
      "armor.started": (_state, thread) => thread.command({ kind: "pair.watch", args: { pair: [`guard@${node}`, `daemon@${node}`] } }),
      "pair.woken": (_state, thread) => {
        const { armor, durationMs } = thread.payload as { armor: ArmorId; durationMs: number };
        thread.event({ kind: "armor.woken", subject: armor, node, cause: "stopped", detectedBy: thread.self, durationMs });
      },
    },
  });
}
