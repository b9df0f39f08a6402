/**
 * Bundle the program and all it imports into one file, `dist/armor.mjs`, which Bun and
 * Deno run and which becomes the executable. Dynamic imports stay lazy: esbuild
 * wraps each such module in a function that the first import calls.
 *
 * @module
 */
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { basename, join } from "node:path";
import process from "node:process";
import { checkCore } from "./core_purity.ts";
import { root, tool } from "./tools.mjs";

process.env["ESBUILD_BINARY_PATH"] ??= tool("esbuild");
const { build } = await import("esbuild");

const builtins = new Set(builtinModules);

/** The bundle's text, in one file. */
export async function bundle(): Promise<string> {
  const [file] = await bundleFiles(false);
  return file!.text;
}

/**
 * The bundle with lazily imported parts in files of their own: what a process
 * does not import it does not load, which saves memory and start-up time.
 */
export async function bundleParts(): Promise<{ readonly name: string; readonly text: string }[]> {
  return await bundleFiles(true);
}

async function bundleFiles(splitting: boolean): Promise<{ name: string; text: string }[]> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [{ in: "armors/program.ts", out: "armor" }],
    outdir: "dist",
    outExtension: { ".js": ".mjs" },
    splitting,
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    target: "esnext",
    external: ["bun:*"],
    legalComments: "none",
    logLevel: "silent",
    plugins: [
      {
        // CommonJS packages ask for built-in modules by require(), which ESM does not have on Deno.
        name: "required-builtins",
        setup(setup) {
          setup.onResolve({ filter: /^[a-z_:/0-9]+$/ }, ({ path, kind }) => {
            const name = path.replace(/^node:/, "");
            return kind === "require-call" && builtins.has(name)
              ? { path: name, namespace: "builtin" }
              : undefined;
          });
          setup.onLoad({ filter: /.*/, namespace: "builtin" }, ({ path }) => ({
            contents: `module.exports = process.getBuiltinModule(${JSON.stringify(`node:${path}`)});`,
          }));
        },
      },
    ],
  });
  return result.outputFiles.map(({ path, text }) => ({ name: basename(path), text }));
}

/** Write a file so that readers see the old or the new one, whole. */
export function writeWhole(path: string, content: string | Uint8Array, mode = 0o644): void {
  mkdirSync(join(path, ".."), { recursive: true });
  const temporary = `${path}.${process.pid}`;
  try {
    writeFileSync(temporary, content, { mode });
    renameSync(temporary, path);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** Bundle into dist/armor.mjs, after core/ has passed its checks. */
export async function writeBundle(): Promise<string> {
  const impurities = checkCore(root);
  if (impurities.length > 0)
    throw new Error(`Cannot bundle, core/ is not pure:\n  ${impurities.join("\n  ")}`);
  const path = join(root, "dist", "armor.mjs");
  writeWhole(path, await bundle());
  return path;
}

if (import.meta.main) console.log(await writeBundle());
