/**
 * What an operator's request changes in the application table. Idempotent, so
 * that a command whose acknowledgement was lost can be repeated.
 *
 * @module
 */
import { type Data, dataEqual } from "../../core/data.ts";
import { OperationError, UsageError } from "../../core/errors.ts";
import type { Epoch } from "../../core/generation.ts";
import type { Payload } from "../../core/payload.ts";
import { type Application, completeApplication } from "../application.ts";
import { parseApplication } from "../application_schema.ts";
import { type ApplicationEntry, elementsKey, type OwnArmorEntry, type TableVersion, type Tombstone } from "../shapes.ts";
import type { OperationAnswer } from "./operator.ts";
import { refuseOverfull } from "./table_room.ts";

/** Entries to set and to remove, and what the operator is told. */
export type ApplicationChange = {
  readonly set: { [key: string]: Data };
  readonly unset: string[];
  readonly answer: OperationAnswer;
};

/** Requests remembered by application: more than there are operators at work on one at the same time. */
const requestsMax = 8;

type Table = { readonly [key: string]: Data };

/**
 * Read payload fields `operation` and `args`, and decide.
 *
 * @throws {OperationError} `usage` or `refused`, with the line the operator sees.
 */
export function changeApplication(table: Table, payload: Payload, version: TableVersion): ApplicationChange {
  const { epoch } = version;
  const operation = payload["operation"] as string;
  const args = payload["args"] as { name?: unknown; application?: unknown };
  const application = operation === "application.submit" ? parse(args.application) : undefined;
  const name = application?.name ?? String(args.name ?? "");
  const key = `app:${name}`;
  const entry = table[key] as ApplicationEntry | undefined;
  const gone = (table[`gone:${name}`] ?? table[`gone-armor:${name}`]) as Tombstone | undefined;
  const before = (entry ?? gone)?.requests ?? [];
  const request = payload["request"];
  if (typeof request === "string" && before.includes(request)) {
    return { set: {}, unset: [], answer: { ok: true, changed: true, ...(entry && { revision: entry.revision }) } };
  }
  const requests = typeof request === "string" ? [...before, request].slice(-requestsMax) : before;
  if (application) return submit(table, application, version, requests);
  const own = table[`armor:${name}`] as OwnArmorEntry | undefined;
  if (own && operation === "application.remove") return removeArmor(table, own, epoch);
  if (own) throw new OperationError("refused", `"${name}" is an armor, not an application`);
  if (!entry) {
    if (operation === "application.remove" && gone) {
      return { set: {}, unset: [], answer: { ok: true, changed: false } };
    }
    if (operation === "application.remove") throw new OperationError("refused", `there is no application or armor "${name}"`);
    throw new OperationError("refused", `there is no application "${name}": see "armor status"`);
  }
  const changed = (fields: Partial<ApplicationEntry>): ApplicationChange => {
    const revision = entry.revision + 1;
    const next = { ...entry, ...fields, requests, revision, revisionEpoch: epoch };
    return { set: { [key]: next }, unset: [], answer: { ok: true, changed: true, revision } };
  };
  const same: ApplicationChange = { set: {}, unset: [], answer: { ok: true, changed: false, revision: entry.revision } };
  switch (operation) {
    case "application.stop":
      return entry.desired === "stopped" ? same : changed({ desired: "stopped" });
    case "application.start":
      // Counted as a restart: what has completed runs anew by the operator's word alone.
      return entry.desired === "running" ? same : changed({ desired: "running", restart: entry.restart + 1, completed: [] });
    case "application.restart":
      return changed({ desired: "running", restart: entry.restart + 1, completed: [] });
    case "application.remove":
      return {
        set: { [`gone:${name}`]: { revision: entry.revision + 1, revisionEpoch: epoch, requests } satisfies Tombstone },
        unset: [key, ...oldestTombstones(table, epoch)],
        answer: { ok: true, changed: true },
      };
    default:
      throw new OperationError("usage", `unknown operation "${operation}"`);
  }
}

/** The application in a request, checked again: any client may have sent it. */
export function parse(input: unknown): Application {
  try {
    return parseApplication(input);
  } catch (error) {
    if (error instanceof UsageError) throw new OperationError("usage", error.message);
    throw error;
  }
}

function submit(table: Table, application: Application, { epoch, sequence }: TableVersion, requests: readonly string[]): ApplicationChange {
  if (application.singleton) {
    throw new OperationError("refused", "--singleton is not available yet: it needs leases, without which a cut-off node could run a second copy");
  }
  if (table[`armor:${application.name}`] !== undefined) {
    throw new OperationError("refused", `"${application.name}" is the name of an armor: choose another`);
  }
  const key = `app:${application.name}`;
  const entry = table[key] as ApplicationEntry | undefined;
  if (entry) {
    if (dataEqual(completeApplication(entry.application) as Data, application as Data)) {
      return { set: {}, unset: [], answer: { ok: true, changed: false, revision: entry.revision } };
    }
    throw new OperationError(
      "refused",
      `application "${application.name}" exists with another specification: "armor remove ${application.name}" first, or choose another name`,
    );
  }
  const serial = `${epoch.number}.${epoch.node}.${sequence + 1}`;
  const gone = `gone:${application.name}`;
  const removed = table[gone] as Tombstone | undefined;
  // Counted on from the removal: another copy of the table that still has that must give way.
  const revision = (removed?.revision ?? 0) + 1;
  const next: ApplicationEntry = { serial, application, desired: "running", revision, revisionEpoch: epoch, restart: 0, completed: [], requests };
  refuseOverfull(table, { [key]: next as unknown as Data });
  return { set: { [key]: next }, unset: removed ? [gone] : [], answer: { ok: true, changed: true, revision } };
}

/** The armor ends wherever it runs; its id is never used again. */
function removeArmor(table: Table, { id, name, revision }: OwnArmorEntry, epoch: Epoch): ApplicationChange {
  const gone: Tombstone = { revision: revision + 1, revisionEpoch: epoch };
  return {
    set: { [`gone-armor:${name}`]: gone },
    unset: [`armor:${name}`, elementsKey(id), ...oldestTombstones(table, epoch)],
    answer: { ok: true, changed: true, text: `armor "${name}" will be removed` },
  };
}

/** Removals that are remembered; beyond that the oldest are forgotten. */
const tombstonesMax = 1_000;

function oldestTombstones(table: Table, epoch: Epoch): string[] {
  const age = (key: string): number => epoch.number - (table[key] as unknown as Tombstone).revisionEpoch.number;
  const keys = Object.keys(table).filter((key) => /^gone(-armor)?:/.test(key));
  return keys.length < tombstonesMax ? [] : keys.sort((a, b) => age(b) - age(a)).slice(0, keys.length - tombstonesMax + 1);
}
