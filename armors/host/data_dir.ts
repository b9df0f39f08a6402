/**
 * The data dir of a node: every path below it in one place. All of it belongs to
 * one user and is closed to others.
 *
 * @module
 */
import { accessSync, chmodSync, constants, existsSync, mkdirSync, readdirSync, realpathSync, statSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { ArmorError } from "../../core/errors.ts";
import type { ArmorId } from "../../core/micro_operation.ts";

/** Why a folder cannot be used; the text names it and the fix. */
export class DataDirError extends ArmorError<
  "missing" | "not_directory" | "not_owner" | "not_writable" | "shared" | "bad_name"
> {
  override readonly name = "DataDirError";
}

/** Paths below a data dir. */
export interface DataDir {
  /** Absolute, without symbolic links. */
  readonly path: string;
  readonly identity: string;
  /** The initial configuration, until the FTM has it. */
  readonly configuration: string;
  readonly guardLock: string;
  readonly daemonLock: string;
  readonly events: string;
  /** See `ballast.ts`. */
  readonly ballast: string;
  /** Symbolic link to the run-time folder, see `run_dir.ts`. */
  readonly run: string;
  /** Link to the folder of applications' sockets. */
  readonly api: string;
  /** Folder of an armor's checkpoints and log. */
  armor(id: ArmorId): string;
  armorLog(id: ArmorId): string;
  /** Folder of an instance's launch records. */
  launches(instance: string): string;
  /** One launch record. */
  launch(instance: string, number: number): string;
  /** Folder of an application's logs. */
  logs(application: string): string;
  log(application: string, instance: string): string;
}

/**
 * Open a data dir, making it with mode 0700 if needed.
 *
 * An existing folder must be ours; one that others may enter is closed to them
 * if it is empty or a data dir already, and refused otherwise: it is somebody's
 * folder, given by mistake.
 *
 * @throws {DataDirError} If it cannot be used.
 */
export function openDataDir(path: string): DataDir {
  const name = JSON.stringify(path);
  try {
    mkdirSync(path, { recursive: true, mode: 0o700 });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code !== "EEXIST" && code !== "ENOTDIR") throw notWritable(name, cause);
  }
  const dir = dataDir(path);
  const stat = statSync(dir.path);
  if (!stat.isDirectory()) throw new DataDirError("not_directory", `Cannot use data dir ${name}: it is not a directory`);
  const uid = process.geteuid?.() ?? 0;
  if (stat.uid !== uid) {
    throw new DataDirError("not_owner", `Cannot use data dir ${name}: it belongs to user ${stat.uid}, this process runs as ${uid}`);
  }
  try {
    accessSync(dir.path, constants.R_OK | constants.W_OK | constants.X_OK);
    if ((stat.mode & 0o077) !== 0) {
      if (readdirSync(dir.path).length > 0 && !existsSync(dir.guardLock)) {
        throw new DataDirError("shared", `Cannot use data dir ${name}: it is open to others and holds other files; name an empty folder`);
      }
      chmodSync(dir.path, 0o700);
    }
    for (const folder of ["armors", "launches", "logs"]) mkdirSync(join(dir.path, folder), { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw cause instanceof DataDirError ? cause : notWritable(name, cause);
  }
  return dir;
}

function notWritable(name: string, cause: unknown): DataDirError {
  return new DataDirError("not_writable", `Cannot write data dir ${name}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
}

/**
 * Paths of an existing data dir, for those who only look (the command line).
 *
 * @throws {DataDirError} `"missing"` if there is none, `"not_directory"` if a file is in its place.
 */
export function dataDir(path: string): DataDir {
  let real: string;
  try {
    real = realpathSync(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code === "ENOTDIR" ? "not_directory" : "missing";
    const reason = code === "missing" ? "it does not exist" : "a file is in its way";
    throw new DataDirError(code, `Cannot use data dir ${JSON.stringify(path)}: ${reason}`, { cause });
  }
  const armor = (id: ArmorId): string => join(real, "armors", fileName(id.replace("@", "_")));
  const launches = (instance: string): string => join(real, "launches", fileName(instance));
  const logs = (application: string): string => join(real, "logs", fileName(application));
  return {
    path: real,
    identity: join(real, "identity.cbor"),
    configuration: join(real, "configuration.cbor"),
    guardLock: join(real, "guard.lock"),
    daemonLock: join(real, "daemon.lock"),
    events: join(real, "events.cborseq"),
    ballast: join(real, "ballast"),
    run: join(real, "run"),
    api: join(real, "api"),
    armor,
    armorLog: (id) => join(armor(id), "armor.log"),
    launches,
    launch: (instance, number) => join(launches(instance), `${number}.launch`),
    logs,
    log: (application, instance) => join(logs(application), `${fileName(instance)}.log`),
  };
}

/** A name from a message becomes part of a path only if it cannot leave its folder. */
export function fileName(name: string): string {
  if (/^[A-Za-z0-9_@-][A-Za-z0-9._@-]{0,199}$/.test(name)) return name;
  throw new DataDirError("bad_name", `Cannot use ${JSON.stringify(name)} as a file name: letters, digits, ".", "_", "@" and "-" only`);
}
