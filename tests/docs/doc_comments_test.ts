/**
 * Doc comments: everything that mod.ts exports has one, and the examples in them
 * run.
 */
import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { findTool, root } from "../../build/tools.mjs";

const deno = findTool("deno");
if (deno === undefined) console.log("skipped: doc comments: there is no Deno for this platform");

const files = globSync("{mod.ts,{armors,cli,core,transports}/**/*.ts}", { cwd: root }).sort();
const withExamples = files.filter((file) => /^ \* ```ts$/m.test(readFileSync(join(root, file), "utf8")));

function runDeno(...args: string[]): { readonly status: number | null; readonly output: string } {
  const env = { ...process.env, DENO_DIR: process.env["DENO_DIR"] ?? join(root, "dist", ".deno"), NO_COLOR: "1" };
  const { status, stdout, stderr } = spawnSync(deno!, args, { cwd: root, env, encoding: "utf8", timeout: 50_000 });
  return { status, output: `${stdout}${stderr}` };
}

describe.skipIf(deno === undefined)("doc comments", () => {
  test("nothing that mod.ts exports is without one, or refers to what it does not export", () => {
    const { status, output } = runDeno("doc", "--lint", "mod.ts");
    expect(status, output).toBe(0);
  }, 60_000);

  test(`their examples run (${withExamples.length} files)`, () => {
    const { status, output } = runDeno("test", "-A", "--doc", "--no-check", "--quiet", ...withExamples);
    expect(status, output).toBe(0);
    // `console.assert` says so and goes on.
    expect(output).not.toContain("Assertion failed");
    for (const file of withExamples) expect(output).toContain(`running 1 test from ./${file}#`);
  }, 60_000);

  test("every function and class it exports has an example", () => {
    const { output } = runDeno("doc", "--json", "mod.ts");
    const text = output.slice(output.indexOf("{"), output.lastIndexOf("}") + 1);
    const found = exportedSymbols(JSON.parse(text)).filter(({ kind }) => /^(function|class)$/.test(kind));
    expect(found.map(({ name }) => name)).toContain("element");
    const lacking = found.filter(({ example }) => !example);
    expect(lacking.map(({ name }) => name)).toEqual([]);
  }, 60_000);
});

interface Exported {
  readonly name: string;
  readonly kind: string;
  readonly example: boolean;
}

/** Deno's versions nest them differently: whatever has a name, a kind and a place is one. */
function exportedSymbols(value: unknown): Exported[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap(exportedSymbols);
  const { name, declarations } = value as { name?: unknown; declarations?: unknown };
  if (typeof name === "string" && Array.isArray(declarations)) {
    return declarations.map(({ kind, jsDoc }) => ({ name, kind, example: (jsDoc?.tags ?? []).some((tag: { kind: string }) => tag.kind === "example") }));
  }
  return Object.values(value).flatMap(exportedSymbols);
}
