/** Each planted bug is found by its rule; docs/PROOF.md has all of them. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../../build/tools.mjs";
import { plantedBugs } from "./bugs.ts";
import { findPlanted, plant } from "./planted_bug.ts";

describe("a planted bug is found", () => {
  for (const bug of plantedBugs) {
    test(`${bug.name}: "${bug.rule}" within ${bug.within} seeds`, async () => {
      const failures = await findPlanted(bug);
      expect(failures.at(-1)).toStartWith(bug.rule);
    }, 170_000);
  }
});

test("a bug is not planted where its text is not, or twice", () => {
  const change = { file: "x.ts", text: "a < b", planted: "a <= b" };
  expect(plant("if (a < b) run();", change)).toBe("if (a <= b) run();");
  expect(() => plant("if (b > a) run();", change)).toThrow("0 times");
  expect(() => plant("a < b && a < b", change)).toThrow("2 times");
});

test("docs/PROOF.md lists the planted bugs, who finds them, and within how many seeds", () => {
  const page = readFileSync(join(root, "docs/PROOF.md"), "utf8");
  const rows = plantedBugs.map(({ name, rule, within }) => `| ${name} | ${rule} | ${within} |`);
  expect(rows.filter((row) => !page.includes(row))).toEqual([]);
  expect(new Set(plantedBugs.map(({ name }) => name)).size).toBe(plantedBugs.length);
});
