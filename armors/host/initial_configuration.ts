/**
 * The initial configuration on its way into a new cluster: read from the
 * operator's file before anything starts, kept in the data dir until the FTM
 * has taken it over.
 *
 * @module
 */
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { decode, encode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import type { Application } from "../application.ts";
import { type Configuration, configurationOf } from "../application_file.ts";
import type { RoleOptions } from "./role_flags.ts";
import type { DataDir } from "./data_dir.ts";
import { writeDurably } from "./durable_file.ts";

/**
 * The configuration of a node that is about to start a cluster of its own, or will if it finds none.
 *
 * @returns `undefined` for every other node: it is read once.
 * @throws {ArmorError} `"usage"` naming file, field and fix; `"file"` if it cannot be read.
 */
export async function readConfiguration({ config, join: [first], dataDir, listen, advertise }: RoleOptions): Promise<Configuration | undefined> {
  const mayStart = first === undefined || first === (advertise ?? listen);
  if (config === undefined || !mayStart || existsSync(join(dataDir, "identity.cbor"))) return undefined;
  const { readTomlFile } = await import("../toml_file.ts");
  return configurationOf(readTomlFile(config), config);
}

/** Keep it; before the node has an identity, so that a node that has one has it too. */
export function storeConfiguration(data: DataDir, { applications }: Configuration): void {
  writeDurably(data.configuration, encode({ applications } as unknown as Data));
}

/** What the FTM has not taken over yet. */
export function storedApplications(data: DataDir): readonly Application[] | undefined {
  if (!existsSync(data.configuration)) return undefined;
  return (decode(readFileSync(data.configuration)) as unknown as Configuration).applications;
}

/** The FTM has it. */
export function forgetConfiguration(data: DataDir): void {
  rmSync(data.configuration, { force: true });
}
