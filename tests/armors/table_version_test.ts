/** Copies of the table that went their own ways: what gives way is named if an operator's change is lost with it, and only then. */
import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import type { Epoch } from "../../core/generation.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { applicationTable } from "../../armors/elements/application_table.ts";
import { dated, mergeTables } from "../../armors/elements/table_version.ts";
import type { TableCopy, TableVersion } from "../../armors/shapes.ts";

const epoch = (number: number, node = "a"): Epoch => ({ number, node });
const at = (number: number, sequence: number, node = "a"): TableVersion => ({ epoch: epoch(number, node), sequence });
const application = { name: "web", kind: "service", instances: 1 };
const entry = (revision: number, { epoch: revisionEpoch, sequence }: TableVersion): Data => ({ serial: "1", application, desired: "running", revision, revisionEpoch, sequence, completed: [] });
const copy = (version: TableVersion, lineage: TableVersion[], web: Data): TableCopy => ({ version, lineage, entries: { "app:web": web } });
const lost = (ours: TableCopy, theirs: TableCopy): string[] => mergeTables(ours, theirs).superseded.map(({ name, revision, epoch }) => `${name} ${epoch}.${revision}`);

// Both go on from 1.5: one in epoch 1, the other, which heard nothing of that, in epoch 2.
const stayed = copy(at(1, 8), [], entry(4, at(1, 7)));
const tookOver = copy(at(2, 3, "b"), [at(1, 5)], entry(4, at(2, 2, "b")));

test("a change that the other side never had is named, whichever side takes in the other", () => {
  expect(lost(tookOver, stayed)).toEqual(["web 1.4"]);
  expect(lost(stayed, tookOver)).toEqual(["web 1.4"]);
});

test("a change that both had before one of them went on is not lost", () => {
  const unchanged = copy(at(1, 8), [], entry(3, at(1, 5)));
  expect(lost(tookOver, unchanged)).toEqual([]);
  expect(lost(unchanged, tookOver)).toEqual([]);
});

test("an entry that says nothing of its version is of one whose epoch the other side has had, or not", () => {
  const undated = (number: number): Data => ({ serial: "1", revision: 3, revisionEpoch: epoch(number), completed: [] });
  expect(lost(tookOver, copy(at(1, 8), [], undated(1)))).toEqual([]);
  expect(lost(copy(at(3, 3, "b"), [at(1, 5)], entry(4, at(3, 2, "b"))), copy(at(2, 8), [at(1, 5)], undated(2)))).toEqual(["web 2.3"]);
});

test("a new revision is dated, one that stays is not dated anew", () => {
  const before = { "app:web": entry(3, at(1, 5)), "app:old": entry(1, at(1, 2)) };
  const { sequence: _, ...changed } = entry(4, at(1, 0)) as Record<string, Data>;
  expect(dated(before, { "app:web": changed, "app:old": entry(1, at(1, 2)), "home:x": "n1" }, 6)).toEqual({
    "app:web": entry(4, at(1, 6)),
    "app:old": entry(1, at(1, 2)),
    "home:x": "n1",
  });
});

test("an FTM that begins with the copies of both sides names what gives way", () => {
  const others = element({ name: "others", version: 1, state: {}, handlers: { "cluster.changed": () => {} } });
  const kernel = new Microkernel({
    armor: "ftm", generation: { epoch: 3, node: "b", counter: 0 }, elements: [applicationTable("b"), others], random: seededRandom(1), eventSink: "daemon@b",
  });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  const reports = [tookOver, stayed].map((table, index) => ({ node: "ab"[index]!, armors: [], table }));
  const begin = { epoch: epoch(3, "b"), reports, dead: [], avoid: [], cause: "crashed", leader: "daemon@b", durationMs: 1 };
  const { commits } = kernel.step({ kind: "local", op: "ftm.begin", payload: { begin: begin as unknown as Data } }, 1_000);
  const notes = commits.flatMap(({ sent = [] }) => sent).map(({ body }) => decode(body) as Message).filter(({ ops }) => ops[0]!.name === "events.note");
  const events = notes.flatMap(({ payload }) => payload["events"] as unknown as { kind: string; subject: string; revision: number }[]);
  expect(events.map(({ kind, subject, revision }) => `${kind} ${subject} ${revision}`)).toEqual(["application.superseded web 4"]);
});
