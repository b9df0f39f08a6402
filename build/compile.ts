/**
 * Build `dist/armor`, the one executable: bundle, then Bun's compiler with
 * bytecode and a runtime whose own switches are taken out.
 *
 * A Bun executable obeys two environment variables before any of its program
 * runs: BUN_BE_BUN makes it Bun itself, BUN_OPTIONS gives it options such as
 * `--preload FILE`. A program cannot refuse what happens before it starts, so
 * their names are made unreachable in the executable; Armor then sees the variables
 * like any others and refuses them (armors/environment.ts).
 *
 * Usage: bun build/compile.ts [--outfile=PATH] [--target=NAME --runtime=PATH]
 * where NAME is Bun's name of another machine, such as bun-linux-arm64, and PATH
 * that machine's Bun.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, globSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { bundle, bundleParts, writeWhole } from "./bundle.ts";
import { checkCore } from "./core_purity.ts";
import { root, tool } from "./tools.mjs";

/** Variables the runtime obeys before the program starts. */
const switches = ["BUN_BE_BUN", "BUN_OPTIONS", "BUN_INSPECT_PRELOAD"];

/** Everything the executable is made from. */
const inputs = [
  "mod.ts",
  "{armors,build,cli,console,core,examples,transports}/**/*.{ts,mjs,js,html,css,svg,toml}",
  "package.json",
  "package-lock.json",
  "node_modules/.package-lock.json",
];

const flags = [
  "--compile",
  "--bytecode",
  "--splitting",
  // Compilers start 100 times later: 3–4 MiB less per process, which computes next to nothing; a busy one catches up.
  "--compile-jit-policy=100",
  "--format=esm",
  "--target=bun",
  "--minify-whitespace",
  "--minify-syntax",
  "--no-compile-autoload-dotenv",
  "--no-compile-autoload-bunfig",
  "--no-compile-autoload-tsconfig",
  "--no-compile-autoload-package-json",
  // A smaller heap: collected sooner, at a cost that no armor notices.
  "--compile-exec-argv=--smol",
];

/** Where to put the executable, and for which machine it is. */
export interface CompileOptions {
  /** Bun's name of the target machine, and a Bun of that machine; default: this one. */
  readonly target?: string;
  readonly runtime?: string;
  /** Default: dist/armor. */
  readonly outfile?: string;
}

/**
 * Build the executable unless one made from the same inputs is there. Several
 * builds at once do no harm: each works in a folder of its own and moves its
 * result into place.
 *
 * @returns Its path.
 */
export async function compile(options: CompileOptions = {}): Promise<string> {
  const outfile = resolve(root, options.outfile ?? "dist/armor");
  const hashFile = join(outfile, "..", `.${outfile.split("/").at(-1)}.hash`);
  const hash = inputHash(options.target ?? `${process.platform}-${process.arch}`);
  if (existsSync(outfile) && existsSync(hashFile) && readFileSync(hashFile, "utf8") === hash) return outfile;

  const impurities = checkCore(root);
  if (impurities.length > 0)
    throw new Error(`Cannot build, core/ is not pure:\n  ${impurities.join("\n  ")}`);
  writeWhole(join(root, "dist", "armor.mjs"), await bundle());

  const work = mkdtempSync(join(root, "dist", ".build-"));
  try {
    for (const { name, text } of await bundleParts()) writeWhole(join(work, name), text);
    const runtime = readFileSync(resolve(root, options.runtime ?? tool("bun")));
    writeWhole(join(work, "runtime"), withoutSwitches(runtime), 0o755);
    const target = [`--compile-executable-path=${join(work, "runtime")}`];
    if (options.target !== undefined) target.push(`--target=${options.target}`);
    // Built in its own folder: Bun would read a bunfig.toml or .env of the current one.
    const run = spawnSync(tool("bun"), ["build", "armor.mjs", ...flags, ...target, "--outfile=armor"], {
      cwd: work,
      encoding: "utf8",
    });
    if (run.status !== 0) throw new Error(`Cannot compile: ${run.stderr.trim() || run.stdout.trim()}`);
    const built = join(work, "armor");
    chmodSync(built, 0o755);
    renameSync(built, outfile);
    writeWhole(hashFile, hash);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return outfile;
}

function inputHash(target: string): string {
  const hash = createHash("sha256").update(target).update(flags.join(" "));
  for (const file of globSync(inputs, { cwd: root }).sort()) {
    hash.update(`\0${file}\0`).update(readFileSync(join(root, file)));
  }
  return hash.digest("hex");
}

/**
 * Make a runtime's switches unreachable: the first letter of their names becomes
 * `=`, which no environment variable's name can contain.
 *
 * @throws {Error} If a name does not stand exactly once in it: another version of
 *   the runtime needs another look.
 */
export function withoutSwitches(runtime: Buffer): Buffer {
  if (!runtime.subarray(0, 4).equals(Buffer.from("\x7fELF"))) return runtime;
  for (const name of switches) {
    const pattern = Buffer.from(`\0${name}\0`);
    const at = runtime.indexOf(pattern);
    if (at < 0 || runtime.indexOf(pattern, at + 1) >= 0) {
      throw new Error(`Cannot take ${name} out of the runtime: its name does not stand there exactly once`);
    }
    runtime[at + 1] = "=".charCodeAt(0);
  }
  return runtime;
}

if (import.meta.main) {
  const value = (name: string) =>
    process.argv.find((argument) => argument.startsWith(`--${name}=`))?.slice(name.length + 3);
  const [target, runtime, outfile] = [value("target"), value("runtime"), value("outfile")];
  try {
    const path = await compile({
      ...(target && { target }),
      ...(runtime && { runtime }),
      ...(outfile && { outfile }),
    });
    console.log(path);
  } catch (error) {
    console.error(`armor: ${(error as Error).message}`);
    process.exitCode = 1;
  }
}
