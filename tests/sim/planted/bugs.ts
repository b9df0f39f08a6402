/**
 * Bugs that are planted to see that the checkers notice: each is a mistake that
 * somebody could make.
 *
 * @module
 */
import type { PlantedBug } from "./planted_bug.ts";

/** All of them; the table in docs/PROOF.md has the same names. */
export const plantedBugs: readonly PlantedBug[] = [
  {
    name: "placement before reports",
    changes: [{ file: "armors/elements/placement.ts", text: "  if (silent.length > 0) return;\n", planted: "" }],
    rule: "placement waits",
    within: 5,
    nodes: 3,
    kinds: ["crash-ftm"],
  },
  {
    name: "stale epoch obeyed",
    changes: [{
      file: "armors/elements/epoch_promise.ts",
      text: "        if (compareEpochs(epoch, state.promised) < 0) {\n          throw",
      planted: "        if (false) {\n          throw",
    }],
    rule: "promises kept",
    within: 5,
    nodes: 3,
    kinds: ["isolate", "pause-armor"],
  },
];
