/**
 * Looking at an HTTP server from outside: one connection per question, so that a
 * replacement is found the moment it listens.
 *
 * @module
 */
import { connect } from "node:net";
import { nowMs } from "../../armors/host/system_clock.ts";

/** Where to ask. */
export interface ProbeTarget {
  readonly host: string;
  readonly port: number;
}

const waitMs = 250;

/**
 * Ask once.
 *
 * @param request What to send; the peer must end the connection.
 * @returns The whole answer; `undefined` if there was none within `timeoutMs`.
 */
export function ask(target: ProbeTarget, request: string, timeoutMs: number): Promise<string | undefined> {
  return new Promise((answered) => {
    let text = "";
    const socket = connect(target);
    const finish = (answer: string | undefined): void => {
      clearTimeout(timer);
      socket.destroy();
      answered(answer);
    };
    const timer = setTimeout(() => finish(undefined), timeoutMs);
    socket.setEncoding("latin1");
    socket.on("connect", () => socket.write(request));
    socket.on("data", (part: string) => {
      text += part;
    });
    socket.on("end", () => finish(text === "" ? undefined : text));
    socket.on("error", () => finish(undefined));
    socket.on("close", () => finish(text === "" ? undefined : text));
  });
}

/**
 * One GET of `/`.
 *
 * @returns The parsed body; `undefined` if it did not come.
 */
export async function getJson(target: ProbeTarget, timeoutMs = waitMs): Promise<unknown> {
  const text = await ask(target, "GET / HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n\r\n", timeoutMs);
  const body = text?.split("\r\n\r\n")[1];
  if (body === undefined) return undefined;
  try {
    return JSON.parse(body.slice(body.indexOf("{"), body.lastIndexOf("}") + 1));
  } catch {
    return undefined;
  }
}

/**
 * Ask `question` until it has an answer, at most `pauseMs` between an answer that
 * did not come and the next try.
 *
 * @returns The answer and when it came; `undefined` if there was none in time.
 */
export async function until<T>(
  question: () => T | undefined | Promise<T | undefined>,
  options: { readonly withinMs: number; readonly pauseMs: number },
): Promise<{ readonly value: T; readonly atMs: number } | undefined> {
  for (const endMs = nowMs() + options.withinMs; nowMs() <= endMs;) {
    const value = await question();
    if (value !== undefined) return { value, atMs: nowMs() };
    await new Promise((resume) => setTimeout(resume, options.pauseMs));
  }
  return undefined;
}
