/**
 * Reading an armor's checkpoint files: which snapshot, which records, and whether
 * that is all there ever was. Nothing is changed here.
 *
 * @module
 */
import { join } from "node:path";
import type { CommitRecord, Snapshot } from "../../core/checkpoint.ts";
import { CheckpointError } from "../../core/errors.ts";
import { compareGenerations } from "../../core/generation.ts";
import type { ArmorId } from "../../core/micro_operation.ts";
import { isLogRecord, type LogHeader, readLogHeader, readLogRecord, readSnapshot } from "./checkpoint_content.ts";
import { type FileSystem, systemFiles } from "./file_system.ts";
import { scanFrames } from "./record_frame.ts";

/** A log grows to a few megabytes; what is far beyond is no checkpoint. */
const fileBytesMax = 512 * 1024 * 1024;

/** File name of a snapshot. */
export function snapshotName(number: number): string {
  return `${String(number).padStart(8, "0")}.cbor`;
}

/** File name of the log that follows the snapshot of the same number. */
export function logName(number: number): string {
  return `${snapshotName(number)}seq`;
}

/** Checkpoint files of a folder by number, ascending. */
export function listCheckpoints(folder: string, files: FileSystem = systemFiles): { readonly snapshots: number[]; readonly logs: number[]; readonly temporary: string[] } {
  const names = files.readdirSync(folder).sort();
  const numbers = (ending: RegExp): number[] => names.filter((name) => ending.test(name)).map((name) => Number(name.slice(0, 8)));
  return {
    snapshots: numbers(/^\d{8}\.cbor$/),
    logs: numbers(/^\d{8}\.cborseq$/),
    temporary: names.filter((name) => name.endsWith(".tmp")),
  };
}

/** One log as far as it can be read. */
export interface ReadLog {
  readonly header: LogHeader | undefined;
  readonly records: readonly CommitRecord[];
  /** Number of the log that followed, if one did. */
  readonly next: number | undefined;
  /** Bytes up to the end of the last good record. */
  readonly length: number;
  readonly rest: "nothing" | "torn" | "damaged";
  readonly damage: string | undefined;
}

/** Result of reading a folder. */
export interface ReadCheckpoints {
  readonly snapshot: Snapshot | undefined;
  readonly records: readonly CommitRecord[];
  readonly complete: boolean;
  readonly damage: readonly string[];
  /** Number of the snapshot used, 0 if none. */
  readonly base: number;
  /** Highest number ever used, as far as known; 0 if none. */
  readonly last: number;
  /** The log of number `last`, to be continued if `complete`. */
  readonly lastLog: ReadLog | undefined;
  /** Whether that log belongs to a snapshot that was never finished. */
  readonly lastIsBare: boolean;
  /** Bytes of the logs since the snapshot. */
  readonly logBytes: number;
}

/**
 * Read the newest snapshot from which all later records can be reached; failing
 * that, the one that reaches furthest.
 *
 * @throws {CheckpointError} `"unreadable"` if the system refuses to read, `"version"` if a newer program wrote.
 */
export function readCheckpoints(folder: string, armor: ArmorId, system: FileSystem = systemFiles): ReadCheckpoints {
  const { snapshots, logs: logNumbers } = listCheckpoints(folder, system);
  const logs = new Map(logNumbers.map((number) => [number, readLog(join(folder, logName(number)), number, armor, system)]));
  const last = Math.max(0, ...snapshots, ...logNumbers, ...[...logs.values()].map(({ next }) => next ?? 0));
  const files: Files = { snapshots: new Set(snapshots), logs, last };
  const shared = { last, lastLog: logs.get(last), lastIsBare: isBare(files, last) };
  const damage: string[] = [];
  let best: Reach | undefined;
  for (const base of snapshots.toReversed()) {
    const snapshot = tryReadSnapshot(join(folder, snapshotName(base)), armor, system);
    if (typeof snapshot === "string") {
      damage.push(`${snapshotName(base)}: ${snapshot}`);
      continue;
    }
    const reach = follow(base, snapshot, files);
    if (best === undefined || reach.complete || reach.commit > best.commit) best = reach;
    if (best.complete) break;
  }
  if (best === undefined) {
    const complete = last === 0 || (last === 1 && shared.lastIsBare);
    if (!complete) damage.push("no snapshot can be read");
    return { ...shared, snapshot: undefined, records: [], complete, damage, base: 0, logBytes: 0 };
  }
  const { snapshot, records, complete, base, logBytes } = best;
  return { ...shared, snapshot, records, complete, damage: [...damage, ...best.damage], base, logBytes };
}

interface Files {
  readonly snapshots: ReadonlySet<number>;
  readonly logs: ReadonlyMap<number, ReadLog>;
  readonly last: number;
}

