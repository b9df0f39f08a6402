/**
 * What stands in checkpoint files, checked before it is believed: a checksum
 * proves that the bytes are those once written, not that they are ours.
 *
 * @module
 */
import { checkpointFormat, type CommitRecord, type Snapshot } from "../../core/checkpoint.ts";
import { CodecError, decode } from "../../core/codec.ts";
import { CheckpointError } from "../../core/errors.ts";
import type { Generation } from "../../core/generation.ts";

/** First record of every log: whose it is and what it follows, so that no other file passes for it. */
export type LogHeader = {
  readonly format: typeof checkpointFormat;
  readonly armor: string;
  /** Number of the file. */
  readonly log: number;
  /** The commit its first record follows. */
  readonly after: number;
  /** The generation its snapshot had: a log does not continue one of another. */
  readonly generation: Generation;
};

/** Last record of a log that was followed by another: so that nobody takes it for the newest. */
export type LogEnd = { readonly next: number };

/** @throws {CheckpointError} `"damaged"` if it is none, `"version"` if it is one of another format. */
export function readSnapshot(content: Uint8Array): Snapshot {
  const value = readRecord(content);
  checkFormat(value);
  if (
    isText(value["armor"]) && isGeneration(value["generation"]) && isCount(value["commit"]) && isCount(value["messages"]) &&
    isRecord(value["continuations"]) && Object.values(value["continuations"]).every(isRecord) &&
    isRecord(value["elements"]) &&
    Object.values(value["elements"]).every((item) => isRecord(item) && isCount(item["version"]) && isRecord(item["state"])) &&
    isListOf(value["channels"], isChannel)
  ) {
    return value as unknown as Snapshot;
  }
  throw new CheckpointError("damaged", "it is not a snapshot");
}

/** @throws {CheckpointError} As {@link readSnapshot}. */
export function readLogHeader(content: Uint8Array): LogHeader {
  const value = readRecord(content);
  checkFormat(value);
  if (isText(value["armor"]) && isCount(value["log"]) && isCount(value["after"]) && isGeneration(value["generation"])) {
    return value as unknown as LogHeader;
  }
  throw new CheckpointError("damaged", "it does not begin with the header of a log");
}

/** @throws {CheckpointError} `"damaged"` if it is neither. */
export function readLogRecord(content: Uint8Array): CommitRecord | LogEnd {
  const value = readRecord(content);
  if (isCount(value["next"]) && Object.keys(value).length === 1) return value as LogEnd;
  const optional = (name: string, test: (item: unknown) => boolean): boolean => value[name] === undefined || test(value[name]);
  if (
    isCount(value["commit"]) && isGeneration(value["generation"]) && optional("messages", isCount) &&
    optional("versions", (item) => isRecord(item) && Object.values(item).every(isCount)) &&
    optional("removed", (item) => isListOf(item, isText)) &&
    optional("set", (item) => isRecord(item) && Object.values(item).every(isRecord)) &&
    optional("unset", (item) => isRecord(item) && Object.values(item).every((names) => isListOf(names, isText))) &&
    optional("continuations", (item) => isRecord(item) && Object.values(item).every((one) => one === null || isRecord(one))) &&
    ["sent", "handled", "acked"].every((name) => optional(name, (item) => isListOf(item, isOfPeer))) &&
    optional("channels", (item) => isListOf(item, isChannel)) && optional("forgotten", (item) => isListOf(item, isText))
  ) {
    return value as unknown as CommitRecord;
  }
  throw new CheckpointError("damaged", "a record is not a commit");
}

/** Whether the content is one of a log, for the search behind damage. */
export function isLogRecord(content: Uint8Array): boolean {
  try {
    readLogRecord(content);
    return true;
  } catch {
    return false;
  }
}

type Fields = { readonly [name: string]: unknown };

function readRecord(content: Uint8Array): Fields {
  try {
    const value = decode(content);
    if (isRecord(value)) return value;
  } catch (cause) {
    if (!(cause instanceof CodecError)) throw cause;
    throw new CheckpointError("damaged", "a record is not readable CBOR", { cause });
  }
  throw new CheckpointError("damaged", "a record is not a map");
}

function checkFormat(value: Fields): void {
  if (isCount(value["format"]) && value["format"] !== checkpointFormat) {
    throw new CheckpointError("version", `format version is ${value["format"]}, expected ${checkpointFormat}`);
  }
  if (value["format"] !== checkpointFormat) throw new CheckpointError("damaged", "it is not a checkpoint file");
}

function isRecord(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array);
}
function isText(value: unknown): boolean {
  return typeof value === "string";
}
function isCount(value: unknown): boolean {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
function isListOf(value: unknown, test: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(test);
}
function isGeneration(value: unknown): boolean {
  return isRecord(value) && isCount(value["epoch"]) && isText(value["node"]) && isCount(value["counter"]);
}
function isOfPeer(value: unknown): value is Fields {
  return isRecord(value) && isText(value["peer"]);
}
function isLanes(value: unknown): boolean {
  return isRecord(value) && isCount(value["system"]) && isCount(value["user"]);
}
function isChannel(value: unknown): boolean {
  return isOfPeer(value) && isGeneration(value["numbered"]) && ["marks", "next", "acked"].every((name) => isLanes(value[name])) &&
    isListOf(value["outbox"], isRecord);
}
