/**
 * Every block of commands in the documents is executed by a test, or says that it
 * is for trying by hand.
 */
import { describe, expect, test } from "bun:test";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../build/tools.mjs";

const pages = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", ...globSync("{bench,docs,examples}/**/*.md", { cwd: root }).sort()];
const tests = globSync("tests/docs/*_test.ts", { cwd: root }).map((file) => readFileSync(join(root, file), "utf8"));

/** Info strings of a page's fenced blocks: every second fence opens one. */
function fences(page: string): string[] {
  return [...readFileSync(join(root, page), "utf8").matchAll(/^ *```(.*)$/gm)].filter((_fence, index) => index % 2 === 0).map(([, info]) => info!);
}

describe.each(pages)("%s", (page) => {
  test("says of each block what it is; commands are `sh test`, or `sh by hand`", () => {
    expect(fences(page).filter((info) => !/^(sh test|sh by hand|text|toml|ini|ts)$/.test(info))).toEqual([]);
  });

  test("is executed by a test if it has commands for that", () => {
    if (!fences(page).includes("sh test")) return;
    const name = page.split("/").at(-1)!;
    expect(tests.filter((text) => text.includes(`"${name}"`)).length).toBeGreaterThan(0);
  });
});