/** A log is made before its snapshot: one without either records or a snapshot is what a crash between left. */
function isBare({ snapshots, logs }: Files, number: number): boolean {
  const log = logs.get(number);
  return log !== undefined && !snapshots.has(number) && log.records.length === 0 && log.rest !== "damaged";
}

interface Reach {
  readonly base: number;
  readonly snapshot: Snapshot;
  readonly records: readonly CommitRecord[];
  readonly commit: number;
  readonly complete: boolean;
  readonly damage: readonly string[];
  readonly logBytes: number;
}

/** Follow the logs from one snapshot until the end or a gap. */
function follow(base: number, snapshot: Snapshot, files: Files): Reach {
  const records: CommitRecord[] = [];
  const damage: string[] = [];
  let [commit, generation, logBytes, complete] = [snapshot.commit, snapshot.generation, 0, true];
  for (let number = base; number <= files.last && complete; number++) {
    const isLast = number === files.last;
    const log = files.logs.get(number);
    if (isLast && isBare(files, number)) break;
    if (log?.damage !== undefined) damage.push(`${logName(number)}: ${log.damage}`);
    if (log?.header === undefined) {
      if (log?.damage === undefined) damage.push(`${logName(number)}: it is ${log === undefined ? "missing" : "empty"}`);
      complete = false;
    } else if (log.header.after !== commit || compareGenerations(log.header.generation, generation) !== 0) {
      damage.push(`${logName(number)}: it follows commit ${log.header.after} of another history`);
      complete = false;
    } else {
      records.push(...log.records);
      ({ commit, generation } = log.records.at(-1) ?? { commit, generation });
      logBytes += log.length;
      complete = !isLast || log.rest !== "damaged";
    }
  }
  return { base, snapshot, records, commit, complete, damage, logBytes };
}

function tryReadSnapshot(path: string, armor: ArmorId, files: FileSystem): Snapshot | string {
  const { contents, rest } = scanFrames(readBounded(path, files));
  if (rest !== "nothing" || contents.length !== 1) return "it is cut or altered";
  try {
    const snapshot = readSnapshot(contents[0] as Uint8Array);
    return snapshot.armor === armor ? snapshot : `it belongs to armor ${JSON.stringify(snapshot.armor)}`;
  } catch (error) {
    return reasonOf(error, path);
  }
}

/** Read one log; records end where they stop being consecutive. */
export function readLog(path: string, number: number, armor?: ArmorId, files: FileSystem = systemFiles): ReadLog {
  const { contents, length, rest } = scanFrames(readBounded(path, files), isLogRecord);
  const records: CommitRecord[] = [];
  let header: LogHeader | undefined;
  let next: number | undefined;
  try {
    if (contents[0] === undefined) {
      return rest === "damaged"
        ? { header, records, next, length, rest, damage: "its header is altered" }
        : { header, records, next, length, rest: "torn", damage: undefined };
    }
    const found = readLogHeader(contents[0]);
    if (armor !== undefined && found.armor !== armor) throw new CheckpointError("damaged", `it belongs to armor ${JSON.stringify(found.armor)}`);
    if (found.log !== number) throw new CheckpointError("damaged", `it is a copy of ${logName(found.log)}`);
    header = found;
    for (const content of contents.slice(1)) {
      const record = readLogRecord(content);
      const expected = header.after + records.length + 1;
      if ("next" in record) next = record.next;
      else if (next === undefined && record.commit === expected) records.push(record);
      else throw new CheckpointError("damaged", `commit ${record.commit} stands where ${next === undefined ? expected : "nothing"} should`);
    }
  } catch (error) {
    return { header, records, next, length, rest: "damaged", damage: reasonOf(error, path) };
  }
  const damage = rest === "damaged" ? `it is altered at byte ${length}, after commit ${header.after + records.length}` : undefined;
  return { header, records, next, length, rest, damage };
}

/** Damage is told, every other error thrown: only undecodable bytes step back. */
function reasonOf(error: unknown, path: string): string {
  if (error instanceof CheckpointError && error.code === "damaged") return error.message;
  if (error instanceof CheckpointError) throw new CheckpointError(error.code, `Cannot read checkpoint ${JSON.stringify(path)}: ${error.message}`);
  throw error;
}

/** @throws {CheckpointError} `"unreadable"`. */
export function readBounded(path: string, files: FileSystem = systemFiles): Uint8Array {
  const name = JSON.stringify(path);
  try {
    const stat = files.statSync(path);
    if (!stat.isFile()) throw new CheckpointError("unreadable", `Cannot read checkpoint ${name}: it is not a file`);
    if (stat.size > fileBytesMax) throw new CheckpointError("unreadable", `Cannot read checkpoint ${name}: it is larger than ${fileBytesMax} bytes`);
    return files.readFileSync(path);
  } catch (cause) {
    if (cause instanceof CheckpointError) throw cause;
    throw new CheckpointError("unreadable", `Cannot read checkpoint ${name}: ${(cause as NodeJS.ErrnoException).code}`, { cause });
  }
}
