/**
 * The core is deterministic: it imports nothing from outside but cbor-x and
 * nanoid, each in one file, and uses no clock, timer, randomness, async code or
 * maths that differs between engines. This check bundles core/ alone and looks at
 * what is left of it.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type Token, tokens } from "./source_tokens.ts";
import { root, tool } from "./tools.mjs";

/** Packages the core may use, and where. */
const packages: { readonly [name: string]: string } = { "cbor-x": "core/codec.ts", nanoid: "core/id.ts" };

/** `Math` functions whose results the language standard fixes to the last bit. */
const exactMath = new Set("abs ceil clz32 floor imul max min round sign sqrt trunc".split(" "));

/** Globals that give time, chance, waiting, the outside, or an engine's opinion. */
const impureGlobals = new Set(
  (
    "Atomics Bun Date Deno FinalizationRegistry Intl Promise SharedArrayBuffer Temporal WeakRef WebSocket Worker " +
    "XMLHttpRequest clearImmediate clearInterval clearTimeout console crypto eval fetch global globalThis location " +
    "navigator performance process queueMicrotask require self setImmediate setInterval setTimeout window"
  ).split(" "),
);

/** Properties whose values depend on the engine, its language data or the machine. */
const impureProperties = /^(localeCompare|toLocale\w*|stack|asyncIterator|normalize)$/;

/**
 * Check `core/` below a folder.
 *
 * @returns One line per violation, empty if the core is pure.
 */
export function checkCore(folder: string): string[] {
  const files = globSync("core/**/*.ts", { cwd: folder }).sort();
  const output = mkdtempSync(join(tmpdir(), "armor-core-"));
  try {
    return [
      ...foreignImports(folder, files, output),
      ...files.flatMap((file) => impureNames(folder, file, output)),
    ];
  } finally {
    rmSync(output, { recursive: true, force: true });
  }
}

/** Bundle every file of the core; whatever the bundle takes from elsewhere is a violation. */
function foreignImports(folder: string, files: readonly string[], output: string): string[] {
  const metafile = join(output, "meta.json");
  const error = esbuild(folder, [
    ...files,
    "--bundle",
    "--packages=external",
    "--platform=neutral",
    "--tree-shaking=false",
    `--outdir=${join(output, "bundle")}`,
    "--outbase=.",
    `--metafile=${metafile}`,
  ]);
  if (error !== "" || !existsSync(metafile)) return [`core: cannot bundle: ${error}`];
  const found: string[] = [];
  const { inputs } = JSON.parse(readFileSync(metafile, "utf8")) as {
    inputs: { [file: string]: { imports: { path: string; external?: boolean }[] } };
  };
  for (const [file, { imports }] of Object.entries(inputs)) {
    for (const { path, external } of imports) {
      const allowed = external === true ? packages[packageName(path)] === file : path.startsWith("core/");
      if (!allowed) found.push(`${file}: imports ${JSON.stringify(path)} from outside core/`);
    }
  }
  return found;
}

/** `@scope/name/part` → `@scope/name`. */
function packageName(path: string): string {
  return path
    .split("/")
    .slice(0, path.startsWith("@") ? 2 : 1)
    .join("/");
}

/** What one file uses once its types are gone and its own names are renamed. */
function impureNames(folder: string, file: string, output: string): string[] {
  const path = join(output, "one.js");
  const error = esbuild(folder, [file, "--format=esm", "--minify-identifiers", `--outfile=${path}`]);
  if (error !== "") return [`${file}: cannot be read: ${error}`];
  const list = tokens(readFileSync(path, "utf8"));
  const original = tokens(readFileSync(join(folder, file), "utf8"));
  const found = new Set<string>();
  for (const index of list.keys()) {
    const name = impurity(list, index);
    if (name === undefined) continue;
    const lines = original.filter(({ value }) => value === name.split(".").at(-1)).map(({ line }) => line);
    found.add(`${file}:${lines.join(",")}: uses ${name}`);
  }
  return [...found];
}

/** @returns What is impure about one token, if anything. */
function impurity(list: readonly Token[], index: number): string | undefined {
  const { kind, value } = list[index]!;
  const before = list[index - 1]?.value;
  const after = list[index + 1]?.value;
  if (kind === "sign") {
    return value === "**=" || (value === "**" && !isPowerOfTwo(list[index - 1])) ? value : undefined;
  }
  if (kind === "text") {
    const computed = before === "[" && after === "]" && list[index - 2]?.kind !== "sign";
    return computed && (impureProperties.test(value) || impureGlobals.has(value)) ? value : undefined;
  }
  if (before === "." || before === "?.") return impureProperties.test(value) ? value : undefined;
  if (isDeclaredName(list, index)) return undefined;
  if (value === "Math") {
    const member = list[index + 2]?.value ?? "";
    return after === "." && exactMath.has(member) ? undefined : after === "." ? `Math.${member}` : "Math";
  }
  return value === "async" || value === "await" || impureGlobals.has(value) ? value : undefined;
}

/** Powers of two raised to whole numbers (`256 ** width`) are exact on every engine; other bases differ in the last bit. */
function isPowerOfTwo(token: Token | undefined): boolean {
  if (token?.kind !== "text" || !/^\d+n?$/.test(token.value)) return false;
  const value = BigInt(token.value.replace("n", ""));
  return value > 0n && (value & (value - 1n)) === 0n;
}

/** Whether the name at `index` is a key, a field, a method or an export rather than a use. */
function isDeclaredName(list: readonly Token[], index: number): boolean {
  const before = list[index - 1]?.value;
  const after = list[index + 1]?.value;
  if (before === "as") return true;
  if (after === ":" && (before === "{" || before === ",")) return true;
  if (/^[{};]$/.test(before ?? "") && (after === ";" || after === "=")) return true;
  if (after !== "(") return false;
  let depth = 0;
  let at = index + 1;
  do {
    if (list[at]?.value === "(") depth++;
    if (list[at]?.value === ")") depth--;
    at++;
  } while (depth > 0 && at < list.length);
  return list[at]?.value === "{";
}

/** @returns esbuild's complaint, empty if it had none. */
function esbuild(folder: string, args: readonly string[]): string {
  const run = spawnSync(tool("esbuild"), [...args, "--log-level=error", "--target=esnext"], {
    cwd: folder,
    encoding: "utf8",
  });
  return run.status === 0 ? "" : run.stderr.trim() || "esbuild failed";
}

if (import.meta.main) {
  const found = checkCore(root);
  for (const line of found) console.error(line);
  console.log(found.length === 0 ? "core is pure" : `${found.length} violations in core/`);
  process.exitCode = found.length === 0 ? 0 : 1;
}
