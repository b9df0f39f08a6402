/**
 * Figures of the transports on loopback: run with `bun bench/transports.ts` or
 * `deno run -A bench/transports.ts`. The other end is a process of its own.
 *
 * @module
 */
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectLink, request } from "../transports/http2_client.ts";
import type { Destination } from "../transports/http2_session.ts";
import { openUdp } from "../transports/udp.ts";

if (process.argv[2] === "echo") await serve(process.argv[3]!);
else await main();

/** The other end: echoes frames, datagrams and requests. */
async function serve(folder: string): Promise<void> {
  const startedAt = performance.now();
  const { mintCertificate } = await import("../transports/certificates.ts");
  const importedAt = performance.now();
  const tls = await mintCertificate(new Uint8Array(32), "echo");
  const mintedAt = performance.now();
  const { startHttp2Server } = await import("../transports/http2_server.ts");
  const { createApp } = await import("../transports/http2_app.ts");
  const app = createApp();
  app.get("/", (context) => context.json({ ok: true }));
  const options: Pick<Parameters<typeof startHttp2Server>[0], "fetch" | "onLink"> = {
    fetch: app.fetch,
    onLink: (link) => ({
      onFrames: (frames) => {
        for (const frame of frames) link.send(frame);
      },
      onClose() {},
    }),
  };
  const tcp = await startHttp2Server({ listen: { host: "127.0.0.1", port: 0 }, tls, ...options });
  await startHttp2Server({ listen: { path: join(folder, "s") }, ...options });
  const udp = await openUdp({ host: "127.0.0.1", port: 0, onDatagram: (bytes, from) => udp.send(bytes, from) });
  console.log(JSON.stringify({
    tcp: tcp.port,
    udp: udp.port,
    tls,
    importMs: importedAt - startedAt,
    mintMs: mintedAt - importedAt,
    listenMs: performance.now() - mintedAt,
  }));
}

async function main(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "armor-bench-"));
  const script = process.argv[1]?.endsWith(".ts") ? [...("Deno" in globalThis ? ["run", "-A"] : []), process.argv[1]] : [];
  const child = spawn(process.execPath, [...script, "echo", folder], { stdio: ["ignore", "pipe", "inherit"] });
  try {
    const there = JSON.parse(await new Promise<string>((done) => child.stdout.once("data", (text) => done(String(text)))));
    console.log(`certificates: import ${there.importMs.toFixed(1)} ms, mint ${there.mintMs.toFixed(1)} ms; servers listening ${there.listenMs.toFixed(1)} ms later`);
    await datagrams(there.udp);
    const tls: Destination = { address: { host: "127.0.0.1", port: there.tcp }, tls: there.tls };
    const unix: Destination = { address: { path: join(folder, "s") } };
    for (const [name, to] of [["Unix socket", unix], ["TLS", tls]] as const) await links(name, to);
    await death(tls, () => child.kill("SIGKILL"));
  } finally {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true });
  }
}

function line(name: string, times: number[]): void {
  times.sort((left, right) => left - right);
  const at = (part: number): string => (times[Math.floor(times.length * part)]! * 1_000).toFixed(0);
  console.log(`${name}: p50 ${at(0.5)} µs, p99 ${at(0.99)} µs`);
}

async function datagrams(port: number): Promise<void> {
  let answered: () => void = () => {};
  const udp = await openUdp({ host: "127.0.0.1", port: 0, onDatagram: () => answered() });
  const times: number[] = [];
  for (let round = 0; round < 5_000; round++) {
    const startedAt = performance.now();
    await new Promise<void>((done) => {
      answered = done;
      udp.send(new Uint8Array(128), { host: "127.0.0.1", port });
    });
    times.push(performance.now() - startedAt);
  }
  udp.close();
  line("UDP round trip, 128 bytes", times.slice(500));
}

async function links(name: string, to: Destination): Promise<void> {
  let heard = 0;
  let answered: () => void = () => {};
  const link = connectLink({
    ...to,
    onFrames(frames) {
      heard += frames.length;
      answered();
    },
    onClose() {},
  });
  const times: number[] = [];
  for (let round = 0; round < 5_000; round++) {
    const startedAt = performance.now();
    await new Promise<void>((done) => {
      answered = done;
      link.send(new Uint8Array(256));
    });
    times.push(performance.now() - startedAt);
  }
  line(`link over ${name}, one 256-byte frame there and back`, times.slice(500));

  const count = 1_000_000;
  const frame = new Uint8Array(256);
  heard = 0;
  let sent = 0;
  const startedAt = performance.now();
  await new Promise<void>((done) => {
    const more = (): void => {
      if (heard === count) return done();
      while (sent < count && sent - heard < 20_000) {
        link.send(frame);
        sent++;
      }
    };
    answered = more;
    more();
  });
  const seconds = (performance.now() - startedAt) / 1_000;
  console.log(`link over ${name}, 256-byte frames echoed: ${Math.round(count / seconds).toLocaleString("en")}/s`);

  const large = new Uint8Array(4 * 1024 * 1024);
  heard = 0;
  const largeAt = performance.now();
  await new Promise<void>((done) => {
    answered = () => (heard === 50 ? done() : link.send(large));
    link.send(large);
    link.send(large);
  });
  console.log(`link over ${name}, 4 MiB frames echoed: ${Math.round(200 / ((performance.now() - largeAt) / 1_000))} MiB/s each way`);
  link.close();

  const requests: number[] = [];
  for (let round = 0; round < 200; round++) {
    const askedAt = performance.now();
    await (await request({ ...to, method: "GET", path: "/" })).json();
    requests.push(performance.now() - askedAt);
  }
  line(`request over ${name}, connection included`, requests.slice(20));
}

async function death(to: Destination, kill: () => void): Promise<void> {
  const ended = Promise.withResolvers<string>();
  const link = connectLink({ ...to, onFrames: () => {}, onClose: (reason) => ended.resolve(reason), onOpen: () => opened.resolve() });
  const opened = Promise.withResolvers<void>();
  link.send(new Uint8Array(1));
  await opened.promise;
  await new Promise((done) => setTimeout(done, 50));
  const killedAt = performance.now();
  kill();
  const reason = await ended.promise;
  console.log(`peer killed: told "${reason}" after ${(performance.now() - killedAt).toFixed(1)} ms`);
}
