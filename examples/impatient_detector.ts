/**
 * A detector of one's own: it makes a daemon give up chosen armors at the first
 * suspicion (two unanswered asks) instead of waiting for four. Nothing of the
 * daemon is touched: it says the same micro-operation, `liveness.changed`, once
 * more with its own judgement, and whoever recovers armors acts on that.
 *
 *   armor element add daemon@n1 impatience --elements examples/impatient_detector.ts
 *   armor send daemon@n1 impatience.with '{"armor": "ID OF AN ARMOR ON n1"}'
 *
 * @module
 */
import type { ElementFactory } from "../mod.ts";

type State = { readonly armors: readonly string[] };

/** As `liveness.changed` carries it. */
type Change = { readonly id: string; readonly liveness: "alive" | "suspect" | "failed"; readonly silentMs: number };

const impatientDetector: ElementFactory = ({ element, op, OperationError }) =>
  element<State>({
    name: "impatience",
    version: 1,
    state: { armors: [] },
    uses: ["liveness.changed"],
    handlers: {
      "impatience.with": (state, thread) => {
        const { armor } = thread.payload;
        if (typeof armor !== "string") throw new OperationError("refused", "impatience.with needs the id of an armor");
        return state.armors.includes(armor) ? state : { armors: [...state.armors, armor] };
      },
      "liveness.changed": (state, thread) => {
        const changes = thread.payload["changes"] as readonly Change[];
        const given = changes.filter(({ id, liveness }) => liveness === "suspect" && state.armors.includes(id));
        if (given.length === 0) return;
        for (const { id, silentMs } of given) thread.event({ kind: "armor.given-up", subject: id, detectedBy: thread.self, durationMs: silentMs });
        // The op runs again after this one; the others of this message have had theirs.
        thread.payload["changes"] = given.map((change) => ({ ...change, liveness: "failed" }));
        thread.insert(op("liveness.changed"));
      },
    },
  });

export default impatientDetector;
