import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openCheckpointFiles } from "../../armors/host/checkpoint_file.ts";
import { frameRecord } from "../../armors/host/record_frame.ts";
import { printCheckpoint } from "../../cli/checkpoint_print.ts";
import type { Terminal } from "../../cli/terminal.ts";
import { encode } from "../../core/codec.ts";
import { CheckpointError } from "../../core/errors.ts";
import { Temporary } from "../host/temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

const generation = { epoch: 3, node: "n1", counter: 0 };
const lanes = { system: 1, user: 2 };

function filled(): string {
  const folder = temporary.folder();
  const store = openCheckpointFiles(folder, "execution@n1", "process");
  store.restore();
  store.writeSnapshot({
    format: 1, armor: "execution@n1", generation, commit: 4, messages: 9,
    elements: { launch: { version: 2, state: { web: { pid: 7 }, key: Uint8Array.of(0xff) } } },
    continuations: {},
    channels: [{ peer: "ftm", numbered: generation, marks: lanes, next: lanes, acked: lanes, outbox: [] }],
  });
  store.append([{
    commit: 5, generation, messages: 10, set: { launch: { web: "\u001b[31m" } }, unset: { launch: ["key"] }, continuations: { "m:1": null },
    sent: [{ peer: "ftm", lane: "user", sequence: 2, body: encode({ id: "m1" }) }], handled: [{ peer: "ftm", lane: "system", sequence: 2 }],
    acked: [{ peer: "ftm", acked: lanes }], forgotten: ["gone"],
  }]);
  store.writeSnapshot({ format: 1, armor: "execution@n1", generation, commit: 5, messages: 10, elements: {}, continuations: {}, channels: [] });
  store.close();
  return folder;
}

async function print(file: string, json = false): Promise<{ out: string; code: string; message: string }> {
  let out = "";
  const terminal = { out: (text: string) => (out += text) } as unknown as Terminal;
  try {
    await printCheckpoint(file, json, terminal);
  } catch (error) {
    if (error instanceof CheckpointError) return { out, code: error.code, message: error.message };
    throw error;
  }
  return { out, code: "", message: "" };
}

describe("printCheckpoint()", () => {
  test("prints a snapshot and a log for people", async () => {
    const folder = filled();
    expect((await print(join(folder, "00000001.cbor"))).out).toBe([
      "snapshot of execution@n1: commit 4, generation 3.n1.0, 9 messages sent",
      "  element launch, version 2",
      '    key = {"base64":"/w=="}',
      '    web = {"pid":7}',
      '  channel ftm = {"acked":{"system":1,"user":2},"marks":{"system":1,"user":2},"next":{"system":1,"user":2},' +
      '"numbered":{"counter":0,"epoch":3,"node":"n1"},"outbox":[]}',
      "",
    ].join("\n"));
    expect((await print(join(folder, "00000001.cborseq"))).out).toBe([
      "log 1 of execution@n1: after commit 4, generation 3.n1.0",
      "commit 5, generation 3.n1.0",
      "  messages = 10",
      '  launch.web = "\\u001b[31m"',
      "  launch.key is gone",
      "  continuation m:1 is finished",
      "  acknowledged by ftm: system 1, user 2",
      '  sent to ftm: user 2 = {"cbor":{"id":"m1"}}',
      "  handled from ftm: system 2",
      "  channel gone is forgotten",
      "end: log 2 follows",
      "",
    ].join("\n"));
  });

  test("prints JSON, one document a line", async () => {
    const folder = filled();
    const lines = (await print(join(folder, "00000001.cborseq"), true)).out.trimEnd().split("\n").map((line) => JSON.parse(line));
    expect(lines.map(({ type }) => type)).toEqual(["log", "commit", "end"]);
    expect(lines[1]).toMatchObject({ commit: 5, sent: [{ peer: "ftm", body: { cbor: { id: "m1" } } }] });
    expect(JSON.parse((await print(join(folder, "00000002.cbor"), true)).out)).toMatchObject({ type: "snapshot", armor: "execution@n1", commit: 5 });
  });

  test("prints what is whole of a cut or altered log, then the error", async () => {
    const folder = filled();
    const log = join(folder, "00000001.cborseq");
    const bytes = readFileSync(log);
    writeFileSync(log, bytes.subarray(0, -3));
    let result = await print(log);
    expect([result.out.split("\n").length, result.code]).toEqual([11, "damaged"]);
    expect(result.message).toContain("last");
    bytes[150] = (bytes[150] as number) ^ 1;
    writeFileSync(log, bytes);
    result = await print(log);
    expect([result.out.split("\n").length, result.code]).toEqual([2, "damaged"]);
    expect(result.message).toContain("altered at byte");
  });

  test("says in one line why a file cannot be printed", async () => {
    const folder = filled();
    const path = (name: string, content: Uint8Array | string): string => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    mkdirSync(join(folder, "directory"));
    const snapshot = readFileSync(join(folder, "00000001.cbor"));
    const table: [string, string, string][] = [
      [path("random", Uint8Array.from({ length: 500 }, (_, index) => (index * 7_919) & 255)), "damaged", "not a checkpoint"],
      [path("empty", ""), "damaged", "empty"],
      [path("cut", snapshot.subarray(0, 40)), "damaged", "cut or altered"],
      [path("text", "hello"), "damaged", "not a checkpoint"],
      [path("other", frameRecord(encode({ a: 1 }))), "damaged", "not a checkpoint"],
      [path("number", frameRecord(encode(1))), "damaged", "not a map"],
      [path("twice", Buffer.concat([snapshot, snapshot])), "damaged", "followed"],
      [path("newer", frameRecord(encode({ format: 2, armor: "x" }))), "version", "format version is 2, expected 1"],
      [join(folder, "none"), "unreadable", "ENOENT"],
      [join(folder, "directory"), "unreadable", "not a file"],
    ];
    for (const [file, code, text] of table) {
      const result = await print(file);
      expect([file, result.code]).toEqual([file, code]);
      expect(result.message).toContain(text);
      expect(result.message).toContain(JSON.stringify(file));
      expect(result.message).not.toContain("\n");
    }
  });
});
