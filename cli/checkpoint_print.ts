/**
 * Printing checkpoint files, for people or as JSON.
 *
 * @module
 */
import { type LogHeader, readLogHeader, readLogRecord, readSnapshot } from "../armors/host/checkpoint_content.ts";
import { readBounded } from "../armors/host/checkpoint_restore.ts";
import { scanFrames } from "../armors/host/record_frame.ts";
import type { CommitRecord, Snapshot } from "../core/checkpoint.ts";
import { decode } from "../core/codec.ts";
import { CheckpointError } from "../core/errors.ts";
import { generationText } from "../core/generation.ts";
import type { Terminal } from "./terminal.ts";

/** One document of a file. */
type Document =
  | ({ readonly type: "snapshot" } & Snapshot)
  | ({ readonly type: "log" } & LogHeader)
  | ({ readonly type: "commit" } & CommitRecord)
  | { readonly type: "end"; readonly next: number };

/**
 * Print a snapshot or a log. As JSON, a snapshot is one document, a log one
 * document a line; byte strings become `{"base64": …}`, messages in CBOR `{"cbor": …}`.
 *
 * What is readable before damage is printed too.
 *
 * @throws {CheckpointError} `"unreadable"` if the system refuses, `"version"` if
 *   a newer program wrote it, `"damaged"` if it is no checkpoint, or cut or altered.
 */
export async function printCheckpoint(file: string, json: boolean, terminal: Terminal): Promise<void> {
  const { documents, problem } = readCheckpointFile(file);
  for (const document of documents) {
    terminal.out(json ? `${JSON.stringify(plain(document))}\n` : text(document).map((line) => `${visible(line)}\n`).join(""));
  }
  if (problem !== undefined) throw problem;
}

/** Everything in a file up to the first damage. */
export function readCheckpointFile(file: string): { readonly documents: readonly Document[]; readonly problem?: CheckpointError } {
  const name = JSON.stringify(file);
  const fail = (code: "damaged" | "version", reason: string) => new CheckpointError(code, `Cannot read checkpoint ${name}: ${reason}`);
  const bytes = readBounded(file);
  const { contents, length, rest } = scanFrames(bytes);
  const documents: Document[] = [];
  let problem: CheckpointError | undefined;
  try {
    if (bytes.length === 0) throw new CheckpointError("damaged", "it is empty");
    const [first, ...others] = contents;
    if (first === undefined) {
      const known = bytes[0] === 0x82 && bytes[1] === 0x1a;
      throw new CheckpointError("damaged", known ? "its first record is cut or altered" : "it is not a checkpoint file");
    }
    const fields = decode(first);
    if (typeof fields === "object" && fields !== null && "elements" in fields) {
      documents.push({ type: "snapshot", ...readSnapshot(first) });
      if (others.length > 0) throw new CheckpointError("damaged", "a snapshot is followed by more records");
    } else {
      documents.push({ type: "log", ...readLogHeader(first) });
      for (const content of others) {
        const record = readLogRecord(content);
        documents.push("next" in record ? { type: "end", next: record.next } : { type: "commit", ...record });
      }
    }
  } catch (error) {
    if (!(error instanceof CheckpointError)) problem = fail("damaged", "it is not a checkpoint file");
    else problem = fail(error.code === "version" ? "version" : "damaged", error.message);
  }
  if (problem === undefined && rest !== "nothing") {
    const left = bytes.length - length;
    problem = fail("damaged", rest === "torn" ? `its last ${left} bytes are no whole record` : `it is altered at byte ${length}, with records behind`);
  }
  return problem === undefined ? { documents } : { documents, problem };
}

/** Lines for people. */
function text(document: Document): string[] {
  switch (document.type) {
    case "snapshot":
      return [
        `snapshot of ${document.armor}: commit ${document.commit}, generation ${generationText(document.generation)}, ${document.messages} messages sent`,
        ...Object.entries(document.elements).flatMap(([name, { version, state }]) => [
          `  element ${name}, version ${version}`,
          ...Object.entries(state).map(([property, value]) => `    ${property} = ${inline(value)}`),
        ]),
        ...Object.entries(document.continuations).map(([key, value]) => `  continuation ${key} = ${inline(value)}`),
        ...document.channels.map(({ peer, ...channel }) => `  channel ${peer} = ${inline(channel)}`),
      ];
    case "log":
      return [`log ${document.log} of ${document.armor}: after commit ${document.after}, generation ${generationText(document.generation)}`];
    case "end":
      return [`end: log ${document.next} follows`];
    case "commit":
      return [`commit ${document.commit}, generation ${generationText(document.generation)}`, ...changes(document)];
  }
}

function changes(record: CommitRecord): string[] {
  const lines: string[] = [];
  if (record.messages !== undefined) lines.push(`  messages = ${record.messages}`);
  for (const element of record.removed ?? []) lines.push(`  element ${element} is removed`);
  for (const [element, version] of Object.entries(record.versions ?? {})) lines.push(`  element ${element} is version ${version} from here`);
  for (const [element, properties] of Object.entries(record.set ?? {})) {
    for (const [property, value] of Object.entries(properties)) lines.push(`  ${element}.${property} = ${inline(value)}`);
  }
  for (const [element, properties] of Object.entries(record.unset ?? {})) {
    for (const property of properties) lines.push(`  ${element}.${property} is gone`);
  }
  for (const [key, value] of Object.entries(record.continuations ?? {})) {
    lines.push(value === null ? `  continuation ${key} is finished` : `  continuation ${key} = ${inline(value)}`);
  }
  for (const { peer, ...channel } of record.channels ?? []) lines.push(`  channel ${peer} = ${inline(channel)}`);
  for (const { peer, acked } of record.acked ?? []) lines.push(`  acknowledged by ${peer}: system ${acked.system}, user ${acked.user}`);
  for (const { peer, lane, sequence, body } of record.sent ?? []) lines.push(`  sent to ${peer}: ${lane} ${sequence} = ${inline(body)}`);
  for (const { peer, lane, sequence } of record.handled ?? []) lines.push(`  handled from ${peer}: ${lane} ${sequence}`);
  for (const peer of record.forgotten ?? []) lines.push(`  channel ${peer} is forgotten`);
  return lines;
}

function inline(value: unknown): string {
  return JSON.stringify(plain(value));
}

/** JSON has no byte strings; those that are messages are shown as such. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array) {
    try {
      const decoded = decode(value);
      if (typeof decoded === "object" && decoded !== null) return { cbor: plain(decoded) };
    } catch {
      // bytes of the application's own
    }
    return { base64: Buffer.from(value).toString("base64") };
  }
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]));
}

/** Control characters of names and states stay out of the reader's terminal. */
function visible(line: string): string {
  return line.replace(/[\u0000-\u001f\u007f-\u009f]/g, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
