/**
 * Finding an application's program and giving it the standard environment.
 *
 * @module
 */
import { accessSync, constants, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { User } from "./user_lookup.ts";

/** Where commands are looked up unless the application's environment has a PATH. */
export const standardPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What was found for a command. */
export type ProgramLookup =
  | { readonly ok: true; readonly path: string }
  | { readonly ok: false; readonly reason: "missing" | "not-executable" | "is-directory"; readonly path: string };

/**
 * Find the program a command names: a path if it contains a slash (relative to
 * `directory`), else the first executable of that name along `path`.
 *
 * @param options.path Folders joined by colons; {@link standardPath} if absent.
 * @param options.directory Where relative paths start; `/` if absent.
 */
export function findProgram(
  command: string,
  options: { readonly path?: string | undefined; readonly directory?: string | undefined } = {},
): ProgramLookup {
  const directory = options.directory ?? "/";
  if (command === "") return { ok: false, reason: "missing", path: command };
  if (command.includes("/")) return judge(resolve(directory, command));
  let refused: ProgramLookup = { ok: false, reason: "missing", path: command };
  for (const folder of (options.path ?? standardPath).split(":")) {
    const found = judge(resolve(directory, join(folder, command)));
    if (found.ok) return found;
    if (found.reason === "not-executable") refused = found; // as shells do: a later one may be executable
  }
  return refused;
}

function judge(path: string): ProgramLookup {
  try {
    const stat = statSync(path);
    if (stat.isDirectory()) return { ok: false, reason: "is-directory", path };
    if (!stat.isFile()) return { ok: false, reason: "not-executable", path };
    accessSync(path, constants.X_OK);
    return { ok: true, path };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    return { ok: false, reason: code === "EACCES" || code === "EPERM" ? "not-executable" : "missing", path };
  }
}

/** One line for people: `"/x" does not exist`. */
export function lookupText(lookup: Extract<ProgramLookup, { ok: false }>): string {
  const path = JSON.stringify(lookup.path);
  switch (lookup.reason) {
    case "missing":
      return lookup.path.includes("/") ? `${path} does not exist` : `${path} is not found along PATH`;
    case "is-directory":
      return `${path} is a directory`;
    case "not-executable":
      return `${path} is not executable`;
  }
}

/** What every program finds in its environment; the application's own entries come on top. */
export function standardEnvironment(user: User): { [name: string]: string } {
  return {
    PATH: standardPath,
    HOME: user.home,
    USER: user.name,
    LOGNAME: user.name,
    SHELL: user.shell,
    LANG: "C.UTF-8",
  };
}
