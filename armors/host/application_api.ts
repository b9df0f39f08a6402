/**
 * Application API: what a program may say to Armor and ask of it, over a Unix
 * socket whose path it finds in `ARMOR_API`. HTTP/1.1, so that any language and
 * `curl --unix-socket` can. Each instance has a socket of its own, which only
 * its user may open: so a program speaks for its own instance alone.
 *
 * Every request is answered at once from memory; nothing waits for anything.
 *
 * - `POST /v1/progress`: I have got on. 204.
 * - `GET /v1/instance`: who am I? `{ instance, application, node, launch }`.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { chmodSync, chownSync, existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { join } from "node:path";
import process from "node:process";

/** What the program of an instance is told of itself. */
export type InstanceInfo = {
  readonly instance: string;
  readonly application: string;
  readonly node: string;
  readonly launch: number;
};

/** One instance. */
type Served = {
  info: InstanceInfo;
  onProgress: () => void;
  /** Its program has ended. */
  ended: boolean;
  progressAtMs: number;
  readonly owner: SocketOwner | undefined;
  /** `undefined`: there is none yet. Never rejected. */
  server: Promise<Server | undefined>;
};

/** Who may open a socket, if not this process's user alone. */
export type SocketOwner = { readonly uid: number; readonly gid: number };

/** More often than this, progress is no news. */
const progressEveryMs = 10;
const bodyBytesMax = 65_536;
const connectionsMax = 64;
const requestMsMax = 5_000;

/** The sockets of one node's instances. */
export class ApplicationApi {
  readonly #served = new Map<string, Served>();
  #count = 0;

  /** @param folder Of the sockets; see `openApiFolder()`. Of another one, sockets are made there by {@link mend}. */
  constructor(public folder: string) {}

  /** Path of an instance's socket: the same for all its launches, and in every life of this armor. */
  path(instance: string): string {
    return join(this.folder, `${createHash("sha256").update(instance).digest("hex").slice(0, 12)}.sock`);
  }

  /**
   * Serve an instance. For another launch of one that is served already, the
   * socket stays. If it belongs to another user now it is made anew, and what is still
   * connected to the former one cannot speak for that launch.
   *
   * @param onProgress The program has got on; not called more than 100 times a second.
   * @throws If the socket cannot be made; {@link mend} tries it again.
   */
  async serve(info: InstanceInfo, owner: SocketOwner | undefined, onProgress: () => void): Promise<void> {
    const known = this.#served.get(info.instance);
    const state = { info, onProgress, ended: false, progressAtMs: 0 };
    const isSame = known && known.owner?.uid === owner?.uid && known.owner?.gid === owner?.gid;
    // After the former one, or that might take the path over.
    const before = (): Promise<undefined> => known?.server.then((server) => void (server && closeServer(server))) ?? Promise.resolve(undefined);
    const served: Served = isSame ? Object.assign(known, state) : { ...state, owner, server: before() };
    this.#served.set(info.instance, served);
    await this.#mend(served);
  }

  /** A program has ended: its socket says so, until the instance is served or forgotten. */
  ended(instance: string, launch: number): void {
    const served = this.#served.get(instance);
    if (served?.info.launch === launch) served.ended = true;
  }

  /** Make sockets anew that have vanished with their folder, or could not be made. What still cannot be is left for the next time. */
  async mend(): Promise<void> {
    await Promise.allSettled([...this.#served.values()].map((served) => this.#mend(served)));
  }

  /** One after the other for each instance. */
  #mend(served: Served): Promise<unknown> {
    const last = served.server;
    const made = last.then(async (before) => {
      const { instance } = served.info;
      if (before && existsSync(this.path(instance))) return before;
      const server = await this.#listen(instance, served.owner, (...exchange) => answer(served, ...exchange));
      if (before) closeServer(before);
      return server;
    });
    served.server = made.catch(() => last);
    return made;
  }

  /** Close the sockets of instances that are not among these, and delete what an earlier life left. */
  retain(instances: ReadonlySet<string>): void {
    for (const [instance, { server }] of this.#served) {
      if (instances.has(instance)) continue;
      this.#served.delete(instance);
      void server.then((made) => made && closeServer(made));
    }
    const paths = new Set([...instances, ...this.#served.keys()].map((instance) => this.path(instance)));
    for (const name of namesIn(this.folder)) {
      const path = join(this.folder, name);
      // Half-made by a life that ended: `HASH.sock.PID.N`.
      const [, pid] = /\.sock\.(\d+)\.\d+$/.exec(name) ?? [];
      const left = pid === undefined ? name.endsWith(".sock") && !paths.has(path) : Number(pid) !== process.pid;
      if (left) rmSync(path, { force: true });
    }
  }

  /** Stop serving. */
  async close(): Promise<void> {
    const servers = [...this.#served.values()].map(({ server }) => server);
    this.retain(new Set());
    await Promise.allSettled(servers);
  }

  /** Bound under another name and then renamed: there is no moment without a socket, and its end removes no other's. */
  async #listen(instance: string, owner: SocketOwner | undefined, handler: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
    const path = this.path(instance);
    const temporary = `${path}.${process.pid}.${this.#count++}`;
    rmSync(temporary, { force: true });
    const server = createServer({ requestTimeout: requestMsMax, headersTimeout: requestMsMax, keepAliveTimeout: requestMsMax }, handler);
    server.maxConnections = connectionsMax;
    server.on("clientError", (_error, socket) => socket.destroy());
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(temporary, resolve);
    });
    server.on("error", () => {});
    server.unref();
    chmodSync(temporary, 0o600);
    if (owner && owner.uid !== process.geteuid?.()) chownSync(temporary, owner.uid, owner.gid);
    renameSync(temporary, path);
    return server;
  }
}

/** None in a folder that has vanished. */
function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function closeServer(server: Server): void {
  server.close();
  server.closeAllConnections();
}

function answer(served: Served, request: IncomingMessage, response: ServerResponse): void {
  let bytes = 0;
  request.on("data", (chunk: Uint8Array) => {
    bytes += chunk.length;
    if (bytes > bodyBytesMax) request.destroy();
  });
  request.on("error", () => {});
  response.on("error", () => {});
  const [path] = (request.url ?? "").split("?");
  const allowed = routes[path ?? ""];
  if (!allowed) return reply(response, 404, { ok: false, error: `there is no ${path}: POST /v1/progress, GET /v1/instance` });
  if (request.method !== allowed) return reply(response, 405, { ok: false, error: `${path} takes ${allowed}` }, { allow: allowed });
  if (served.ended) return reply(response, 503, { ok: false, error: "the program of this instance has ended" });
  if (path === "/v1/instance") return reply(response, 200, served.info);
  const nowMs = performance.now();
  if (nowMs - served.progressAtMs >= progressEveryMs) {
    served.progressAtMs = nowMs;
    served.onProgress();
  }
  response.writeHead(204).end();
}

const routes: { readonly [path: string]: string } = { "/v1/progress": "POST", "/v1/instance": "GET" };

function reply(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(`${JSON.stringify(body)}\n`);
}
