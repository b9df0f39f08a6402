/**
 * Where the local daemon's Unix socket is.
 *
 * @module
 */
import { accessSync, constants } from "node:fs";
import { DataDirError, dataDir } from "../armors/host/data_dir.ts";
import { linkedRunDir } from "../armors/host/run_dir.ts";
import { errorCode } from "./terminal.ts";

/**
 * Find the socket that the daemon of a data folder has left a link to. Reads only.
 *
 * @param path Absolute.
 * @returns The socket's path; `"missing"` if no daemon has run there, `"denied"` if we may not look.
 */
export function findDaemonSocket(path: string): { readonly socket: string } | "missing" | "denied" {
  try {
    const data = dataDir(path);
    accessSync(data.path, constants.X_OK);
    const run = linkedRunDir(data);
    return run === undefined ? "missing" : { socket: run.socket };
  } catch (error) {
    const code = errorCode(error instanceof DataDirError ? error.cause : error);
    return code === "EACCES" || code === "EPERM" ? "denied" : "missing";
  }
}
