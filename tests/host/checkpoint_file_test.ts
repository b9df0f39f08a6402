import { afterEach, describe, expect, test } from "bun:test";
import { appendFileSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import fc from "fast-check";
import { openCheckpointFiles } from "../../armors/host/checkpoint_file.ts";
import { frameRecord, scanFrames } from "../../armors/host/record_frame.ts";
import type { CommitRecord, Snapshot } from "../../core/checkpoint.ts";
import type { CheckpointStore, Restored } from "../../core/checkpoint_store.ts";
import { decode, encode } from "../../core/codec.ts";
import { CheckpointError } from "../../core/errors.ts";
import { Temporary } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

const armor = "execution@n1";
const generation = { epoch: 1, node: "n1", counter: 0 };

function snapshot(commit: number, extra: Partial<Snapshot> = {}): Snapshot {
  return { format: 1, armor, generation, commit, messages: 0, elements: { counter: { version: 1, state: { count: commit } } }, continuations: {}, channels: [], ...extra };
}

function record(commit: number, text = ""): CommitRecord {
  return { commit, generation, set: { counter: { count: commit, text } } };
}

const range = (from: number, to: number): CommitRecord[] => Array.from({ length: to - from + 1 }, (_, index) => record(from + index));

function open(folder: string, of = armor): { store: CheckpointStore; restored: Restored } {
  const store = openCheckpointFiles(folder, of, "process");
  temporary.defer(() => store.close());
  return { store, restored: store.restore() };
}

/** Restore without leaving anything open. */
function restore(folder: string, of = armor): Restored {
  const { store, restored } = open(folder, of);
  store.close();
  return restored;
}

/** The last commit that a restore reaches. */
const reach = ({ snapshot, records }: Restored): number => records.at(-1)?.commit ?? snapshot?.commit ?? -1;

/** Snapshots after commits 0 and 5, records up to 10. */
function filled(of = armor): string {
  const folder = temporary.folder();
  const { store } = open(folder, of);
  store.writeSnapshot(snapshot(0, { armor: of }));
  for (const one of range(1, 5)) store.append([one]);
  store.writeSnapshot(snapshot(5, { armor: of }));
  store.append(range(6, 10));
  store.close();
  return folder;
}

const file = (folder: string, name: string): string => join(folder, name);
const [snapshot1, log1, snapshot2, log2] = ["00000001.cbor", "00000001.cborseq", "00000002.cbor", "00000002.cborseq"] as const;
const mark = "reached";

function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof CheckpointError) return error.code;
    throw error;
  }
  return "done";
}

