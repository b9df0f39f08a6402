/**
 * The demonstration's application: an HTTP server that says which process
 * answers. Served by the executable itself, so that the demonstration needs
 * nothing else on the machine.
 *
 * @module
 */
import { createServer } from "node:http";
import process from "node:process";
import { UsageError } from "../../core/errors.ts";

/** First word of the command line that starts it; internal, not in the help. */
export const applicationCommand = "demo-app";

/** What it answers to every request, as JSON. */
export interface ApplicationAnswer {
  readonly pid: number;
  /** Name of the node that runs it. */
  readonly node: string;
  readonly instance: string;
  /** Requests answered by this process. */
  readonly requests: number;
}

/**
 * Serve `armor demo-app PORT` on loopback until the process is ended.
 *
 * @param argv Words after the command.
 * @throws {UsageError} If there is no port.
 */
export async function serveApplication(argv: readonly string[]): Promise<void> {
  const port = Number(argv[0]);
  if (argv.length !== 1 || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new UsageError(`${applicationCommand} is a part of armor demo and takes a port`);
  }
  const { ARMOR_NODE: node = "", ARMOR_INSTANCE: instance = "" } = process.env;
  let requests = 0;
  const server = createServer((_request, response) => {
    const answer: ApplicationAnswer = { pid: process.pid, node, instance, requests: ++requests };
    response.setHeader("content-type", "application/json");
    response.end(`${JSON.stringify(answer)}\n`);
  });
  await new Promise<void>((listening, failed) => {
    server.once("error", failed);
    server.listen({ host: "127.0.0.1", port }, listening);
  });
  console.log(`serving on 127.0.0.1:${port} as pid ${process.pid}`);
}
