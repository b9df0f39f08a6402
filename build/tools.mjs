/**
 * Where the pinned tools are. Their binaries come inside registry packages named
 * after platform, processor and C library, and are called directly: nothing
 * relies on an install script having run, nor on one not having run.
 *
 * Plain JavaScript, because Node runs it before Bun is there.
 *
 * @module
 */
import { existsSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder of package.json. */
export const root = dirname(dirname(fileURLToPath(import.meta.url)));

const modules = join(root, "node_modules");
const { platform, arch } = process;

/** Whether this machine's C library is musl. */
export function onMusl() {
  if (platform !== "linux") return false;
  if (existsSync("/lib/ld-musl-x86_64.so.1") || existsSync("/lib/ld-musl-aarch64.so.1")) {
    return !existsSync("/lib64/ld-linux-x86-64.so.2") && !existsSync("/lib/ld-linux-aarch64.so.1");
  }
  return false;
}

/** Bun's name of the processor. */
const bunArch = arch === "arm64" ? "aarch64" : arch;
const musl = onMusl() ? "-musl" : "";

const candidates = {
  // Bun's install script moves the binary from its platform package into node_modules/bun.
  bun: [`@oven/bun-${platform}-${bunArch}${musl}/bin/bun`, "bun/bin/bun.exe"],
  deno: [`@deno/${platform}-${arch}${platform === "linux" ? "-glibc" : ""}/deno`, "deno/deno"],
  esbuild: [`@esbuild/${platform}-${arch}/bin/esbuild`],
  biome: [`@biomejs/cli-${platform}-${arch}${musl}/biome`],
  tsc: [`@typescript/typescript-${platform}-${arch}/lib/tsc`],
};

/**
 * Path of a tool's binary.
 *
 * @param {"bun" | "deno" | "esbuild" | "biome" | "tsc"} name
 * @returns {string | undefined} `undefined` if this platform has none installed.
 */
export function findTool(name) {
  for (const candidate of candidates[name]) {
    const path = join(modules, candidate);
    // The placeholders that install scripts replace are small text files.
    if (existsSync(path) && statSync(path).size > 1_000_000) return path;
  }
  return undefined;
}

/**
 * Path of a tool's binary.
 *
 * @param {"bun" | "deno" | "esbuild" | "biome" | "tsc"} name
 * @returns {string}
 * @throws {Error} If it is not installed.
 */
export function tool(name) {
  const path = findTool(name);
  if (path === undefined) {
    throw new Error(
      `Cannot find ${name} for ${platform}-${arch}${musl}: run "npm install --no-save --include=dev --include=optional"`,
    );
  }
  return path;
}
