import { afterAll, afterEach, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { appendFileSync, closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../core/clock.ts";
import { LogKeeper } from "../../armors/host/log_keeper.ts";
import { type CutMeans, logParts, readLog, readLogState, writeLogState } from "../../armors/host/log_chain.ts";
import { followLog } from "../../armors/host/log_reader.ts";
import { type Allocate, cutBlockBytes, cutMeans, finishCut, rotate, systemAllocate, turnOver } from "../../armors/host/log_rotation.ts";
import { compileC, Temporary } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());
const places = new Temporary();
afterAll(() => places.clean());

/** Folders by what their file system can do. */
function folderFor(means: CutMeans): string | undefined {
  for (const parent of [undefined, "/dev/shm", "/var/tmp"]) {
    try {
      const folder = parent === undefined ? places.folder() : mkdtempSync(join(parent, "armor-test-"));
      places.defer(() => rmSync(folder, { recursive: true, force: true }));
      if (cutMeans(folder) === means) return folder;
    } catch {
      // No such place here.
    }
  }
  return undefined;
}

/** Punching works wherever collapsing does. */
const folders: readonly (readonly [CutMeans, string | undefined])[] = [["collapse", folderFor("collapse")], ["punch", folderFor("punch") ?? folderFor("collapse")]];

const line = (number: number): string => `${String(number).padStart(15, "0")}\n`;
const lines = (from: number, to: number): string => Array.from({ length: to - from }, (_, index) => line(from + index)).join("");
/** Everything in all files, as a reader gets it. */
async function wholeLog(path: string, count?: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of followLog(path, { lines: count, follow: false, signal: new AbortController().signal })) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
/** What a person finds: the files put together. */
const filesOf = (path: string): string =>
  logParts(path).map(({ path: file, offset }) => readFileSync(file).subarray(offset).toString()).join("");

function consecutive(text: string, from = 0): number {
  let next = from;
  for (const one of text.split("\n").slice(0, -1)) {
    if (one !== line(next).slice(0, -1)) throw new Error(`after line ${next - 1} comes ${JSON.stringify(one)}`);
    next += 1;
  }
  return next;
}

describe.each(folders)("a log cut by %s", (means, place) => {
  const folder = (): string => mkdtempSync(join(place!, "log-"));
  const one = (bytes: number, keep = 3) => ({ maxBytes: bytes, keep });
  const block = cutBlockBytes;

  test.skipIf(place === undefined)("moves the oldest part to NAME.1; nothing is lost", async () => {
    const path = join(folder(), "x.log");
    const count = (2 * block + 4_000) / 16;
    writeFileSync(path, lines(0, count));
    expect(await rotate(path, one(2 * block), means)).toBe(true);
    expect(statSync(`${path}.1`).size).toBe(2 * block);
    expect(readLogState(path)).toEqual({ base: 2 * block, hole: means === "punch" ? 2 * block : 0, cutting: null });
    expect(consecutive(filesOf(path))).toBe(count);
    expect(await wholeLog(path)).toBe(lines(0, count));
    expect(await rotate(path, one(2 * block), means)).toBe(false);
  });

  test.skipIf(place === undefined)("at its limit exactly is left alone, one byte more is not", async () => {
    const path = join(folder(), "x.log");
    writeFileSync(path, Buffer.alloc(block));
    expect(await rotate(path, one(block), means)).toBe(false);
    appendFileSync(path, "x");
    expect(await rotate(path, one(block), means)).toBe(true);
    expect(logParts(path).map(({ from, to }) => to - from)).toEqual([block, 1]);
  });

  test.skipIf(place === undefined)("keeps so many older files, in order, and drops the oldest", async () => {
    const path = join(folder(), "x.log");
    const per = block / 16;
    for (let round = 0; round < 5; round++) {
      appendFileSync(path, lines(round * per, (round + 1) * per));
      await rotate(path, one(block, 2), means);
    }
    appendFileSync(path, lines(5 * per, 5 * per + 1));
    await rotate(path, one(block, 2), means);
    expect(readdirSync(join(path, "..")).sort()).toEqual(["x.log", "x.log.1", "x.log.2", "x.log.state"]);
    expect(consecutive(await wholeLog(path), 3 * per)).toBe(5 * per + 1);
  });

  test.skipIf(place === undefined)("with keep 0 the oldest part is dropped", async () => {
    const path = join(folder(), "x.log");
    writeFileSync(path, lines(0, 2 * block / 16 + 1));
    await rotate(path, one(block, 0), means);
    await rotate(path, one(block, 0), means);
    expect(existsSync(`${path}.1`)).toBe(false);
    expect(consecutive(await wholeLog(path), 2 * block / 16)).toBe(2 * block / 16 + 1);
  });

  test.skipIf(place === undefined)("a lower keep removes what is too many", async () => {
    const path = join(folder(), "x.log");
    for (let round = 0; round < 5; round++) {
      appendFileSync(path, Buffer.alloc(block + 1));
      await rotate(path, one(block, 4), means);
    }
    appendFileSync(path, Buffer.alloc(block));
    await rotate(path, one(block, 1), means);
    expect(readdirSync(join(path, "..")).sort()).toEqual(["x.log", "x.log.1", "x.log.state"]);
  });

  test.skipIf(place === undefined)("emptied by hand, it goes on", async () => {
    const path = join(folder(), "x.log");
    writeFileSync(path, lines(0, 2 * block / 16));
    await rotate(path, one(block), means);
    truncateSync(path, 0);
    appendFileSync(path, "new\n");
    expect((await wholeLog(path)).endsWith("new\n")).toBe(true);
    const keeper = new LogKeeper(join(path, ".."), idle, () => {}, means === "punch" ? punchOnly : systemAllocate);
    keeper.keep(path, one(block));
    await keeper.look();
    appendFileSync(path, Buffer.alloc(2 * block, "y"));
    expect(await rotate(path, one(block), means)).toBe(true);
    expect(filesOf(path).endsWith(`new\n${"y".repeat(2 * block)}`)).toBe(true);
  });

  test.skipIf(place === undefined)("a crash at any point of it loses and doubles nothing", async () => {
    const limits = one(block, 2);
    const per = block / 16;
    // The crash comes before the n-th change of the disk that can be told from outside.
    const stages: ((path: string) => void)[] = [
      // While copying.
      (path) => writeFileSync(`${path}.1.new`, "half"),
      // Copied and said so.
      (path) => {
        writeFileSync(`${path}.1.new`, readPart(path));
        announce(path);
      },
      // One of the older ones moved on.
      (path) => {
        writeFileSync(`${path}.1.new`, readPart(path));
        announce(path);
        if (existsSync(`${path}.1`)) renameSync(`${path}.1`, `${path}.2`);
      },
      // All renamed, nothing cut.
      (path) => {
        if (existsSync(`${path}.1`)) renameSync(`${path}.1`, `${path}.2`);
        writeFileSync(`${path}.1`, readPart(path));
        announce(path);
      },
      // Cut, but not said so.
      (path) => {
        if (existsSync(`${path}.1`)) renameSync(`${path}.1`, `${path}.2`);
        writeFileSync(`${path}.1`, readPart(path));
        announce(path);
        const { hole } = readLogState(path);
        const file = openSync(path, "r+");
        expect(systemAllocate(file, means === "collapse" ? 8 : 3, 0, (means === "collapse" ? 0 : hole) + block)).toBe(true);
        closeSync(file);
      },
    ];
    function readPart(path: string): Uint8Array {
      const { hole } = readLogState(path);
      return readFileSync(path).subarray(hole, hole + block);
    }
    function announce(path: string): void {
      writeLogState(path, { ...readLogState(path), cutting: { bytes: block, means } });
    }
    for (const [number, crash] of stages.entries()) {
      const path = join(folder(), `${number}.log`);
      appendFileSync(path, lines(0, per + 10));
      await rotate(path, limits, means);
      appendFileSync(path, lines(per + 10, 2 * per + 10));
      crash(path);
      // The program goes on meanwhile.
      appendFileSync(path, lines(2 * per + 10, 2 * per + 20));
      await rotate(path, limits, means);
      expect(consecutive(filesOf(path))).toBe(2 * per + 20);
      expect(await wholeLog(path)).toBe(lines(0, 2 * per + 20));
      expect(readLogState(path)).toMatchObject({ base: 2 * block, cutting: null });
    }
  });

  test.skipIf(place === undefined)("a writer as fast as it can, and a reader that follows: no line lost or doubled", async () => {
    const path = join(folder(), "x.log");
    const source = `
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
  char text[4096];
  long total = atol(argv[1]);
  for (long number = 0; number < total;) {
    int used = 0;
    for (int line = 0; line < 40 && number < total; line++) used += sprintf(text + used, "%015ld\\n", number++);
    if (write(1, text, used) != used) return 1;
  }
  return 0;
}`;
    const program = compileC(temporary.folder(), "writer", source);
    const total = program ? 1_500_000 : 200_000;
    const argv = program ? [program, String(total)] : ["awk", `BEGIN { for (n = 0; n < ${total}; n++) printf "%015d\\n", n }`];
    const output = openSync(path, "a");
    const keeper = new LogKeeper(join(path, ".."), idle, (text) => { throw new Error(text); }, means === "punch" ? punchOnly : systemAllocate);
    keeper.keep(path, { maxBytes: 1_048_576, keep: 100 });
    const end = new AbortController();
    const following = (async () => {
      let seen = 0;
      let rest = "";
      for await (const chunk of followLog(path, { lines: undefined, follow: true, signal: end.signal })) {
        const text = rest + Buffer.from(chunk).toString();
        const cut = text.lastIndexOf("\n") + 1;
        seen = consecutive(text.slice(0, cut), seen);
        rest = text.slice(cut);
        if (seen === total) end.abort();
      }
      return seen;
    })();
    const child = spawn(argv[0]!, argv.slice(1), { stdio: ["ignore", output, "inherit"] });
    temporary.defer(() => child.kill("SIGKILL"));
    closeSync(output);
    const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
    while (child.exitCode === null) {
      await keeper.look();
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
    expect(await exited).toBe(0);
    await keeper.look();
    await keeper.look();
    const parts = logParts(path);
    expect(parts.length).toBeGreaterThan(program ? 15 : 2);
    expect(parts.at(-1)!.to - parts.at(-1)!.from).toBeLessThanOrEqual(1_048_576);
    expect(consecutive(filesOf(path))).toBe(total);
    expect(consecutive(await wholeLog(path))).toBe(total);
    expect(await following).toBe(total);
  }, 60_000);
});

/** A clock that never calls: the test looks. */
const idle: Clock = { nowMs: () => performance.now(), after: () => () => {}, every: () => () => {} };
const punchOnly: Allocate = (file, mode, offset, length) => mode !== 8 && systemAllocate(file, mode, offset, length);
const nothing: Allocate = () => false;

describe("where the file system can do neither", () => {
  test("a log that is too large is turned over when its program starts; a reader goes on", async () => {
    const folder = temporary.folder();
    const path = join(folder, "x.log");
    const keeper = new LogKeeper(folder, idle, () => {}, nothing);
    expect(keeper.means).toBe("none");
    const limits = { maxBytes: 65_536, keep: 2 };
    writeFileSync(path, lines(0, 5_000));
    keeper.keep(path, limits);
    await keeper.look();
    expect(readdirSync(folder)).toEqual(["x.log"]);
    const end = new AbortController();
    const reader = followLog(path, { lines: 2, follow: true, signal: end.signal });
    expect(Buffer.from((await reader.next()).value!).toString()).toBe(lines(4_998, 5_000));
    await keeper.beforeStart(path, limits);
    appendFileSync(path, lines(5_000, 5_010));
    expect(Buffer.from((await reader.next()).value!).toString()).toBe(lines(5_000, 5_010));
    end.abort();
    await reader.return(undefined);
    expect(await wholeLog(path)).toBe(lines(0, 5_010));
    await keeper.beforeStart(path, limits);
    expect(readdirSync(folder).sort()).toEqual(["x.log", "x.log.1", "x.log.state"]);
  });

  test("with keep 0 it is dropped", () => {
    const path = join(temporary.folder(), "x.log");
    writeFileSync(path, Buffer.alloc(70_000));
    turnOver(path, { maxBytes: 65_536, keep: 0 });
    expect(existsSync(path)).toBe(false);
  });
});

describe("a program that lives too short for a look", () => {
  const limits = { maxBytes: 65_536, keep: 100 };
  const dump = 30_000;
  const appendLife = (path: string, number: number): void => appendFileSync(path, lines(number * dump, (number + 1) * dump));

  test.each([["collapse", systemAllocate], ["punch", punchOnly], ["nothing", nothing]] as const)("has its log turned over at each start; no line is lost (%s)", async (_means, allocate) => {
    const folder = temporary.folder();
    const path = join(folder, "x.log");
    const keeper = new LogKeeper(folder, idle, (text) => { throw new Error(text); }, allocate);
    const lives = 20;
    for (let life = 0; life < lives; life++) {
      await keeper.beforeStart(path, limits);
      expect(statSync(path, { throwIfNoEntry: false })?.size ?? 0).toBeLessThanOrEqual(limits.maxBytes);
      appendLife(path, life);
    }
    expect(existsSync(`${path}.${lives - 1}`)).toBe(true);
    expect(consecutive(filesOf(path))).toBe(lives * dump);
    expect(consecutive(await wholeLog(path))).toBe(lives * dump);
    await keeper.beforeStart(path, { ...limits, keep: 2 });
    expect(readdirSync(folder).sort()).toEqual(["x.log.1", "x.log.2", "x.log.state"]);
  });

  test.each(folders)("after a life in which it was cut by %s too", async (means, place) => {
    if (place === undefined) return;
    const folder = mkdtempSync(join(place, "log-"));
    const path = join(folder, "x.log");
    const keeper = new LogKeeper(folder, idle, (text) => { throw new Error(text); }, means === "punch" ? punchOnly : systemAllocate);
    const leave = keeper.keep(path, limits);
    appendLife(path, 0);
    await keeper.look();
    leave();
    for (let life = 1; life < 6; life++) {
      await keeper.beforeStart(path, limits);
      const { from, to } = logParts(path).at(-1)!;
      expect(to - from).toBeLessThanOrEqual(limits.maxBytes);
      appendLife(path, life);
    }
    expect(consecutive(filesOf(path))).toBe(6 * dump);
    expect(await wholeLog(path)).toBe(lines(0, 6 * dump));
  });

  test("is started when a cut of its log that was under way is done", async () => {
    const folder = temporary.folder();
    const path = join(folder, "x.log");
    const keeper = new LogKeeper(folder, idle, (text) => { throw new Error(text); });
    appendLife(path, 0);
    const leave = keeper.keep(path, limits);
    const look = keeper.look();
    leave();
    await keeper.beforeStart(path, limits);
    appendLife(path, 1);
    await look;
    expect(await wholeLog(path)).toBe(lines(0, 2 * dump));
  });

  // What the disk holds when the armor dies, or the disk is full, before the n-th change.
  const stages: readonly (readonly [string, (path: string) => void])[] = [
    ["it is moved", () => {}],
    ["it is let in", (path) => renameSync(path, `${path}.1.new`)],
    ["an older one is moved on", (path) => {
      renameSync(path, `${path}.1.new`);
      renameSync(`${path}.1`, `${path}.2`);
    }],
    ["the state is written", (path) => {
      renameSync(`${path}.1`, `${path}.2`);
      renameSync(path, `${path}.1`);
    }],
  ];
  describe.each(stages)("a turn that ended before %s", (_what, change) => {
    async function interrupted(): Promise<{ folder: string; path: string; keeper: LogKeeper }> {
      const folder = temporary.folder();
      const path = join(folder, "app", "x.log");
      mkdirSync(join(folder, "app"));
      const keeper = new LogKeeper(folder, idle, (text) => { throw new Error(text); });
      appendLife(path, 0);
      await keeper.beforeStart(path, limits);
      appendLife(path, 1);
      const { ino, size } = statSync(path);
      writeLogState(path, { ...readLogState(path), cutting: { bytes: size, means: "rename", inode: ino } });
      change(path);
      return { folder, path, keeper };
    }

    test("is finished at the next start", async () => {
      const { path, keeper } = await interrupted();
      await keeper.beforeStart(path, limits);
      expect(statSync(path, { throwIfNoEntry: false })?.size ?? 0).toBeLessThanOrEqual(limits.maxBytes);
      appendLife(path, 2);
      expect(await wholeLog(path)).toBe(lines(0, 3 * dump));
    });

    test("is finished in the next life of the armor, also if its program has ended for ever", async () => {
      const { path, keeper } = await interrupted();
      await keeper.finishCuts();
      expect(await wholeLog(path)).toBe(lines(0, 2 * dump));
    });

    test("is finished while the next one writes", async () => {
      const { path, keeper } = await interrupted();
      appendLife(path, 2);
      keeper.keep(path, { maxBytes: 10 * 1024 * 1024, keep: 9 });
      await keeper.look();
      expect(await wholeLog(path)).toBe(lines(0, 3 * dump));
    });
  });

  test("a cut under which the armor died is finished though its program has ended", async () => {
    const folder = temporary.folder();
    const path = join(folder, "x.log");
    appendLife(path, 0);
    writeFileSync(`${path}.1.new`, readFileSync(path).subarray(0, cutBlockBytes));
    writeLogState(path, { base: 0, hole: 0, cutting: { bytes: cutBlockBytes, means: "punch" } });
    await new LogKeeper(folder, idle, (text) => { throw new Error(text); }).finishCuts();
    expect(await wholeLog(path)).toBe(lines(0, dump));
  });
});

describe("LogKeeper", () => {
  test("leaves a log alone when it is told to; a log that is kept again is not", async () => {
    const folder = temporary.folder();
    const path = join(folder, "x.log");
    const keeper = new LogKeeper(folder, idle, () => {});
    const limits = { maxBytes: 65_536, keep: 1 };
    const leave = keeper.keep(path, limits);
    leave();
    writeFileSync(path, Buffer.alloc(200_000));
    await keeper.look();
    expect(existsSync(`${path}.1`)).toBe(false);
    // The next launch is watched before the last one's end is noticed.
    const first = keeper.keep(path, limits);
    keeper.keep(path, { ...limits });
    first();
    await keeper.look();
    expect(existsSync(`${path}.1`)).toBe(true);
  });

  test("says once what it cannot rotate, and tries again later", async () => {
    const folder = temporary.folder();
    const path = join(folder, "x.log");
    const notes: string[] = [];
    let nowMs = 0;
    const clock: Clock = { ...idle, nowMs: () => nowMs };
    let broken = true;
    const keeper = new LogKeeper(folder, clock, (text) => notes.push(text), (file, ...rest) => !(broken && statSync(path, { throwIfNoEntry: false }) !== undefined) && systemAllocate(file, ...rest));
    expect(keeper.means).not.toBe("none");
    writeFileSync(path, lines(0, 20_000));
    keeper.keep(path, { maxBytes: 65_536, keep: 9 });
    await keeper.look();
    await keeper.look();
    expect(notes).toHaveLength(1);
    expect(await wholeLog(path)).toBe(lines(0, 20_000));
    broken = false;
    nowMs = 60_001;
    await keeper.look();
    expect(existsSync(`${path}.1`)).toBe(true);
    expect(await wholeLog(path)).toBe(lines(0, 20_000));
  });

  test("on a full disk, where it cannot be known what can be done, it says so, fails nobody, and tries again later", async () => {
    const folder = temporary.folder();
    const path = join(folder, "x.log");
    const notes: string[] = [];
    let nowMs = 0;
    let full = true;
    const keeper = new LogKeeper(folder, { ...idle, nowMs: () => nowMs }, (text) => notes.push(text), (...args) => {
      if (full) throw new Error("ENOSPC: no space left on device");
      return systemAllocate(...args);
    });
    const limits = { maxBytes: 65_536, keep: 9 };
    writeFileSync(path, lines(0, 10_000));
    expect(keeper.means).toBe("none");
    keeper.keep(path, limits);
    await keeper.look();
    await keeper.look();
    expect(notes).toEqual([`log ${path} is not rotated: ENOSPC: no space left on device`]);
    full = false;
    nowMs = 60_001;
    await keeper.look();
    expect(notes).toHaveLength(1);
    expect(existsSync(`${path}.1`)).toBe(true);
    expect(await wholeLog(path)).toBe(lines(0, 10_000));
  });

  test("a log that cannot be turned over is no reason not to start its program", async () => {
    const folder = temporary.folder();
    const path = join(folder, "x.log");
    const notes: string[] = [];
    writeFileSync(path, lines(0, 10_000));
    mkdirSync(`${path}.state`);
    await new LogKeeper(folder, idle, (text) => notes.push(text), nothing).beforeStart(path, { maxBytes: 65_536, keep: 1 });
    expect(notes).toHaveLength(1);
    expect(await wholeLog(path)).toBe(lines(0, 10_000));
  });

  test("a log that is not there is nobody's trouble", async () => {
    const notes: string[] = [];
    const keeper = new LogKeeper(temporary.folder(), idle, (text) => notes.push(text));
    const path = join(keeper.folder, "none.log");
    keeper.keep(path, { maxBytes: 65_536, keep: 1 });
    await keeper.look();
    writeLogState(path, { base: 0, hole: 0, cutting: { bytes: 65_536, means: "collapse" } });
    expect(await finishCut(path, { maxBytes: 65_536, keep: 1 })).toMatchObject({ cutting: null });
    expect(notes).toEqual([]);
  });
});

describe("reading", () => {
  async function logged(): Promise<string> {
    const path = join(temporary.folder(), "x.log");
    for (let round = 0; round < 3; round++) {
      appendFileSync(path, lines(round * 5_000, (round + 1) * 5_000));
      await rotate(path, { maxBytes: 65_536, keep: 9 }, cutMeans(join(path, "..")) as CutMeans);
    }
    return path;
  }

  test("the last lines, from as many files as it takes", async () => {
    const path = await logged();
    for (const count of [0, 1, 2, 4_000, 5_000, 12_345, 14_999, 15_000, 20_000]) {
      expect(await wholeLog(path, count)).toBe(lines(Math.max(0, 15_000 - count), 15_000));
    }
    appendFileSync(path, "no end");
    expect(await wholeLog(path, 1)).toBe("no end");
    expect(await wholeLog(path, 2)).toBe(`${line(14_999)}no end`);
  });

  test("a log that is not there yet is empty, and followed once it is", async () => {
    const path = join(temporary.folder(), "x.log");
    expect(await wholeLog(path)).toBe("");
    expect(await wholeLog(path, 3)).toBe("");
    const end = new AbortController();
    const reader = followLog(path, { lines: undefined, follow: true, signal: end.signal });
    const first = reader.next();
    writeFileSync(path, "hello\n");
    expect(Buffer.from((await first).value!).toString()).toBe("hello\n");
    end.abort();
    await reader.return(undefined);
  });

  test("a position that has been dropped is the oldest there is", async () => {
    const path = await logged();
    rmSync(`${path}.3`);
    const buffer = Buffer.alloc(16);
    expect(readLog(path, 0, buffer)).toMatchObject({ kind: "bytes", count: 16 });
    expect(buffer.toString()).not.toBe(line(0));
  });

  test("does not go on for ever while somebody writes", async () => {
    const path = join(temporary.folder(), "x.log");
    writeFileSync(path, lines(0, 10_000));
    let seen = 0;
    for await (const chunk of followLog(path, { lines: undefined, follow: false, signal: new AbortController().signal })) {
      appendFileSync(path, lines(0, 10_000));
      seen += chunk.length;
    }
    expect(seen).toBe(160_000);
  });
});
