/**
 * From an application's words to the command line that runs them here: the
 * program's path behind the tools that change session, user and environment.
 *
 * Where the user is changed, root runs some of those tools first, and the program's
 * environment is that user's: the loader, the C library and shells would obey it
 * (`LD_PRELOAD`, `GCONV_PATH`, functions for bash, …). So root gets all of it under
 * names that mean nothing, and a shell of the user's gives the names back. Arguments
 * may be read by everybody, so its script holds names, and no values.
 *
 * @module
 */
import { statSync } from "node:fs";
import process from "node:process";
import { findProgram, lookupText, standardPath } from "./program_lookup.ts";
import type { User } from "./user_lookup.ts";

/** What is to be run. */
export interface ProgramOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** All of the program's environment. */
  readonly env: { readonly [name: string]: string };
  /** Absolute. */
  readonly directory: string;
  /** Run as this user; only root can name another. */
  readonly user?: User | undefined;
}

/** The command line; the first word is an absolute path. */
export interface ProgramCommand {
  readonly argv: readonly [string, ...string[]];
  readonly switchUser: boolean;
  /** What the command line is to be started with; from it the program gets all of its own. */
  readonly env: { readonly [name: string]: string };
}

/** In front of names in an environment that root is not to obey. */
const keptPrefix = "armor_kept_";

/** What shells have for themselves: assigned to, it ends them or becomes another value. */
const shellsOwn = /^(_|BASH\w*|EUID|GROUPS|LINENO|OPTIND|PPID|RANDOM|SECONDS|SHELLOPTS|SHLVL|UID)$/;

/**
 * Look everything up.
 *
 * @param how.session Put `setsid` first. Not where the process leads a group already: `setsid` would fork then.
 * @returns Why it cannot be run here, or the command line.
 */
export function programCommand(
  { command, args, env, user, directory }: ProgramOptions,
  how: { readonly session: boolean },
): ({ readonly ok: true } & ProgramCommand) | { readonly ok: false; readonly reason: string } {
  const refuse = (reason: string) => ({ ok: false, reason }) as const;
  if (!directory.startsWith("/")) return refuse(`the directory ${JSON.stringify(directory)} is not absolute`);
  if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() !== true) {
    return refuse(`the directory ${JSON.stringify(directory)} does not exist`);
  }
  if ([command, directory, ...args, ...Object.keys(env), ...Object.values(env)].some((text) => text.includes("\0"))) {
    return refuse("an argument or an environment entry holds a zero byte");
  }
  const program = findProgram(command, { path: env["PATH"], directory });
  if (!program.ok) return refuse(lookupText(program));
  const uid = process.geteuid?.() ?? 0;
  const switchUser = user !== undefined && user.uid !== uid;
  if (switchUser && uid !== 0) return refuse(`only root can run programs as user ${JSON.stringify(user.name)}`);
  // A shell drops environment entries whose names are not its own kind of names.
  const isPlain = (name: string): boolean => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name) && !shellsOwn.test(name);
  const odd = Object.entries(env).filter(([name]) => !isPlain(name));
  const plain = Object.keys(env).filter(isPlain);
  if (odd.some(([name]) => name === "" || name.includes("="))) return refuse("an environment entry has no proper name");
  const argv: string[] = [];
  for (const [tool, toolArgs] of [
    ...(how.session ? [["setsid", []]] as const : []),
    ...(switchUser
      ? [["setpriv", ["--reuid", `${user.uid}`, "--regid", `${user.gid}`, "--init-groups", "--"]], ["sh", ["-c", restoreScript(plain), "sh"]]] as const
      : []),
    ...(odd.length > 0 ? [["env", odd.map(([name, value]) => `${name}=${value}`)] as const] : []),
  ] as const) {
    const found = findProgram(tool);
    if (!found.ok) return refuse(`${tool} is not installed`);
    argv.push(found.path, ...toolArgs);
  }
  return {
    ok: true,
    switchUser,
    argv: [...argv, program.path, ...args] as unknown as [string, ...string[]],
    env: switchUser ? { PATH: standardPath, ...Object.fromEntries(plain.map((name) => [keptPrefix + name, env[name]!])) } : env,
  };
}

/** Gives the environment its names back and becomes what its arguments say. */
function restoreScript(names: readonly string[]): string {
  const lines = names.map((name) => `export ${name}="$${keptPrefix}${name}"; unset ${keptPrefix}${name}`);
  return [...lines, 'exec "$@"'].join("\n");
}
