import { afterAll, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mintCertificate } from "../../transports/certificates.ts";
import type { FrameLink, LinkHandlers } from "../../transports/frame_link.ts";
import { connectLink } from "../../transports/http2_client.ts";
import { type RunningHttp2Server, startHttp2Server } from "../../transports/http2_server.ts";
import { Recorder, type ReliableFactory, testReliableLink } from "../conformance/reliable.ts";
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
          stop: () => void child.kill("SIGSTOP"),
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

for (const kind of ["tls", "unix"] as const) {
  test(`a peer that is stopped costs no more than the backlog (${kind})`, async () => {
    const world = await real(kind, "server")();
    const told = new Recorder();
    const { link, stop } = await world.connectDoomed!(told);
    await until(() => told.frames.length === 1, 5_000);
    stop();
    const frame = new Uint8Array(1024 * 1024);
    let sent = 0;
    const before = process.memoryUsage.rss();
    while (told.ends.length === 0 && sent < 200) {
      link.send(frame);
      sent++;
      await new Promise((done) => setTimeout(done, 1));
    }
    expect(told.ends).toEqual(["backlog"]);
    // The backlog, the windows and what the sockets hold.
    expect(sent).toBeLessThan(64 + 16 + 16);
    expect(process.memoryUsage.rss() - before).toBeLessThan(200 * 1024 * 1024);
    await world.dispose();
  });
}
