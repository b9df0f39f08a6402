/**
 * Where the local daemon's Unix socket is. The daemon chose its run-time folder by
 * its own environment, which need not be the caller's (a service has no
 * `XDG_RUNTIME_DIR`), so every place is looked at.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { lstatSync, realpathSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";

/**
 * Path of the socket of the daemon of a data folder. Reads only.
 *
 * @param dataDir Absolute.
 * @returns The first that exists, else where it is most likely to appear.
 */
export function daemonSocketPath(dataDir: string, environment: { readonly [name: string]: string | undefined }): string {
  const folder = createHash("sha256").update(realPath(dataDir)).digest("hex").slice(0, 12);
  const uid = process.getuid?.() ?? 0;
  const runtime = environment.XDG_RUNTIME_DIR;
  const parents = [
    ...(runtime ? [join(runtime, "armor")] : []),
    "/run/armor",
    `/tmp/armor-${uid}`,
  ];
  const paths = parents.map((parent) => join(parent, folder, "daemon.sock"));
  return paths.find((path) => ownSocket(path, uid)) ?? (paths[0] as string);
}

/** `/tmp` is everybody's: only a socket in a folder of our own, or of root, is trusted. */
function ownSocket(path: string, uid: number): boolean {
  try {
    const owner = lstatSync(join(path, "..")).uid;
    return (owner === uid || owner === 0) && lstatSync(path).isSocket();
  } catch {
    return false;
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
