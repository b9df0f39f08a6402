/**
 * Streams of a daemon, passed on as they come: bytes for logs, lines for events.
 *
 * @module
 */
import type { CommandInput } from "./command.ts";
import { type DaemonClient, connectDaemon } from "./daemon_client.ts";
import type { Terminal } from "./terminal.ts";

/** For the beginning of the answer. */
const beginWithinMs = 7_000;

/** A line longer than this is passed on in pieces: memory stays bounded. */
const lineCharactersMax = 1_048_576;

async function open(input: CommandInput, terminal: Terminal, path: string): Promise<{ daemon: DaemonClient; bytes: AsyncIterable<Uint8Array> }> {
  const daemon = await connectDaemon(input, terminal);
  terminal.endOnInterrupt();
  return { daemon, bytes: daemon.stream({ method: "GET", path, timeoutMs: beginWithinMs }) };
}

/** Print what comes, unchanged. Returns at the end of the stream. */
export async function streamBytes(input: CommandInput, terminal: Terminal, path: string): Promise<void> {
  const { bytes } = await open(input, terminal, path);
  for await (const chunk of bytes) terminal.out(chunk);
}

/** Print each line as `show` puts it. Returns at the end of the stream. */
export async function streamLines(
  input: CommandInput,
  terminal: Terminal,
  path: string,
  show: (line: string) => string,
): Promise<void> {
  const { bytes } = await open(input, terminal, path);
  for await (const line of linesOf(bytes)) terminal.out(`${show(line)}\n`);
}

/** Split into lines; characters may be cut anywhere between chunks, and the last line may lack its end. */
export async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    const pieces = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = pieces.pop() ?? "";
    for (const piece of pieces) if (piece !== "") yield piece;
    if (rest.length > lineCharactersMax) {
      yield rest;
      rest = "";
    }
  }
  rest += decoder.decode();
  if (rest !== "") yield rest;
}
