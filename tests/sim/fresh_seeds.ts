/**
 * Fresh seeds: others for every state of the sources, so that each commit is
 * tried in clusters that none before it was, and the same commit always alike.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../build/tools.mjs";

/** What a run is a function of, besides its seed. */
const folders = ["core", "armors", "transports", "tests/sim"];
/** Seeds below are for people. */
const from = 1_000_000;

/** So many seeds, chosen by a hash of the sources. */
export function freshSeeds(count: number): readonly number[] {
  const hash = createHash("sha256");
  for (const folder of folders) {
    const names = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".ts")).sort();
    for (const name of names) hash.update(`${folder}/${name}\n`).update(readFileSync(join(root, folder, name)));
  }
  const bytes = hash.digest();
  return Array.from({ length: count }, (_, index) => from + (bytes.readUInt32BE(0) + index) % 1_000_000_000);
}
