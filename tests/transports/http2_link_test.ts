import { afterAll } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mintCertificate } from "../../transports/certificates.ts";
import type { FrameLink, LinkHandlers } from "../../transports/frame_link.ts";
import { connectLink } from "../../transports/http2_client.ts";
import { type RunningHttp2Server, startHttp2Server } from "../../transports/http2_server.ts";
import { type ReliableFactory, testReliableLink } from "../conformance/reliable.ts";
import { until } from "./real_time.ts";

const folder = mkdtempSync(join(tmpdir(), "armor-link-"));
afterAll(() => rmSync(folder, { recursive: true }));
const tls = await mintCertificate(new Uint8Array(32), "node-1");
let sockets = 0;

function real(kind: "tls" | "unix", doomed: "client" | "server") {
  return async (): Promise<ReliableFactory> => {
    const path = join(folder, `${++sockets}.sock`);
    const secure = kind === "tls" ? { tls } : {};
    const servers: RunningHttp2Server[] = [];
    const children: ChildProcess[] = [];
    const serve = async (onLink: (link: FrameLink) => LinkHandlers) => {
      const server = await startHttp2Server({
        listen: kind === "tls" ? { host: "127.0.0.1", port: 0 } : { path },
        ...secure,
        fetch: () => new Response(),
        onLink,
      });
      servers.push(server);
      return kind === "tls" ? { host: "127.0.0.1", port: server.port } : { path };
    };
    return {
      async connect(left, right) {
        const taken = Promise.withResolvers<FrameLink>();
        const opened = Promise.withResolvers<void>();
        const address = await serve((link) => {
          taken.resolve(link);
          return right;
        });
        const dialled = connectLink({ address, ...secure, ...handlersOf(left), onOpen: () => opened.resolve() });
        await opened.promise;
        return { left: dialled, right: await taken.promise };
      },
      until,
      async connectDoomed(handlers) {
        const start = (options: object): ChildProcess => {
          const child = spawn(process.execPath, [join(import.meta.dirname, "doomed_peer.ts"), JSON.stringify({ ...options, ...secure })], {
            stdio: ["ignore", "pipe", "inherit"],
          });
          children.push(child);
          return child;
        };
        const ends = (link: FrameLink, child: ChildProcess) => ({
          link,
          kill: () => void child.kill("SIGKILL"),
          now: () => performance.now(),
        });
        if (doomed === "client") {
          const taken = Promise.withResolvers<FrameLink>();
          const address = await serve((link) => {
            taken.resolve(link);
            return handlers;
          });
          const child = start({ role: "client", address });
          return ends(await taken.promise, child);
        }
        const child = start({ role: "server", address: kind === "tls" ? { host: "127.0.0.1", port: 0 } : { path } });
        const port = await new Promise<number>((done) => child.stdout!.once("data", (text) => done(Number(text))));
        const address = kind === "tls" ? { host: "127.0.0.1", port } : { path };
        return ends(connectLink({ address, ...secure, ...handlersOf(handlers) }), child);
      },
      async dispose() {
        for (const child of children) child.kill("SIGKILL");
        await Promise.all(servers.map((server) => server.close()));
      },
    };
  };
}

function handlersOf(handlers: LinkHandlers): LinkHandlers {
  return { onFrames: (frames) => handlers.onFrames(frames), onClose: (reason, error) => handlers.onClose(reason, error) };
}

testReliableLink("HTTP/2 over TLS (server dies)", real("tls", "server"));
testReliableLink("HTTP/2 over a Unix socket (client dies)", real("unix", "client"));
