/**
 * The run-time folder of a node: its Unix socket and the ports of its armors.
 * Its path is short, because socket paths end at 107 bytes.
 *
 * Which folder it is depends on the environment (`XDG_RUNTIME_DIR`), and a
 * daemon and a command line need not have the same one: so the daemon leaves a
 * symbolic link in its data dir, and that is what everyone follows.
 *
 * It may vanish while the node runs: with the last session of its user, or for
 * its age. Then the daemon makes one anew, perhaps elsewhere, and all others
 * follow the link again; none of them makes one of its own, where nobody listens.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { type DataDir, DataDirError } from "./data_dir.ts";

/** Paths below a run-time folder. */
export interface RunDir {
  readonly path: string;
  /** HTTP/2 of the daemon for local armors and the command line. */
  readonly socket: string;
}

const socketPathBytesMax = 107;
/** Nothing is here, and nobody can make it. */
const nowhere = "/dev/null/armor";

/**
 * The run-time folder, made if needed (mode 0700) and linked from the data dir.
 * One that is linked already is kept as long as it exists. For guards and
 * daemons, see {@link followRunDir}.
 *
 * @param before Where it was a moment ago, and had better be again: running programs know the paths in it.
 * @throws {DataDirError} `"not_writable"` if no candidate can be used.
 */
export function openRunDir(data: DataDir, before?: string): RunDir {
  const linked = linkedRunDir(data);
  if (linked !== undefined && makePrivate(join(linked.path, "ports"))) return followRunDir(data);
  for (const path of [...(before === undefined ? [] : [before]), ...candidates(data)]) {
    if (!makePrivate(join(path, "..")) || !makePrivate(path) || !makePrivate(join(path, "ports"))) continue;
    link(path, data.run);
    return followRunDir(data);
  }
  throw new DataDirError("not_writable", `Cannot make a run-time folder: tried ${candidates(data).map((path) => JSON.stringify(path)).join(", ")}`);
}

/**
 * The folder of the sockets that applications are given, linked from the data
 * dir too. Those of other users must be able to go through it, so a root's is
 * beside the run-time folder, open (0711) and with names that say nothing.
 *
 * @throws {DataDirError} `"not_writable"` if no candidate can be used.
 */
export function openApiFolder(data: DataDir, run: RunDir): string {
  const linked = linkOf(data.api);
  if (linked !== undefined && makePassable(linked)) return linked;
  for (const path of apiCandidates(data, run)) {
    if (!makePassable(join(path, "..")) || !makePassable(path)) continue;
    link(path, data.api);
    return path;
  }
  throw new DataDirError("not_writable", "Cannot make a folder for the sockets of applications");
}

/** The folder that {@link openApiFolder} has linked last, whether it is there or not. */
export function linkedApiFolder(data: DataDir): string | undefined {
  return linkOf(data.api);
}

/** Below a private run-time folder nobody else can go. */
function apiCandidates(data: DataDir, run: RunDir): string[] {
  const uid = process.geteuid?.() ?? 0;
  if (uid !== 0) return [join(run.path, "api", "sockets")];
  return ["/run/armor-api", `/tmp/armor-api-${uid}`].map((parent) => join(parent, dataHash(data)));
}

/** Delete what a node that has ended for good left outside its data dir. */
export function removeRunFolders(data: DataDir): void {
  for (const path of [linkedRunDir(data)?.path, linkOf(data.api)]) {
    if (path !== undefined) rmSync(path, { recursive: true, force: true });
  }
}

function linkOf(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function link(target: string, path: string): void {
  const temporary = `${path}.${process.pid}`;
  rmSync(temporary, { force: true });
  symlinkSync(target, temporary);
  renameSync(temporary, path);
}

/** The run-time folder, wherever the link leads at the moment; while it leads nowhere, so do the paths. */
export function followRunDir(data: DataDir): RunDir {
  const now = (): RunDir => linkedRunDir(data) ?? runDir(nowhere);
  return {
    get path() {
      return now().path;
    },
    get socket() {
      return now().socket;
    },
  };
}

/** @returns The run-time folder that a daemon has made, or `undefined` if there is none. */
export function linkedRunDir(data: DataDir): RunDir | undefined {
  try {
    const path = readlinkSync(data.run);
    // A copy of a data dir has a link to the folder of another node.
    return basename(path) === dataHash(data) && isPrivate(path) ? runDir(path) : undefined;
  } catch {
    return undefined;
  }
}

function runDir(path: string): RunDir {
  return { path, socket: join(path, "daemon.sock") };
}

function candidates(data: DataDir): string[] {
  const hash = dataHash(data);
  const user = process.env["XDG_RUNTIME_DIR"];
  return [
    ...(user?.startsWith("/") ? [join(user, "armor", hash)] : []),
    join("/run/armor", hash),
    join(`/tmp/armor-${process.geteuid?.() ?? 0}`, hash),
  ].filter((path) => Buffer.byteLength(join(path, "daemon.sock")) <= socketPathBytesMax);
}

/** Name of the run-time folder of a data dir. */
export function dataHash(data: DataDir): string {
  return createHash("sha256").update(data.path).digest("hex").slice(0, 12);
}

/** A real folder, ours: others may go through it and no more. */
function makePassable(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o711 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") return false;
  }
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory() !== true || stat.uid !== (process.geteuid?.() ?? 0)) return false;
  if ((stat.mode & 0o777) !== 0o711) chmodSync(path, 0o711); // another umask, or somebody's change
  return true;
}

/** Make one folder, not its parents: a missing `/run` is no place for us. */
function makePrivate(path: string): boolean {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") return false;
  }
  return isPrivate(path);
}

/** A real folder, ours, closed to others: in `/tmp` somebody else may have been first. */
function isPrivate(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat?.isDirectory() === true && stat.uid === (process.geteuid?.() ?? 0) && (stat.mode & 0o077) === 0;
}
