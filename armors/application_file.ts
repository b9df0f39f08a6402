/**
 * Application files, and the initial configuration of a cluster, which holds
 * applications in the same form.
 *
 * @module
 */
import { UsageError } from "../core/errors.ts";
import type { Application } from "./application.ts";
import { parseApplication } from "./application_schema.ts";
import type { TomlTable } from "./toml_file.ts";

/** What a new cluster starts with. */
export interface Configuration {
  readonly applications: readonly Application[];
}

/**
 * The applications of a file: its top level is one, or `[[application]]` holds
 * several. All are checked before any is returned.
 *
 * @param path For the error.
 * @throws {UsageError} One line that names file, application, field and fix.
 */
export function applicationsOf(table: TomlTable, path: string): Application[] {
  if (!("application" in table)) {
    if (Object.keys(table).length === 0) throw new UsageError(`${path}: it holds no application: give name and command`);
    return [check(table, path)];
  }
  const beside = Object.keys(table).find((key) => key !== "application");
  if (beside !== undefined) {
    throw new UsageError(`${path}: "${beside}" stands beside [[application]]: put it below the application it belongs to`);
  }
  return listed(table, path);
}

/**
 * The initial configuration in a file.
 *
 * @throws {UsageError} As above.
 */
export function configurationOf(table: TomlTable, path: string): Configuration {
  const unknown = Object.keys(table).find((key) => key !== "application");
  if (unknown !== undefined) {
    throw new UsageError(`${path}: "${unknown}" is no setting of a cluster: use [[application]]`);
  }
  const applications = listed(table, path);
  const singleton = applications.find((one) => one.singleton);
  if (singleton) {
    throw new UsageError(`${path}: application "${singleton.name}": singleton is not available yet: leave it out`);
  }
  return { applications };
}

function listed(table: TomlTable, path: string): Application[] {
  const list = table["application"] ?? [];
  if (!Array.isArray(list)) throw new UsageError(`${path}: application must be a list of tables: write [[application]]`);
  const applications = list.map((input: unknown, index) => check(input, path, index));
  const names = new Set<string>();
  for (const { name } of applications) {
    if (names.has(name)) throw new UsageError(`${path}: application "${name}" stands there twice: rename one`);
    names.add(name);
  }
  return applications;
}

function check(input: unknown, path: string, index?: number): Application {
  try {
    return parseApplication(input);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    const name = (input as { name?: unknown } | null)?.name;
    const which = typeof name === "string" && /^[\w.-]{1,63}$/.test(name) ? `application "${name}"` : index === undefined ? "" : `application ${index + 1}`;
    throw new UsageError(`${path}: ${which === "" ? "" : `${which}: `}${error.message}`);
  }
}
