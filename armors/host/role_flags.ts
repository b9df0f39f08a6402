/**
 * Flags of `armor --role …`: how the processes of a node are started. A table
 * of its own rather than the command-line library, because every armor's start
 * pays for it.
 *
 * @module
 */
import { namePattern, nameRule } from "../name_rule.ts";
import { UsageError } from "../../core/errors.ts";
import { formatAddress, isWildcard, parseAddress } from "../../transports/address.ts";

/** The processes one executable can be. Operators start `daemon`; daemons start the others. */
export const roles = ["daemon", "daemon-process", "guard", "ftm", "heartbeat", "execution", "own"] as const;

/** One of {@link roles}. */
export type Role = (typeof roles)[number];

/** What a process of a node was told on its command line. */
export interface RoleOptions {
  readonly role: Role;
  /** Name of this node. */
  readonly node?: string;
  /** `HOST:PORT`, checked. */
  readonly listen?: string;
  /** `HOST:PORT` under which others reach this node, checked; absent: `listen`. */
  readonly advertise?: string;
  /** `HOST:PORT` of daemons to join; empty: bootstrap or what the data dir says. */
  readonly join: readonly string[];
  /** Path of the initial configuration. */
  readonly config?: string;
  readonly dataDir: string;
  readonly secretFile?: string;
  /** Accept elements by message. */
  readonly allowElements: boolean;
  /** Accept injected faults. */
  readonly allowInjection: boolean;
  /** Of an armor started by its daemon; the daemon's own notation. */
  readonly incarnation?: string;
  /** Id of an armor of one's own. */
  readonly armor?: string;
  /** Of an FTM started by a daemon; the daemon's own notation. */
  readonly epoch?: string;
  /** `own`: the process before this one ended by its own doing, and was not killed from outside. */
  readonly ended?: string;
}

/** One flag. */
interface RoleFlag {
  readonly flag: string;
  readonly key: Exclude<keyof RoleOptions, "role">;
  /** Name of the value in the help; absent: a switch. */
  readonly value?: string;
  /** Roles that cannot do without it. */
  readonly requiredBy: readonly Role[];
  /** Absent: internal, not in the help. */
  readonly help?: string;
  /** @returns The value to keep. @throws {UsageError} */
  readonly parse?: (text: string, flag: string) => string | readonly string[];
}

/** Every flag of `--role`, in the order of the help. */
export const roleFlags: readonly RoleFlag[] = [
  {
    flag: "--node", key: "node", value: "NAME", requiredBy: ["daemon"], parse: name,
    help: "name of this node, unique in the cluster",
  },
  {
    flag: "--listen", key: "listen", value: "HOST:PORT", requiredBy: ["daemon"], parse: address,
    help: "where this node listens: TCP for messages and UDP for heartbeats, same port",
  },
  {
    flag: "--advertise", key: "advertise", value: "HOST:PORT", requiredBy: [], parse: advertised,
    help: "address under which other nodes reach this one (default: --listen; required if that is a wildcard such as 0.0.0.0)",
  },
  {
    flag: "--join", key: "join", value: "HOST:PORT,…", requiredBy: [], parse: addresses,
    help: "daemons of the cluster to join; may name this node itself (default: the cluster in the data dir, else a new one)",
  },
  {
    flag: "--config", key: "config", value: "FILE", requiredBy: [],
    help: "initial configuration, read once when a new cluster starts",
  },
  {
    flag: "--data-dir", key: "dataDir", value: "DIR", requiredBy: roles,
    help: "folder for everything this node must remember; created with mode 0700, one daemon at a time",
  },
  {
    flag: "--secret-file", key: "secretFile", value: "FILE", requiredBy: ["daemon"],
    help: "cluster secret, the same on every node; armor init makes one",
  },
  {
    flag: "--allow-elements", key: "allowElements", requiredBy: [],
    help: "accept new elements by message (default: refuse)",
  },
  {
    flag: "--allow-injection", key: "allowInjection", requiredBy: [],
    help: "accept injected faults, for tests (default: refuse)",
  },
  { flag: "--armor", key: "armor", value: "ID", requiredBy: [] },
  { flag: "--incarnation", key: "incarnation", value: "TEXT", requiredBy: [] },
  { flag: "--epoch", key: "epoch", value: "TEXT", requiredBy: [] },
  { flag: "--ended", key: "ended", value: "TEXT", requiredBy: [] },
];

/**
 * Read the flags of a process of a node. Checks the words only: opens no file
 * and resolves no name.
 *
 * @param argv Everything after `armor`, `--role` included, in any order.
 * @throws {UsageError} One line that names the flag and the fix.
 * @example
 * ```ts
 * import { parseRoleFlags } from "./role_flags.ts";
 * const options = parseRoleFlags(["--role", "guard", "--data-dir", "/var/lib/armor"]);
 * console.assert(options.role === "guard" && options.join.length === 0);
 * ```
 */
