/** Generations go forward, as far as anybody has heard of them. */
import { describe, expect, test } from "bun:test";
import type { Frame } from "../../core/frame.ts";
import type { Handling, Life } from "./checkers/checker.ts";
import { linesForward } from "./checkers/lines_forward.ts";

describe("an armor that begins in an older generation than it had", () => {
  /** Lives in these generations; one that speaks sends something. */
  const lead = (...lives: readonly { readonly counter: number; readonly speaks: boolean; readonly forgets?: string }[]): string[] => {
    const failures: string[] = [];
    const checker = linesForward((_rule, text) => failures.push(text));
    for (const { counter, speaks, forgets } of lives) {
      const kernel = { armor: "a", generation: { epoch: 1, node: "n", counter }, snapshot: () => ({ commit: 0 }) };
      const life = { kernel, node: { name: "n1" }, store: undefined } as unknown as Life;
      checker.made!(life);
      if (speaks) checker.sent!(life, {} as Frame);
      if (forgets) checker.handling!(life, "armor.forget", { payload: { forget: [forgets] } } as unknown as Handling);
    }
    return failures;
  };

  test("breaks the rule if something was said in that", () => {
    expect(lead({ counter: 2, speaks: true }, { counter: 1, speaks: false })).toEqual(["a of n1 is made in generation 1.n.1 after 1.n.2"]);
  });

  test("does not if it was removed and forgotten since; another one that was says nothing", () => {
    expect(lead({ counter: 2, speaks: true, forgets: "a" }, { counter: 1, speaks: false })).toEqual([]);
    expect(lead({ counter: 2, speaks: true, forgets: "b" }, { counter: 1, speaks: false })).toHaveLength(1);
  });

  test("does not if nothing was: nobody knows of it", () => {
    expect(lead({ counter: 1, speaks: true }, { counter: 2, speaks: false }, { counter: 1, speaks: true })).toEqual([]);
  });
});
