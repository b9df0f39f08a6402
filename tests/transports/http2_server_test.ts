import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer as createTcpServer, connect as connectTcp } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ArmorError } from "../../core/errors.ts";
import { mintCertificate } from "../../transports/certificates.ts";
import { createApp, readJson } from "../../transports/http2_app.ts";
import { connectLink, request } from "../../transports/http2_client.ts";
import { type Destination, openSession } from "../../transports/http2_session.ts";
import type { FrameLink } from "../../transports/frame_link.ts";
import { type Http2ServerOptions, type LinkPeer, type RunningHttp2Server, startHttp2Server } from "../../transports/http2_server.ts";
import type { TlsIdentity } from "../../transports/tls_identity.ts";
import { until } from "./real_time.ts";

const folder = mkdtempSync(join(tmpdir(), "armor-http2-"));
afterAll(() => rmSync(folder, { recursive: true }));
const secret = new Uint8Array(32).fill(1);
const ours = await mintCertificate(secret, "node-1");
const peers = await mintCertificate(secret, "node-2");
const foreign = await mintCertificate(new Uint8Array(32).fill(2), "node-3");

let cancelled = 0;
const app = createApp();
app.get("/v1/who", (context) => context.json({ name: context.env.peerName ?? null }));
app.post("/v1/echo", async (context) => context.json({ got: await readJson(context) }));
app.get("/v1/refused", () => {
  throw new ArmorError("refused", "Cannot do that");
});
app.get("/v1/absent", () => {
  throw new ArmorError("absent", "there is no process of it");
});
app.get("/v1/broken", () => {
  throw new Error("inner workings");
});
app.get("/v1/slow", () => new Promise<Response>(() => {}));
app.get("/v1/large", (context) => context.text("x".repeat(3_000_000)));
app.get("/v1/events", () => {
  let timer: ReturnType<typeof setInterval>;
  let number = 0;
  return new Response(new ReadableStream({
    start(controller) {
      timer = setInterval(() => controller.enqueue(new TextEncoder().encode(`{"seq":${++number}}\n`)), 5);
    },
    cancel() {
      clearInterval(timer);
      cancelled++;
    },
  }), { headers: { "content-type": "application/x-ndjson" } });
});

const unixAddress = { path: join(folder, "main.sock") };
let tcp: RunningHttp2Server;
let unix: RunningHttp2Server;
const seen: LinkPeer[] = [];
const options: Pick<Http2ServerOptions, "fetch" | "onLink"> = {
  fetch: app.fetch,
  onLink(link: FrameLink, peer: LinkPeer) {
    if (peer.headers["x-armor"] === "bad") return { refuse: 'Node "ä" belongs to another cluster' };
    seen.push(peer);
    return { onFrames: (frames: Uint8Array[]) => frames.forEach((frame) => link.send(frame)), onClose() {} };
  },
};
beforeAll(async () => {
  tcp = await startHttp2Server({ listen: { host: "127.0.0.1", port: 0 }, tls: ours, ...options });
  unix = await startHttp2Server({ listen: unixAddress, ...options });
});
afterAll(async () => {
  await tcp.close();
  await unix.close();
});
const overTls = (): Destination => ({ address: { host: "127.0.0.1", port: tcp.port }, tls: peers });
const overUnix = (): Destination => ({ address: unixAddress });

/** Status of the answer to a body whose length is not said beforehand. */
async function statusOfUnannounced(to: Destination, body: string): Promise<unknown> {
  const { session, destroy } = await openSession(to);
  const stream = session.request({ ":method": "POST", ":path": "/v1/echo" });
  stream.on("error", () => {});
  stream.end(body);
  const headers = await new Promise<Record<string, unknown>>((done) => stream.once("response", done));
  destroy();
  return headers[":status"];
}