describe("a checkpoint", () => {
  test("of an armor that never ran is empty and complete", () => {
    expect(restore(join(temporary.folder(), "new"))).toEqual({ snapshot: undefined, records: [], complete: true, damage: [] });
  });

  test("restores its newest snapshot and the records after it", () => {
    expect(restore(filled())).toEqual({ snapshot: snapshot(5), records: range(6, 10), complete: true, damage: [] });
  });

  test("goes on where it was left, any number of times", () => {
    const folder = filled();
    for (let commit = 11; commit < 15; commit++) {
      const { store, restored } = open(folder);
      expect(restored).toMatchObject({ complete: true, damage: [] });
      expect(reach(restored)).toBe(commit - 1);
      store.append([record(commit)]);
      store.close();
    }
    const { store } = open(folder);
    store.writeSnapshot(snapshot(14));
    store.append([record(15)]);
    expect(restore(folder)).toEqual({ snapshot: snapshot(14), records: [record(15)], complete: true, damage: [] });
    expect(readdirSync(folder).sort()).toEqual([snapshot2, log2, "00000003.cbor", "00000003.cborseq", mark]);
  });

  test("is a CBOR sequence of [crc32, bytes], private to its user", () => {
    const folder = filled();
    const bytes = readFileSync(file(folder, log2));
    expect([...bytes.subarray(0, 2), bytes[6]]).toEqual([0x82, 0x1a, 0x5a]);
    const [header, ...records] = scanFrames(bytes).contents.map(decode);
    expect(header).toEqual({ format: 1, armor, log: 2, after: 5, generation });
    expect(records).toEqual(range(6, 10));
    for (const name of readdirSync(folder)) expect(statSync(file(folder, name)).mode & 0o077).toBe(0);
  });

  test("counts the bytes of its log since the last snapshot, over restarts", () => {
    const folder = filled();
    const { store } = open(folder);
    expect(store.logBytes).toBe(statSync(file(folder, log2)).size);
    store.append([record(11)]);
    expect(store.logBytes).toBe(statSync(file(folder, log2)).size);
    store.writeSnapshot(snapshot(11));
    expect(store.logBytes).toBe(0);
  });

  test("refuses a record out of order, and one before the first snapshot", () => {
    const { store } = open(filled());
    expect(() => store.append([record(12)])).toThrow("commit 12");
    expect(() => store.append([record(11), record(13)])).toThrow("commit 13");
    expect(() => open(temporary.folder()).store.append([record(1)])).toThrow("snapshot");
    expect(() => store.writeSnapshot(snapshot(10, { armor: "ftm" }))).toThrow("ftm");
  });

  test("keeps the records of a snapshot that a crash cut off at any step", () => {
    const folder = filled();
    const whole = readFileSync(file(folder, log2));
    const later = temporary.folder();
    for (const name of readdirSync(folder)) copyFileSync(file(folder, name), file(later, name));
    const { store } = open(later);
    store.writeSnapshot(snapshot(10, { generation: { ...generation, counter: 1 } }));
    store.close();
    const header = readFileSync(file(later, "00000003.cborseq"));
    for (let length = 0; length <= header.length; length += 7) {
      // The new log is begun, the snapshot is still a temporary file.
      writeFileSync(file(folder, "00000003.cborseq"), header.subarray(0, length));
      writeFileSync(file(folder, "00000003.cbor.tmp"), "half");
      const { store, restored } = open(folder);
      expect(restored).toMatchObject({ complete: true, damage: [] });
      expect(reach(restored)).toBe(10);
      store.append([record(11)]);
      store.close();
      expect(existsSync(file(folder, "00000003.cbor.tmp"))).toBe(false);
      expect(reach(restore(folder))).toBe(11);
      for (const name of ["00000003.cborseq", mark]) rmSync(file(folder, name));
      writeFileSync(file(folder, log2), whole);
    }
    // The very first snapshot.
    const first = temporary.folder();
    const { store: begun } = open(first);
    begun.writeSnapshot(snapshot(0));
    begun.close();
    for (const name of [snapshot1, mark]) rmSync(file(first, name));
    expect(restore(first)).toMatchObject({ snapshot: undefined, complete: true });
  });
});

