/**
 * The daemon that a command talks to: the local one over its Unix socket, or a
 * remote one over mutual TLS. Turns everything that can go wrong on the way into
 * one line.
 *
 * @module
 */
import { resolve } from "node:path";
import { UsageError } from "../core/errors.ts";
import { type ResponseHead, request } from "../transports/http2_client.ts";
import { TransportError } from "../transports/transport_error.ts";
import { CommandError, type CommandFailureCode, type CommandInput, printable } from "./command.ts";
import { type Terminal, errorCode } from "./terminal.ts";

/** Where a daemon listens unless something else is said. */
export const defaultDataDir = "/var/lib/armor";

/** One request. */
export interface DaemonRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** For the beginning of the answer; a stream may last. */
  readonly timeoutMs: number;
  /** Set for changes: what to say when it is unknown whether the daemon made them. */
  readonly silence?: string;
}

/** A daemon that can be asked. */
export interface DaemonClient {
  /** For error texts: `the daemon at …`. */
  readonly place: string;
  /** @returns The parsed answer. @throws {CommandError | UsageError} As the daemon said, or what kept it from answering. */
  json(request: DaemonRequest): Promise<unknown>;
  /** @returns The answer's bytes as they come. */
  stream(request: DaemonRequest): AsyncIterable<Uint8Array>;
}

type Target = Pick<Parameters<typeof request>[0], "address" | "tls">;

/**
 * Choose the daemon by `--address`, `--data-dir`, `$ARMOR_DATA_DIR` or the
 * default, in this order. Opens no connection yet.
 *
 * @throws {UsageError} For options that contradict each other.
 */
export async function connectDaemon(input: CommandInput, terminal: Terminal): Promise<DaemonClient> {
  const address = input.text("address");
  const dataDir = input.text("data-dir");
  if (address !== undefined) {
    if (dataDir !== undefined) throw new UsageError("--address and --data-dir exclude each other: give one");
    const secretFile = input.text("secret-file");
    if (secretFile === undefined) throw new UsageError("--address needs the cluster secret: add --secret-file FILE");
    const target = await remoteTarget(address, secretFile);
    return daemonClient(`the daemon at ${printable(address)}`, target, "check the address, and that the daemon runs", terminal.waitMsMax);
  }
  if (dataDir === "") throw new UsageError("--data-dir is empty: give the data folder of a daemon");
  const folder = resolve(terminal.directory, dataDir ?? (terminal.environment.ARMOR_DATA_DIR || defaultDataDir));
  const place = `the daemon at ${printable(folder)}`;
  const { findDaemonSocket } = await import("./daemon_socket.ts");
  const found = findDaemonSocket(folder);
  if (found === "denied") throw permissionDenied(place);
  if (found === "missing") throw noDaemon(place, startOne);
  return daemonClient(place, { address: { path: found.socket } }, startOne, terminal.waitMsMax);
}

const startOne = "start one with --role daemon or give --data-dir";

function noDaemon(place: string, fix: string, cause?: unknown): CommandError {
  return new CommandError("no-daemon", `no daemon answers at ${place.replace("the daemon at ", "")}: ${fix}`, { cause });
}

function permissionDenied(place: string, cause?: unknown): CommandError {
  return new CommandError("no-daemon", `permission denied at ${place}: run this as the daemon's user or as root`, { cause });
}

async function remoteTarget(address: string, secretFile: string): Promise<Target> {
  const { parseAddress } = await import("../transports/address.ts");
  let parsed: ReturnType<typeof parseAddress>;
  try {
    parsed = parseAddress(address);
  } catch (error) {
    const text = (error as Error).message;
    throw new UsageError(`--address: ${text.slice(0, 1).toLowerCase()}${text.slice(1)}`);
  }
  if (parsed.port === 0) throw new UsageError(`--address ${JSON.stringify(address)}: the port must be from 1 to 65535`);
  const { readSecretFile } = await import("../transports/secret.ts");
  const secret = readSecretFile(secretFile);
  const { mintCertificate } = await import("../transports/certificates.ts");
  return { address: parsed, tls: await mintCertificate(secret, "cli") };
}

