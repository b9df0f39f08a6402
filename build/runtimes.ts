/**
 * The runtimes that executables are made from, one for each target: the platform
 * packages of the pinned `bun`, checked against package-lock.json.
 *
 * @module
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { root } from "./tools.mjs";

/** A kind of machine that Armor is built for. */
export interface Target {
  /** Part of the executable's name. */
  readonly name: string;
  /** Bun's name of it. */
  readonly bun: string;
  /** The registry package that holds its runtime. */
  readonly package: string;
}

/** All targets of a release. */
export const targets: readonly Target[] = [
  { name: "linux-x64", bun: "bun-linux-x64", package: "@oven/bun-linux-x64" },
  { name: "linux-arm64", bun: "bun-linux-arm64", package: "@oven/bun-linux-aarch64" },
  { name: "linux-x64-musl", bun: "bun-linux-x64-musl", package: "@oven/bun-linux-x64-musl" },
  { name: "linux-arm64-musl", bun: "bun-linux-arm64-musl", package: "@oven/bun-linux-aarch64-musl" },
];

/** The target of a name. @throws {Error} If there is none. */
export function targetOf(name: string): Target {
  const found = targets.find((target) => target.name === name);
  if (!found) throw new Error(`Cannot build "${name}": use ${targets.map((target) => target.name).join(", ")}`);
  return found;
}

/** What package-lock.json says of a package. */
interface Pinned {
  readonly version: string;
  readonly integrity: string;
}

/**
 * Find a target's runtime: in node_modules, or fetched with npm into
 * node_modules/.cache the first time.
 *
 * @returns Path of the executable.
 * @throws {Error} If npm cannot get it, or it is not what package-lock.json pins.
 */
export function runtimeOf(target: Target): string {
  const pinned = pinnedPackage(target.package);
  const installed = join(root, "node_modules", target.package);
  if (isWhole(join(installed, "bin", "bun")) && versionOf(installed) === pinned.version) return join(installed, "bin", "bun");

  const cache = join(root, "node_modules", ".cache", "armor-runtimes");
  const path = join(cache, `${target.bun}-${pinned.version}`);
  if (isWhole(path)) return path;
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(cache, ".fetch-"));
  try {
    const archive = join(work, fetchPackage(`${target.package}@${pinned.version}`, work));
    verify(readFileSync(archive), pinned.integrity, target.package);
    const tar = spawnSync("tar", ["-xzf", archive, "-C", work, "package/bin/bun"], { encoding: "utf8" });
    if (tar.status !== 0) throw new Error(`Cannot unpack ${target.package}: ${tar.error?.message ?? tar.stderr.trim()}`);
    const fetched = join(work, "package", "bin", "bun");
    chmodSync(fetched, 0o755);
    renameSync(fetched, path);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  return path;
}

/**
 * Check a package's archive.
 *
 * @param integrity As in package-lock.json: `sha512-` and a hash in base 64.
 * @throws {Error} If the archive is another.
 */
export function verify(archive: Uint8Array, integrity: string, name: string): void {
  const found = `sha512-${createHash("sha512").update(archive).digest("base64")}`;
  if (found !== integrity) throw new Error(`Cannot use ${name}: its archive is not the one that package-lock.json pins`);
}

function pinnedPackage(name: string): Pinned {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")) as { packages: { [path: string]: Partial<Pinned> } };
  const { version, integrity } = packages[`node_modules/${name}`] ?? {};
  if (version === undefined || integrity === undefined) throw new Error(`Cannot find ${name} in package-lock.json`);
  return { version, integrity };
}

/** The placeholders that install scripts leave are small. */
function isWhole(path: string): boolean {
  return existsSync(path) && statSync(path).size > 1_000_000;
}

function versionOf(folder: string): unknown {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).version;
}

/** @returns The archive's file name in `folder`. */
function fetchPackage(wanted: string, folder: string): string {
  const run = spawnSync("npm", ["pack", "--silent", "--pack-destination", folder, wanted], { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  const name = run.stdout?.trim().split("\n").at(-1) ?? "";
  if (run.status !== 0 || name === "") throw new Error(`Cannot get ${wanted}: ${run.error?.message ?? (run.stderr.trim() || `npm pack ended with status ${run.status}`)}`);
  return name;
}