describe("a cut", () => {
  test("at any byte of the last log, by a crash, loses the records behind it and no other, and is no damage", () => {
    const folder = filled();
    rmSync(file(folder, mark));
    const bytes = readFileSync(file(folder, log2));
    const ends = [0, ...scanFrames(bytes).contents.map((content) => content.byteOffset - bytes.byteOffset + content.length)];
    for (let length = ends[1] as number; length < bytes.length; length++) {
      writeFileSync(file(folder, log2), bytes.subarray(0, length));
      const { store, restored } = open(folder);
      const whole = ends.filter((end) => end <= length).length - 2;
      expect(restored).toEqual({ snapshot: snapshot(5), records: range(6, 5 + whole), complete: true, damage: [] });
      expect(statSync(file(folder, log2)).size).toBe(ends[whole + 1] as number);
      store.append([record(6 + whole, "new")]);
      store.close();
      expect(restore(folder).records).toEqual([...range(6, 5 + whole), record(6 + whole, "new")]);
      rmSync(file(folder, mark));
    }
  });

  test("at any byte of the last log, after its commits were done, is damage: what they sent cannot be taken back", () => {
    const folder = filled();
    const bytes = readFileSync(file(folder, log2));
    const ends = scanFrames(bytes).contents.map((content) => content.byteOffset - bytes.byteOffset + content.length);
    for (let length = ends[0] as number; length < bytes.length; length += 3) {
      writeFileSync(file(folder, log2), bytes.subarray(0, length));
      const whole = ends.filter((end) => end <= length).length - 1;
      const { store, restored } = open(folder);
      expect(restored).toMatchObject({ records: range(6, 5 + whole), complete: false });
      expect(restored.damage).toEqual([`it ends at commit ${5 + whole}: ${5 - whole} ${whole === 4 ? "commit after it is" : "commits after it are"} missing`]);
      expect(codeOf(() => store.append([record(6 + whole)]))).toBe("damaged");
      store.close();
    }
    // A new generation makes a new beginning.
    const { store } = open(folder);
    store.writeSnapshot(snapshot(9, { generation: { ...generation, counter: 1 } }));
    store.close();
    expect(restore(folder)).toMatchObject({ complete: true, damage: [] });
  });

  test("is not seen where the mark itself is gone or altered: the log alone counts", () => {
    for (const content of ["", "garbage", "\x82\x1a\x00"]) {
      const folder = filled();
      writeFileSync(file(folder, mark), content);
      expect(restore(folder)).toMatchObject({ complete: true, damage: [] });
      expect(reach(restore(folder))).toBe(10);
    }
  });

  test("is seen again by the next life but one, whose predecessor wrote the mark anew though it had nothing to commit", () => {
    for (const content of ["", "garbage", "\x82\x1a\x00"]) {
      const folder = filled();
      writeFileSync(file(folder, mark), content);
      open(folder).store.close();
      const bytes = readFileSync(file(folder, log2));
      const ends = scanFrames(bytes).contents.map((one) => one.byteOffset - bytes.byteOffset + one.length);
      truncateSync(file(folder, log2), ends.at(-2)!);
      expect(restore(folder)).toMatchObject({ complete: false, damage: ["it ends at commit 9: 1 commit after it is missing"] });
    }
  });

  test("is seen though a power cut left the last write of the mark half done", () => {
    const folder = filled();
    const before = readFileSync(file(folder, mark));
    const { store } = open(folder);
    store.append([record(11)]);
    store.close();
    const after = readFileSync(file(folder, mark));
    const bytes = readFileSync(file(folder, log2));
    const ends = scanFrames(bytes).contents.map((one) => one.byteOffset - bytes.byteOffset + one.length);
    truncateSync(file(folder, log2), ends.at(-4)!);
    for (let written = 0; written <= after.length; written++) {
      writeFileSync(file(folder, mark), Buffer.concat([after.subarray(0, written), before.subarray(written)]));
      expect(restore(folder)).toMatchObject({ complete: false, damage: [expect.stringMatching(/^it ends at commit 8: [23] commits after it are missing$/)] });
    }
  });

  test("is seen by the mark of a file that has one place, and by what is written after it", () => {
    const folder = filled();
    const place = frameRecord(encode({ commit: 10, generation }));
    writeFileSync(file(folder, mark), place);
    const { store } = open(folder);
    store.append([record(11)]);
    store.close();
    const bytes = readFileSync(file(folder, log2));
    const ends = scanFrames(bytes).contents.map((one) => one.byteOffset - bytes.byteOffset + one.length);
    truncateSync(file(folder, log2), ends.at(-3)!);
    expect(restore(folder)).toMatchObject({ complete: false, damage: ["it ends at commit 9: 2 commits after it are missing"] });
    writeFileSync(file(folder, mark), place);
    expect(restore(folder)).toMatchObject({ complete: false, damage: ["it ends at commit 9: 1 commit after it is missing"] });
  });

  test("in the header of a log whose snapshot exists is damage", () => {
    const folder = filled();
    for (const length of [0, 5, 30]) {
      truncateSync(file(folder, log2), length);
      const restored = restore(folder);
      expect([restored.complete, reach(restored), restored.damage.length > 0]).toEqual([false, 5, true]);
    }
  });

  test("of zeros or garbage behind the last record is cut off", () => {
    for (const tail of [new Uint8Array(4_096), Uint8Array.of(0x82, 0x1a), new Uint8Array(50).fill(0x82), Buffer.from("garbage")]) {
      const folder = filled();
      const size = statSync(file(folder, log2)).size;
      appendFileSync(file(folder, log2), tail);
      expect(restore(folder)).toMatchObject({ complete: true, damage: [] });
      expect(statSync(file(folder, log2)).size).toBe(size);
    }
  });

  test("in an earlier log that a damaged snapshot needs is told", () => {
    const folder = filled();
    writeFileSync(file(folder, snapshot2), "damaged");
    truncateSync(file(folder, log1), statSync(file(folder, log1)).size - 60);
    const restored = restore(folder);
    expect([restored.complete, restored.damage.length > 1]).toEqual([false, true]);
    expect(reach(restored)).toBeLessThan(5);
  });
});