export function parseRoleFlags(argv: readonly string[]): RoleOptions {
  const values = readWords(argv);
  const roleText = values.get("--role");
  if (roleText === undefined) throw new UsageError('option "--role" is missing: start a node with --role daemon');
  const role = roles.find((known) => known === roleText);
  if (role === undefined) {
    throw new UsageError(`unknown role ${quote(String(roleText))}: use daemon (the others are started by it)`);
  }
  const options: Record<string, unknown> = { role, join: [], allowElements: false, allowInjection: false };
  for (const { flag, key, value, requiredBy, parse } of roleFlags) {
    const given = values.get(flag);
    if (given !== undefined) {
      options[key] = typeof given === "string" && parse !== undefined ? parse(given, flag) : given;
    } else if (requiredBy.includes(role)) {
      throw new UsageError(`option "${flag}" is missing: --role ${role} needs ${flag} ${value ?? ""}`.trimEnd());
    }
  }
  const { listen, advertise } = options as { listen?: string; advertise?: string };
  if (listen !== undefined && advertise === undefined && isWildcard(parseAddress(listen).host)) {
    throw new UsageError(`option "--advertise" is missing: --listen ${listen} is a wildcard, so name the address that other nodes reach`);
  }
  return options as unknown as RoleOptions;
}

/** Flag → value; `true` for a switch. */
function readWords(argv: readonly string[]): ReadonlyMap<string, string | true> {
  const takesValue = new Map<string, boolean>(roleFlags.map(({ flag, value }) => [flag, value !== undefined]));
  takesValue.set("--role", true);
  const values = new Map<string, string | true>();
  for (let index = 0; index < argv.length; index++) {
    const word = argv[index] as string;
    const equals = word.startsWith("--") ? word.indexOf("=") : -1;
    const flag = equals < 0 ? word : word.slice(0, equals);
    if (!word.startsWith("-")) throw new UsageError(`unexpected ${quote(word)}: --role takes options only`);
    const needsValue = takesValue.get(flag);
    if (needsValue === undefined) throw new UsageError(`unknown option ${quote(flag)}: ${similarTo(flag)}`);
    if (values.has(flag)) throw new UsageError(`option "${flag}" is given twice: give it once`);
    if (!needsValue) {
      if (equals >= 0) throw new UsageError(`option "${flag}" takes no value: leave out "${word.slice(equals)}"`);
      values.set(flag, true);
      continue;
    }
    const value = equals < 0 ? argv[++index] : word.slice(equals + 1);
    // A forgotten value would otherwise swallow the next flag.
    if (value === undefined || value === "" || (equals < 0 && takesValue.has(value))) {
      throw new UsageError(`option "${flag}" needs a value`);
    }
    if (value.includes("\0")) throw new UsageError(`option "${flag}" holds a NUL byte: remove it`);
    values.set(flag, value);
  }
  return values;
}

function name(text: string, flag: string): string {
  if (!namePattern.test(text)) throw new UsageError(`${flag} ${quote(text)} is not a name: ${nameRule}`);
  return text;
}

/** @returns The address in its normal form. */
function address(text: string, flag: string): string {
  let parsed: ReturnType<typeof parseAddress>;
  try {
    parsed = parseAddress(text);
  } catch (error) {
    throw new UsageError(`${flag}: ${lowerFirst((error as Error).message)}`);
  }
  if (parsed.port === 0) throw new UsageError(`${flag} ${quote(text)}: the port must be from 1 to 65535, so that other nodes can know it`);
  return formatAddress(parsed);
}

function advertised(text: string, flag: string): string {
  const checked = address(text, flag);
  if (isWildcard(parseAddress(checked).host)) {
    throw new UsageError(`${flag} ${quote(text)} is a wildcard: name an address that other nodes reach`);
  }
  return checked;
}

function addresses(text: string, flag: string): readonly string[] {
  return [...new Set(text.split(",").map((item) => advertised(item.trim(), flag)))];
}

/** What an unknown flag was perhaps meant to be: one that begins like it, or is spelled alike but for the hyphens. */
function similarTo(flag: string): string {
  const letters = (text: string): string => text.replace(/-/g, "").toLowerCase();
  const word = letters(flag);
  const known = roleFlags.find(({ flag: one, help }) => help !== undefined && word.length > 1 && (letters(one).startsWith(word) || word.startsWith(letters(one))));
  return known ? `did you mean ${known.flag}?` : "see armor --help";
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text);
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}
