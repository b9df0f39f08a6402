/**
 * What the host of an execution armor adds to the loop: programs, and an eye on
 * the guard and the daemon of its node.
 *
 * @module
 */
import type { ArmorKind } from "./armor_kind.ts";
import { type PairSystem, watchPair } from "./pair_watch.ts";
import { programHost, type ProgramSystem } from "./program_host.ts";

/** Its commands and blocking work. The watch begins at once: the daemon with which the armor has to register first may be the one that is stopped. */
export function executionHost(programs: ProgramSystem, pair: PairSystem): Required<Pick<ArmorKind, "command" | "work">> {
  const { command, work } = programHost(programs);
  const untold: [which: number, durationMs: number][] = [];
  let tell = (which: number, durationMs: number): void => void untold.push([which, durationMs]);
  watchPair(pair, (which, durationMs) => tell(which, durationMs));
  return {
    work,
    command: (one, local) => {
      if (one.kind !== "pair.watch") return command(one, local);
      const armors = one.args["pair"] as string[];
      tell = (which, durationMs) => local("pair.woken", { armor: armors[which]!, durationMs });
      for (const [which, durationMs] of untold.splice(0)) tell(which, durationMs);
    },
  };
}
