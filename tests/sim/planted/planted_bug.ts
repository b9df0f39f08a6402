/**
 * A planted bug: the sources with one mistake in them, bundled together with the
 * simulator. The product has no switch for it, and a mistake whose text is not
 * in the sources any more fails its test instead of proving nothing.
 *
 * @module
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { pathToFileURL } from "node:url";
import { root, tool } from "../../../build/tools.mjs";
import type { simulate } from "../simulate.ts";

process.env["ESBUILD_BINARY_PATH"] ??= tool("esbuild");
const { build } = await import("esbuild");

/** One text of a source file in the place of another. */
export interface Change {
  /** From the root of the repository. */
  readonly file: string;
  /** Stands there exactly once. */
  readonly text: string;
  readonly planted: string;
}

/** A mistake, and who must notice it. */
export interface PlantedBug {
  readonly name: string;
  readonly changes: readonly Change[];
  /** The rule that is broken: a checker's name, `not converged`, … */
  readonly rule: string;
  /** It is found within so many seeds, counted from 1. */
  readonly within: number;
  readonly nodes: number;
  /** Kinds of faults that bring it out, and how far they are apart. */
  readonly kinds: readonly string[];
  readonly pauseMs?: number;
  /** Programs that are run; all kinds otherwise. */
  readonly programs?: readonly string[];
}

/** @throws {Error} If the text is not there, or more than once. */
export function plant(source: string, { file, text, planted }: Change): string {
  const parts = source.split(text);
  if (parts.length !== 2) throw new Error(`${file} has the text ${parts.length - 1} times, not once: ${text}`);
  return parts.join(planted);
}

/** The simulator with this bug in it. */
export async function simulatorWith({ name, changes }: PlantedBug): Promise<typeof simulate> {
  const sources = new Map<string, string>();
  for (const change of changes) {
    const path = join(root, change.file);
    sources.set(path, plant(sources.get(path) ?? readFileSync(path, "utf8"), change));
  }
  const { outputFiles: [bundle] } = await build({
    absWorkingDir: root,
    entryPoints: ["tests/sim/simulate.ts"],
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "esnext",
    // What is installed is loaded as it is; sources that start when they are loaded are not started.
    packages: "external",
    define: { "import.meta.main": "false" },
    logLevel: "silent",
    plugins: [{
      name: "planted",
      setup: (setup) => setup.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const contents = sources.get(path);
        return contents === undefined ? undefined : { contents, loader: "ts" };
      }),
    }],
  });
  const folder = join(root, "dist", "planted");
  const file = join(folder, `${name.replaceAll(/[^a-z]+/g, "-")}.${process.pid}.mjs`);
  mkdirSync(folder, { recursive: true });
  try {
    writeFileSync(file, bundle!.contents);
    return ((await import(pathToFileURL(file).href)) as { simulate: typeof simulate }).simulate;
  } finally {
    rmSync(file, { force: true });
  }
}

/** Virtual time with faults: short, for a bug that is found is found early. */
const durationMs = 20_000;

/** Run seeds until one shows the bug. @returns How each ended. */
export async function findPlanted(bug: PlantedBug): Promise<string[]> {
  const { rule, within, nodes, kinds, pauseMs, programs } = bug;
  const simulator = await simulatorWith(bug);
  const failures: string[] = [];
  for (let seed = 1; seed <= within && !failures.at(-1)?.startsWith(rule); seed++) {
    const { failure } = await simulator(seed, { nodes, kinds, pauseMs, programs, durationMs });
    failures.push(failure);
  }
  return failures;
}