for (const [name, to] of [["TLS", overTls], ["a Unix socket", overUnix]] as const) {
  describe(`requests over ${name}`, () => {
    const get = (path: string) => request({ ...to(), method: "GET", path });

    test("reach the application, which knows the peer's name", async () => {
      const answer = await get("/v1/who");
      expect(answer.status).toBe(200);
      expect(await answer.json()).toEqual({ name: to === overTls ? "node-2" : null });
    });

    test("carry JSON both ways, also large", async () => {
      const answer = await request({ ...to(), method: "POST", path: "/v1/echo", json: { a: ["ä".repeat(200_000)] } });
      expect(await answer.json()).toEqual({ got: { a: ["ä".repeat(200_000)] } });
      expect((await (await get("/v1/large")).text()).length).toBe(3_000_000);
    });

    test("are refused as JSON", async () => {
      const failure = async (path: string, status: number, code: string) => {
        const answer = await get(path);
        expect(answer.status).toBe(status);
        expect(await answer.json()).toMatchObject({ ok: false, code });
      };
      await failure("/v1/refused", 409, "refused");
      await failure("/v1/absent", 404, "absent");
      await failure("/v1/broken", 500, "internal");
      await failure("/v1/nothing", 404, "usage");
      await failure("/v1/stream", 404, "usage"); // a link is opened by POST
      const long = await request({ ...to(), method: "POST", path: "/v1/echo", json: "x".repeat(1_100_000) });
      expect(long.status).toBe(413);
      expect(await long.json()).toMatchObject({ ok: false, code: "usage" });
      expect(await statusOfUnannounced(to(), "x".repeat(1_100_000))).toBe(413);
      const noJson = await request({ ...to(), method: "POST", path: "/v1/echo" });
      expect(noJson.status).toBe(400);
      noJson.close();
    });

    test("stream, and tell the application when the reader leaves", async () => {
      const before = cancelled;
      const answer = await get("/v1/events");
      let text = "";
      for await (const part of answer.stream) {
        text += Buffer.from(part).toString();
        if (text.includes('{"seq":3}')) break;
      }
      expect(text.startsWith('{"seq":1}\n{"seq":2}\n')).toBe(true);
      await until(() => cancelled === before + 1, 1_000);
    });

    test("end with \"timeout\" or \"aborted\" when nobody answers", async () => {
      const slow = (more: object) =>
        request({ ...to(), method: "GET", path: "/v1/slow", ...more }).then(() => undefined, (error) => error.code);
      expect(await slow({ timeoutMs: 50 })).toBe("timeout");
      const controller = new AbortController();
      setTimeout(() => controller.abort(), 20);
      expect(await slow({ signal: controller.signal })).toBe("aborted");
      expect(await slow({ signal: AbortSignal.abort() })).toBe("aborted");
    });

    test("many at once", async () => {
      const answers = await Promise.all([...Array(50).keys()].map(async (number) => {
        const answer = await request({ ...to(), method: "POST", path: "/v1/echo", json: number });
        return (await answer.json() as { got: number }).got;
      }));
      expect(answers).toEqual([...Array(50).keys()]);
    });

    test("a link carries its headers, and a refusal its words", async () => {
      const ends: unknown[] = [];
      const open = (value: string, onOpen: () => void) =>
        connectLink({ ...to(), headers: { "x-armor": value }, onFrames() {}, onOpen, onClose: (reason, error) => void ends.push([reason, error?.code, error?.message]) });
      let opened = 0;
      const link = open("good", () => opened++);
      await until(() => opened === 1, 1_000);
      expect(seen.at(-1)!.headers["x-armor"]).toBe("good");
      expect(seen.at(-1)!.peerName).toBe(to === overTls ? "node-2" : undefined);
      link.close();
      open("bad", () => opened++);
      await until(() => ends.length === 2, 1_000);
      expect(ends).toEqual([["closed", undefined, undefined], ["refused", "refused", 'Node "ä" belongs to another cluster']]);
      expect(opened).toBe(1);
    });

    test("a request whose server goes away ends with \"lost\", and so does a link, at once", async () => {
      const listen: Destination["address"] = to === overTls ? { host: "127.0.0.1", port: 0 } : { path: join(folder, "gone.sock") };
      const server = await startHttp2Server({ listen, tls: ours, ...options });
      const there: Destination = { ...to(), address: "path" in listen ? listen : { host: listen.host, port: server.port } };
      const waiting = request({ ...there, method: "GET", path: "/v1/slow" }).then(() => undefined, (error) => error.code);
      const streaming = await request({ ...there, method: "GET", path: "/v1/events" });
      const read = (async () => {
        for await (const _ of streaming.stream);
      })().then(() => "ended", (error) => error.code);
      let opened = false;
      const ends: string[] = [];
      connectLink({ ...there, onFrames() {}, onOpen: () => void (opened = true), onClose: (reason) => void ends.push(reason) });
      await until(() => opened, 1_000);
      const closedAt = performance.now();
      await server.close();
      expect(await waiting).toBe("lost");
      expect(await read).toBe("lost");
      await until(() => ends.length > 0, 1_000);
      // Long before the request would give up by itself.
      expect(performance.now() - closedAt).toBeLessThan(2_000);
      expect(["lost", "ended"]).toContain(ends[0]!);
    });
  });
}