function daemonClient(place: string, target: Target, fix: string, waitMsMax = Number.POSITIVE_INFINITY): DaemonClient {
  const ask = async <T>({ method, path, body, silence, ...wanted }: DaemonRequest, read: (answer: ResponseHead) => Promise<T>): Promise<T> => {
    const timeoutMs = Math.min(wanted.timeoutMs, waitMsMax);
    try {
      // A hung daemon is replaced within 2 s, so wait for the connection as long as for the answer.
      const connectTimeoutMs = Math.min(timeoutMs, 7_000);
      const answer = await request({ ...target, method, path, ...(body !== undefined && { json: body }), timeoutMs, connectTimeoutMs });
      if (answer.status !== 200) throw refusal(place, answer.status, await answer.text());
      return await read(answer);
    } catch (error) {
      throw explained(error, place, fix, timeoutMs, silence);
    }
  };
  return {
    place,
    json: async (wanted) => {
      const text = await ask(wanted, (answer) => answer.text());
      try {
        return JSON.parse(text);
      } catch (cause) {
        throw new CommandError("unavailable", `${place} gave an answer that is not JSON: is it another version?`, { cause });
      }
    },
    async *stream(wanted) {
      const answer = await ask(wanted, (head) => Promise.resolve(head));
      try {
        yield* answer.stream;
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
        throw new CommandError("closed", `${place} ended the stream before its end: repeat the command`, { cause: error });
      }
    },
  };
}

const failureCodes: readonly string[] = ["refused", "absent", "unknown", "stale"] satisfies CommandFailureCode[];

/** What a daemon's answer other than 200 means. `usage` is the operator's to mend: status 2. */
function refusal(place: string, status: number, text: string): Error {
  const answer = parsedRefusal(text);
  if (typeof answer?.error !== "string") {
    return new CommandError("unavailable", `${place} answered with HTTP status ${status}: is it another version?`);
  }
  if (answer.code === "usage") return new UsageError(answer.error);
  const code = failureCodes.includes(String(answer.code)) ? (answer.code as CommandFailureCode) : "refused";
  // A script and a person must be able to tell "unknown" from "failed" by the text alone.
  return new CommandError(code, code === "unknown" && !answer.error.startsWith("unknown") ? `unknown: ${answer.error}` : answer.error);
}

function parsedRefusal(text: string): { readonly code?: unknown; readonly error?: unknown } | null {
  try {
    return JSON.parse(text) as ReturnType<typeof parsedRefusal>;
  } catch {
    return null;
  }
}

/** What a broken connection means: whether anything was sent decides. */
function explained(error: unknown, place: string, fix: string, timeoutMs: number, silence: string | undefined): unknown {
  if (!(error instanceof TransportError)) return error;
  const options = { cause: error };
  switch (error.code) {
    case "unreachable":
      return deniedBySystem(error) ? permissionDenied(place, error) : noDaemon(place, fix, error);
    case "timeout":
      if (silence !== undefined) return new CommandError("unknown", `unknown: ${silence}`, options);
      return new CommandError("unavailable", `${place} did not answer within ${timeoutMs / 1_000} s: repeat the command`, options);
    case "lost":
      if (silence !== undefined) return new CommandError("unknown", `unknown: ${place} went away before it answered; repeat the command`, options);
      return new CommandError("unavailable", `${place} went away before it answered: repeat the command`, options);
    case "wrong_secret":
      return new CommandError("refused", `${place} belongs to a cluster with another secret: give its --secret-file`, options);
    default:
      return new CommandError("unavailable", `${place}: ${error.message.slice(0, 1).toLowerCase()}${error.message.slice(1)}`, options);
  }
}

/** Whether the system refused us the socket, rather than nobody listening. */
function deniedBySystem(error: TransportError): boolean {
  const code = errorCode(error.cause);
  return code === "EACCES" || code === "EPERM";
}
