/**
 * What the host of an execution armor adds to the loop: programs, and an eye on
 * the guard and the daemon of its node.
 *
 * @module
 */
import type { ArmorKind } from "./armor_kind.ts";
import { type PairSystem, watchPair } from "./pair_watch.ts";
import { programHost, type ProgramSystem } from "./program_host.ts";

/** Its commands and blocking work. */
export function executionHost(programs: ProgramSystem, pair: PairSystem): Required<Pick<ArmorKind, "command" | "work">> {
  const { command, work } = programHost(programs);
  return {
    work,
    command: (one, local) => {
      if (one.kind !== "pair.watch") return command(one, local);
      const armors = one.args["pair"] as string[];
      watchPair(pair, (which, durationMs) => local("pair.woken", { armor: armors[which]!, durationMs }));
    },
  };
}