describe("damage", () => {
  test("of a snapshot costs nothing, whichever byte it hits", () => {
    const folder = filled();
    const bytes = readFileSync(file(folder, snapshot2));
    for (let place = 0; place < bytes.length; place++) {
      const altered = Uint8Array.from(bytes);
      altered[place] = (altered[place] as number) ^ (1 << (place % 8));
      writeFileSync(file(folder, snapshot2), altered);
      const restored = restore(folder);
      expect(restored).toEqual({ snapshot: snapshot(0), records: range(1, 10), complete: true, damage: [`${snapshot2}: it is cut or altered`] });
    }
    for (const content of [bytes.subarray(0, -1), new Uint8Array(0), Buffer.concat([bytes, bytes])]) {
      writeFileSync(file(folder, snapshot2), content);
      expect(restore(folder)).toMatchObject({ complete: true, records: range(1, 10) });
    }
  });

  test("of a snapshot is survived by two later snapshots", () => {
    const folder = filled();
    writeFileSync(file(folder, snapshot2), "damaged");
    const { store } = open(folder);
    store.append([record(11)]);
    store.writeSnapshot(snapshot(11));
    store.append([record(12)]);
    store.close();
    writeFileSync(file(folder, "00000003.cbor"), "damaged too");
    expect(restore(folder)).toMatchObject({ complete: true, snapshot: snapshot(0), records: range(1, 12) });
  });

  test("of a record that valid ones follow keeps the records before it and is told, whichever byte it hits", () => {
    const folder = filled();
    const bytes = readFileSync(file(folder, log2));
    const starts = scanFrames(bytes).contents.map((content) => content.byteOffset - bytes.byteOffset - 11);
    for (let place = 0; place < (starts.at(-1) as number); place++) {
      const altered = Uint8Array.from(bytes);
      altered[place] = (altered[place] as number) ^ (1 << (place % 8));
      writeFileSync(file(folder, log2), altered);
      const { store, restored } = open(folder);
      const good = starts.filter((start) => start <= place).length - 1; // the header, then records
      expect([place, restored.complete, reach(restored), restored.damage.length]).toEqual([place, false, Math.max(5, 4 + good), 1]);
      // Nothing is appended behind the damage, and it stays visible.
      expect(codeOf(() => store.append([record(reach(restored) + 1)]))).toBe("damaged");
      store.close();
      expect(Buffer.compare(readFileSync(file(folder, log2)), altered)).toBe(0);
    }
  });

  test("is forgotten once a snapshot has made a new beginning", () => {
    const folder = filled();
    const bytes = readFileSync(file(folder, log2));
    bytes[bytes.length - 100] = (bytes[bytes.length - 100] as number) ^ 1;
    writeFileSync(file(folder, log2), bytes);
    const { store, restored } = open(folder);
    expect(restored.complete).toBe(false);
    const after = { ...generation, counter: 1 };
    store.writeSnapshot(snapshot(reach(restored), { generation: after }));
    store.append([{ ...record(reach(restored) + 1), generation: after }]);
    store.close();
    const again = restore(folder);
    expect(again).toMatchObject({ complete: true, damage: [] });
    expect(again.records.length).toBe(1);
    // Should that snapshot be lost, the history before it does not pass for its own.
    writeFileSync(file(folder, "00000003.cbor"), "damaged");
    expect(restore(folder).complete).toBe(false);
  });

  test("in several random places never crashes, and never invents or reorders records", () => {
    fc.assert(fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }), (flips) => {
      const folder = filled();
      for (const [which, place, value] of flips) {
        const path = file(folder, [snapshot1, log1, snapshot2, log2][which] as string);
        const bytes = readFileSync(path);
        bytes[place % bytes.length] = value;
        writeFileSync(path, bytes);
      }
      const { snapshot: base, records, complete } = restore(folder);
      if (base === undefined) return expect([complete, records.length]).toEqual([false, 0]);
      expect([0, 5]).toContain(base.commit);
      expect(records).toEqual(range(base.commit + 1, base.commit + records.length));
    }), { numRuns: 150 });
  });

  test("by missing files is told", () => {
    const table: [string[], number, boolean][] = [
      [[snapshot1], 10, true],
      [[log1], 10, true],
      [[snapshot1, log1], 10, true],
      [[snapshot2], 10, true],
      [[log2], 5, false],
      [[snapshot2, log2], 5, false],
      [[snapshot1, snapshot2], -1, false],
      [[log1, snapshot2], 0, false],
    ];
    for (const [names, last, complete] of table) {
      const folder = filled();
      for (const name of names) rmSync(file(folder, name));
      const restored = restore(folder);
      expect([names, reach(restored), restored.complete, restored.damage.length === 0]).toEqual([names, last, complete, complete]);
    }
  });

  test("by files of another armor, or under another number, is told", () => {
    const other = filled("ftm");
    const table: [string, string, string, number, boolean][] = [
      [other, snapshot2, snapshot2, 10, true],
      [other, log2, log2, 5, false],
      [other, log1, log1, 10, true],
      ["own", snapshot1, snapshot2, 10, true],
      ["own", log1, log2, 5, false],
      ["own", log2, "00000003.cborseq", 10, false],
      ["own", snapshot2, "00000003.cbor", 10, false],
    ];
    for (const [source, from, to, last, complete] of table) {
      const folder = filled();
      copyFileSync(file(source === "own" ? folder : source, from), file(folder, to));
      const restored = restore(folder);
      expect([from, to, reach(restored), restored.complete]).toEqual([from, to, last, complete]);
      if (!complete) expect(restored.damage.length).toBeGreaterThan(0);
    }
    const swapped = filled();
    for (const [one, two] of [[snapshot1, snapshot2], [log1, log2]] as const) {
      renameSync(file(swapped, one), file(swapped, "x"));
      renameSync(file(swapped, two), file(swapped, one));
      renameSync(file(swapped, "x"), file(swapped, two));
    }
    expect(restore(swapped).complete).toBe(false);
    expect(restore(other)).toMatchObject({ snapshot: undefined, complete: false });
  });
});

