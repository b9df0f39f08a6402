/**
 * Prober: asks programs whether they work, by HTTP, by TCP, or by running a
 * program. It asks and says what it heard; who counts is the element.
 *
 * Only so many at once: a thousand hanging programs must not use up the
 * descriptors and processes with which they are to be recovered.
 *
 * @module
 */
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { Clock } from "../../core/clock.ts";
import { parseAddress } from "../../transports/address.ts";
import type { AskedProbe } from "../application.ts";
import { spawnDetached } from "./child_process.ts";
import { type ProgramOptions, programCommand } from "./program_command.ts";
import { signalGroup, signalLeftBehind } from "./process_group.ts";
import { findProgram } from "./program_lookup.ts";

/** What a probe found. Plain data. */
export type ProbeAnswer = {
  readonly ok: boolean;
  /** Why not, in a few words for an event. */
  readonly reason: string;
  /** When it was asked: after its turn had come. */
  readonly askedMs: number;
};

/** How the program of an `exec` probe is run: as the application is. */
export type ProbeSurroundings = Omit<ProgramOptions, "command" | "args">;

/** Probes at once. */
const socketsMax = 64;
const processesMax = 8;

/** Asks, never more than so many at once. */
export class Prober {
  readonly #sockets: Turns;
  readonly #processes: Turns;

  constructor(readonly clock: Clock, limits: { readonly socketsMax?: number; readonly processesMax?: number } = {}) {
    this.#sockets = new Turns(limits.socketsMax ?? socketsMax);
    this.#processes = new Turns(limits.processesMax ?? processesMax);
  }

  /**
   * Ask once.
   *
   * @param surroundings Called if it is an `exec` probe; a text says why it cannot be run.
   * @returns Within `timeoutMs` after its turn has come. Never rejects.
   */
  async ask(probe: AskedProbe, surroundings: () => ProbeSurroundings | string): Promise<ProbeAnswer> {
    const turns = probe.type === "exec" ? this.#processes : this.#sockets;
    return await turns.take(async () => {
      const askedMs = this.clock.nowMs();
      let reason: string;
      try {
        if (probe.type === "http") reason = await askHttp(probe.url, probe.timeoutMs);
        else if (probe.type === "tcp") reason = await askTcp(probe.address, probe.timeoutMs);
        else reason = await askProgram(probe, surroundings());
      } catch (error) {
        reason = errorText(error);
      }
      return { ok: reason === "", reason, askedMs };
    });
  }
}

/** So many at once, the others in order. */
class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(max: number) {
    this.#free = max;
  }

  async take<T>(work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free -= 1;
    else await new Promise<void>((resolve) => this.#waiting.push(resolve));
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#free += 1;
    }
  }
}

/** Status 200 to 399 is good; redirections are not followed, the body is not read. */
async function askHttp(url: string, timeoutMs: number): Promise<string> {
  const secure = url.startsWith("https:");
  const { request } = secure ? await import("node:https") : await import("node:http");
  return await new Promise((resolve) => {
    const options = {
      agent: false,
      headers: { "user-agent": "armor-probe", accept: "*/*", connection: "close" },
      // A program that answers is alive, whoever signed its certificate.
      ...(secure && { rejectUnauthorized: false }),
    } as const;
    const asked = request(url, options, (response: IncomingMessage) => {
      const { statusCode: status = 0 } = response;
      done(status >= 200 && status < 400 ? "" : `status ${status}`);
    });
    const timer = setTimeout(() => done(`no answer within ${timeoutMs} ms`), timeoutMs);
    function done(reason: string): void {
      clearTimeout(timer);
      resolve(reason);
      asked.destroy();
    }
    // Stays: what comes after the answer is nobody's business.
    asked.on("error", (error: unknown) => done(errorText(error)));
    asked.end();
  });
}

/** A connection that opens is good. */
function askTcp(address: string, timeoutMs: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(parseAddress(address));
    const timer = setTimeout(() => done(`no answer within ${timeoutMs} ms`), timeoutMs);
    function done(reason: string): void {
      clearTimeout(timer);
      resolve(reason);
      socket.destroy();
    }
    socket.on("connect", () => done(""));
    socket.on("error", (error) => done(errorText(error)));
  });
}

/** The program's group is killed when its time is over; `timeout` does the same should this process not live to do it. */
async function askProgram(probe: AskedProbe & { readonly type: "exec" }, surroundings: ProbeSurroundings | string): Promise<string> {
  if (typeof surroundings === "string") return surroundings;
  const { timeoutMs, command, args } = probe;
  const found = programCommand({ ...surroundings, command, args }, { session: false });
  if (!found.ok) return found.reason;
  const timeout = findProgram("timeout");
  const guard = timeout.ok ? [timeout.path, "-s", "KILL", `${Math.ceil(timeoutMs / 1_000) + 1}`] : [];
  const child = spawnDetached({ argv: [...guard, ...found.argv] as [string, ...string[]], env: found.env, directory: surroundings.directory });
  const end = (): void => void (child.identity && signalGroup(child.identity, "SIGKILL"));
  let late = false;
  const timer = setTimeout(() => {
    late = true;
    end();
  }, timeoutMs);
  return await new Promise((resolve) => {
    child.onExit(({ code, signal }) => {
      clearTimeout(timer);
      // What it left in its group goes with it.
      if (child.identity) end();
      else signalLeftBehind(child.pid, "SIGKILL");
      resolve(late ? `no answer within ${timeoutMs} ms` : code === 0 ? "" : code === null ? `signal ${signal}` : `status ${code}`);
    });
  });
}

const reasons: { readonly [code: string]: string } = {
  ECONNREFUSED: "connection refused",
  ECONNRESET: "connection reset",
  EHOSTUNREACH: "host unreachable",
  ENETUNREACH: "network unreachable",
  ENOTFOUND: "unknown host",
  ETIMEDOUT: "connection timed out",
};

/** Runtimes word the same failure differently. */
function errorText(error: unknown): string {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (String(code).startsWith("HPE_")) return "no HTTP";
  if (typeof code === "string") return reasons[code] ?? code;
  return /refused/i.test(String(message)) ? reasons["ECONNREFUSED"]! : String(message ?? error).split("\n")[0]!.slice(0, 100);
}
