/**
 * `npm run release`: the executables of all targets and their checksums, in
 * dist/release. The same commit gives the same bytes. With `--try` they are also
 * run, as far as this machine can.
 *
 * Usage: bun build/release.ts [--try] [TARGET…]
 *
 * @module
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import process from "node:process";
import { version } from "../armors/version.ts";
import { writeWhole } from "./bundle.ts";
import { compile } from "./compile.ts";
import { runtimeOf, type Target, targetOf, targets } from "./runtimes.ts";
import { root } from "./tools.mjs";
import { tryExecutable } from "./try_release.ts";

/** What to build, and where. */
export interface ReleaseOptions {
  /** Default: all. */
  readonly targets?: readonly Target[];
  /** Default: dist/release. Executables of other releases in it are deleted. */
  readonly folder?: string;
}

/** Name of a target's executable. */
export function releaseName(target: Target): string {
  return `armor-${version}-${target.name}`;
}

/**
 * Build the executables, and `SHA256SUMS` for `sha256sum --check`.
 *
 * @returns Their paths, in the order of the targets.
 */
export async function release({ targets: wanted = targets, folder = "dist/release" }: ReleaseOptions = {}): Promise<string[]> {
  const to = resolve(root, folder);
  mkdirSync(to, { recursive: true });
  // All there first: a release lacks nothing, or is not begun.
  const runtimes = wanted.map(runtimeOf);
  const paths: string[] = [];
  for (const [index, target] of wanted.entries()) {
    paths.push(await compile({ target: target.bun, runtime: runtimes[index]!, outfile: join(to, releaseName(target)) }));
  }
  const names = new Set(paths.map((path) => basename(path)));
  for (const name of readdirSync(to)) {
    if (/^\.?armor-/.test(name) && ![...names].some((kept) => name === kept || name === `.${kept}.hash`)) rmSync(join(to, name));
  }
  writeWhole(join(to, "SHA256SUMS"), paths.map(checksumLine).join(""));
  return paths;
}

function checksumLine(path: string): string {
  return `${createHash("sha256").update(readFileSync(path)).digest("hex")}  ${basename(path)}\n`;
}

if (import.meta.main) {
  try {
    const names = process.argv.slice(2).filter((name) => name !== "--try");
    const wanted = names.length > 0 ? names.map(targetOf) : targets;
    const paths = await release({ targets: wanted });
    for (const path of paths) console.log(path);
    if (process.argv.includes("--try")) {
      const trials = wanted.map((target, index) => tryExecutable(target, paths[index]!));
      for (const { target, result, why } of trials) console.log(`${target}: ${result} (${why})`);
      if (trials.some(({ result }) => result === "failed")) process.exitCode = 1;
    }
  } catch (error) {
    console.error(`armor: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