describe("a checkpoint store", () => {
  test("loses nothing that append() returned for when its process is killed", async () => {
    const folder = temporary.folder();
    const path = join(import.meta.dirname, `appending_${process.pid}.temporary.ts`);
    temporary.defer(() => rmSync(path, { force: true }));
    writeFileSync(path, `
      import { writeSync } from "node:fs";
      import { openCheckpointFiles } from ${JSON.stringify(join(import.meta.dirname, "../../armors/host/checkpoint_file.ts"))};
      const store = openCheckpointFiles(${JSON.stringify(folder)}, ${JSON.stringify(armor)}, "process");
      const { snapshot, records } = store.restore();
      const generation = ${JSON.stringify(generation)};
      let commit = records.at(-1)?.commit ?? snapshot?.commit ?? 0;
      const write = () => store.writeSnapshot({ format: 1, armor: ${JSON.stringify(armor)}, generation, commit, messages: 0, elements: {}, continuations: {}, channels: [] });
      if (snapshot === undefined) write();
      for (;;) {
        store.append([{ commit: ++commit, generation, set: { counter: { count: commit } } }]);
        writeSync(1, commit + "\\n");
        if (commit % 50 === 0) write();
      }`);
    const run = process.versions["deno"] === undefined ? [path] : ["run", "-A", path];
    let acknowledged = 0;
    for (let round = 0; round < 3; round++) {
      const child = spawn(process.execPath, run, { stdio: ["ignore", "pipe", "inherit"] });
      const enough = acknowledged + 300;
      await new Promise<void>((resolve) => {
        let text = "";
        child.stdout.on("data", (data) => {
          text = (text + data).slice(-100);
          acknowledged = Math.max(acknowledged, ...text.split("\n").slice(1, -1).map(Number));
          if (acknowledged > enough) child.kill("SIGKILL");
        });
        child.on("close", () => resolve());
      });
      const restored = restore(folder);
      expect(restored).toMatchObject({ complete: true, damage: [] });
      expect(reach(restored)).toBeGreaterThanOrEqual(acknowledged);
    }
  }, 20_000);

  test("refuses files of another format instead of stepping back", () => {
    const folder = filled();
    writeFileSync(file(folder, "00000003.cbor"), frameRecord(encode({ ...snapshot(20), format: 2 })));
    writeFileSync(file(folder, "00000003.cborseq"), frameRecord(encode({ format: 2 })));
    expect(codeOf(() => restore(folder))).toBe("version");
  });

  test("refuses to step back when the system cannot read a file", () => {
    const folder = filled();
    rmSync(file(folder, snapshot2));
    mkdirSync(file(folder, snapshot2));
    expect(codeOf(() => restore(folder))).toBe("unreadable");
  });

  test("reports a full disk and goes on when there is room", () => {
    if (process.getuid?.() !== 0) return console.warn("skipped: needs root for a small file system");
    const mount = temporary.folder();
    if (spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", mount]).status !== 0) return console.warn("skipped: cannot mount");
    temporary.defer(() => spawnSync("umount", [mount]));
    const { store } = open(join(mount, "armor"));
    store.writeSnapshot(snapshot(0));
    let commit = 0;
    const text = "x".repeat(3_000);
    expect(codeOf(() => {
      for (;;) {
        store.append([record(commit + 1, text)]);
        commit++;
      }
    })).toBe("disk_full");
    expect(codeOf(() => store.writeSnapshot(snapshot(commit)))).toBe("disk_full");
    expect(restore(join(mount, "armor"))).toMatchObject({ complete: true, damage: [] });
    expect(reach(restore(join(mount, "armor")))).toBe(commit);
    spawnSync("mount", ["-o", "remount,size=1m", mount]);
    store.append([record(commit + 1)]);
    store.writeSnapshot(snapshot(commit + 1));
    store.append([record(commit + 2)]);
    store.close();
    expect(reach(restore(join(mount, "armor")))).toBe(commit + 2);
  });

  test("shares syncs between those who ask, in every order with appends and snapshots", async () => {
    const folder = temporary.folder();
    const store = openCheckpointFiles(folder, armor, "disk");
    store.restore();
    store.writeSnapshot(snapshot(0));
    await store.sync();
    const waiting: Promise<void>[] = [];
    for (let commit = 1; commit <= 40; commit++) {
      store.append([record(commit)]);
      waiting.push(store.sync(), store.sync());
      if (commit % 9 === 0) store.writeSnapshot(snapshot(commit));
      if (commit % 7 === 0) await waiting.at(-1);
    }
    await Promise.all(waiting);
    store.append([record(41)]);
    const last = store.sync();
    store.close();
    await last.catch(() => {});
    expect(reach(restore(folder))).toBe(41);
  });
});
