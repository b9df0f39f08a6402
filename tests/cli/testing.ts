/**
 * What the tests of the command line share: a terminal that records, and a daemon
 * that answers what it is told.
 *
 * @module
 */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { createServer, type Http2Session, type ServerHttp2Stream } from "node:http2";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dataDir as dataDirOf } from "../../armors/host/data_dir.ts";
import { dataHash } from "../../armors/host/run_dir.ts";
import { runProgram } from "../../cli/program.ts";
import { OutputClosedError, type Terminal } from "../../cli/terminal.ts";

/** What a command printed and how it ended. */
export interface Outcome {
  readonly status: number;
  readonly out: string;
  readonly error: string;
}

/** Run a command in-process. */
export async function run(argv: readonly string[], options: Partial<Terminal> & { closeAfter?: number } = {}): Promise<Outcome> {
  let out = "";
  let error = "";
  let left = options.closeAfter ?? Number.POSITIVE_INFINITY;
  const decoder = new TextDecoder();
  const status = await runProgram(argv, {
    out: (text) => {
      if (left-- <= 0) throw new OutputClosedError("closed");
      out += typeof text === "string" ? text : decoder.decode(text, { stream: true });
    },
    error: (text) => {
      error += text;
    },
    environment: {},
    directory: "/home/me",
    columns: 80,
    endOnInterrupt: () => {},
    ...options,
  });
  return { status, out, error };
}

/** What a fake daemon heard. */
export interface Heard {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

/** A daemon's socket with `answer` behind it, in a folder of its own. */
export interface FakeDaemon {
  readonly dataDir: string;
  readonly heard: Heard[];
  /** Run a command against it. */
  run(argv: readonly string[], options?: Parameters<typeof run>[1]): Promise<Outcome>;
  close(): Promise<void>;
}

/** Start a fake daemon over a real Unix socket. `answer` may leave the stream open. */
export async function fakeDaemon(answer: (heard: Heard, stream: ServerHttp2Stream) => void): Promise<FakeDaemon> {
  const folder = mkdtempSync(join(tmpdir(), "armor-cli-"));
  const dataDir = join(folder, "data");
  const environment = { ARMOR_DATA_DIR: dataDir };
  mkdirSync(dataDir, { mode: 0o700 });
  const runDir = join(folder, dataHash(dataDirOf(dataDir)));
  mkdirSync(runDir, { mode: 0o700 });
  symlinkSync(runDir, join(dataDir, "run"));
  const socket = join(runDir, "daemon.sock");
  const heard: Heard[] = [];
  const sessions = new Set<Http2Session>();
  const server = createServer();
  server.on("session", (session) => sessions.add(session));
  server.on("sessionError", () => {});
  server.on("stream", (stream, headers) => {
    stream.on("error", () => {});
    let text = "";
    stream.setEncoding("utf8");
    stream.on("data", (part: string) => {
      text += part;
    });
    stream.on("end", () => {
      const request = { method: String(headers[":method"]), path: String(headers[":path"]), body: text === "" ? undefined : JSON.parse(text) };
      heard.push(request);
      answer(request, stream as ServerHttp2Stream);
    });
  });
  await new Promise<void>((done) => server.listen(socket, done));
  return {
    dataDir,
    heard,
    run: (argv, options) => run(argv, { environment, ...options }),
    close: async () => {
      for (const session of sessions) session.destroy();
      await new Promise<void>((done) => server.close(() => done()));
      rmSync(folder, { recursive: true });
    },
  };
}

/** Answer with JSON. */
export function reply(stream: ServerHttp2Stream, document: unknown, status = 200): void {
  stream.respond({ ":status": status, "content-type": "application/json" });
  stream.end(typeof document === "string" ? document : JSON.stringify(document));
}