describe("who may connect", () => {
  const why = (to: Destination) =>
    request({ ...to, method: "GET", path: "/v1/who" }).then(
      (answer) => void answer.close(),
      (error) => {
        expect(error.message).not.toContain("\n");
        return error.code;
      },
    );

  test("nobody with a certificate of another secret, from either side's view", async () => {
    expect(await why(overTls())).toBe(undefined);
    expect(await why({ ...overTls(), tls: foreign })).toBe("wrong_secret");
    expect(await why({ ...overTls(), tls: { ...foreign, ca: ours.ca } })).toBe("wrong_secret");
    expect(await why({ ...overTls(), tls: { ...ours, ca: foreign.ca } })).toBe("wrong_secret");
    const ends: unknown[] = [];
    connectLink({ ...overTls(), tls: { ...foreign, ca: ours.ca }, onFrames() {}, onClose: (reason, error) => void ends.push([reason, error?.code]) });
    await until(() => ends.length > 0, 1_000);
    expect(ends).toEqual([["lost", "wrong_secret"]]);
    expect(await why(overTls())).toBe(undefined);
  });

  test("failures to connect say \"unreachable\" or \"protocol\"", async () => {
    const talker = createTcpServer((socket) => void socket.on("error", () => {}).write("220 hello\r\n"));
    const mute = createTcpServer((socket) => void socket.on("error", () => {}));
    for (const server of [talker, mute]) await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const portOf = (server: typeof mute) => ({ host: "127.0.0.1", port: (server.address() as { port: number }).port });
    expect(await why({ address: portOf(talker), tls: ours })).toBe("protocol");
    expect(await why({ address: portOf(mute), tls: ours, connectTimeoutMs: 50 })).toBe("unreachable");
    expect(await why({ address: { host: "127.0.0.1", port: 1 }, tls: ours })).toBe("unreachable");
    expect(await why({ address: { host: "no-such-host.invalid", port: 1 }, tls: ours })).toBe("unreachable");
    expect(await why({ address: { path: join(folder, "none.sock") } })).toBe("unreachable");
    talker.close();
    mute.close();
  });

  test("random bytes leave the server serving", async () => {
    for (const address of [{ host: "127.0.0.1", port: tcp.port }, unixAddress]) {
      for (let round = 0; round < 20; round++) {
        const socket = connectTcp(address as { path: string });
        socket.on("error", () => {});
        socket.write(crypto.getRandomValues(new Uint8Array(1 + round * 50)));
        if (round % 2 === 0) socket.end();
        else setTimeout(() => socket.destroy(), 10);
      }
    }
    await new Promise((done) => setTimeout(done, 30));
    expect(await why(overTls())).toBe(undefined);
    expect(await why(overUnix())).toBe(undefined);
  });
});

describe("startHttp2Server()", () => {
  const start = (listen: Http2ServerOptions["listen"]) =>
    startHttp2Server({ listen, tls: ours, ...options }).then(
      (server) => server.close(),
      (error) => error.code,
    );

  test("refuses an address in use and one that is not ours", async () => {
    expect(await start({ host: "127.0.0.1", port: tcp.port })).toBe("address_in_use");
    expect(await start({ host: "198.51.100.1", port: 0 })).toBe("bad_address");
    expect(await start({ host: "no-such-host.invalid", port: 0 })).toBe("bad_address");
    expect(await start(unixAddress)).toBe("address_in_use");
    expect(await start({ path: join(folder, "x".repeat(108)) })).toBe("bad_address");
    expect(await start({ path: join(folder, "none", "x.sock") })).toBe("bad_address");
    const file = join(folder, "file");
    writeFileSync(file, "kept");
    expect(["address_in_use", "bad_address"]).toContain(await start({ path: file }));
    expect(statSync(file).size).toBe(4);
  });

  test("replaces the socket file of a process that was killed; its own is 0600", async () => {
    const path = join(folder, "stale.sock");
    spawnSync(process.execPath, ["-e", `require("node:net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, "SIGKILL"))`]);
    expect(statSync(path).isSocket()).toBe(true);
    const server = await startHttp2Server({ listen: { path }, ...options });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await server.close();
    expect(await start({ path })).toBe(undefined);
  });

  test("leaves no descriptors behind", async () => {
    const count = () => readdirSync("/proc/self/fd").length;
    const round = async (tls: TlsIdentity) => {
      await request({ ...overTls(), tls, method: "GET", path: "/v1/who" }).then((answer) => answer.text(), () => {});
      await request({ ...overUnix(), method: "GET", path: "/v1/who" }).then((answer) => answer.text());
      let over = false;
      const link = connectLink({ ...overTls(), onFrames: () => link.close(), onClose: () => void (over = true) });
      link.send(Uint8Array.of(1));
      await until(() => over, 1_000);
    };
    await round(peers);
    const before = count();
    for (let index = 0; index < 30; index++) await round(index % 2 === 0 ? peers : foreign);
    await until(() => count() <= before + 2, 2_000);
  });
});

test("a process ends by itself once its links and requests are over", () => {
  const script = join(folder, "ends.ts");
  const root = join(import.meta.dirname, "../..");
  writeFileSync(script, `
    import { connectLink, request } from "${root}/transports/http2_client.ts";
    const to = ${JSON.stringify(overTls())};
    await (await request({ ...to, method: "GET", path: "/v1/who" })).json();
    await request({ ...to, method: "GET", path: "/v1/slow", timeoutMs: 20 }).catch(() => {});
    const link = connectLink({ ...to, onFrames: () => link.close(), onClose: () => console.log("over", Math.round(performance.now())) });
    link.send(Uint8Array.of(1));
  `);
  const startedAt = performance.now();
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  let said = "";
  child.stdout.on("data", (text) => void (said += text));
  return new Promise<void>((done) => {
    child.once("close", (status) => {
      expect(status).toBe(0);
      expect(said).toContain("over");
      // A timer that is left would keep it for ten seconds.
      expect(performance.now() - startedAt).toBeLessThan(5_000);
      done();
    });
  });
});
