import { afterEach, describe, expect, test } from "bun:test";
import { mkdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { dataDir } from "../../armors/host/data_dir.ts";
import { DeadLetterFile, deadLetterPath, readDeadLetters } from "../../armors/host/dead_letters.ts";
import { limits } from "../../core/limits.ts";
import { Temporary } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

const message = (id: string, payload: Record<string, string> = {}) => ({ id, from: "a", to: "b", ops: [{ name: "x" }], payload });
const failure = { code: "poison", op: "x", element: "", armor: "b", text: "died", committed: 0 };

function place(): { data: ReturnType<typeof dataDir>; file: DeadLetterFile; ids: () => string[] } {
  const data = dataDir(temporary.folder());
  mkdirSync(`${data.path}/armors`);
  const file = new DeadLetterFile(deadLetterPath(data, "b"), "b", () => {});
  return { data, file, ids: () => readDeadLetters(data).map((letter) => letter.message.id) };
}

describe("dead letters", () => {
  test("are kept with their failure and read back, by armor", () => {
    const { data, file } = place();
    file.add({ message: message("a/1"), failure }, "2026-01-01T00:00:00.000Z");
    new DeadLetterFile(deadLetterPath(data, "daemon@n"), "daemon@n", () => {}).add({ message: message("a/2") }, "2026-01-02T00:00:00.000Z");
    expect(readDeadLetters(data, "b")).toEqual([{ at: "2026-01-01T00:00:00.000Z", armor: "b", message: message("a/1"), failure }]);
    expect(readDeadLetters(data).map(({ armor, message: { id } }) => [armor, id])).toEqual([["b", "a/1"], ["daemon@n", "a/2"]]);
    expect(readDeadLetters(data, "none")).toEqual([]);
    expect(statSync(deadLetterPath(data, "b")).mode & 0o777).toBe(0o600);
  });

  test("are kept once when a crash makes the armor say them twice", () => {
    const { file, ids } = place();
    for (const id of ["a/1", "a/1", "a/2"]) file.add({ message: message(id), failure }, "");
    expect(ids()).toEqual(["a/1", "a/2"]);
  });

  test("are bounded in number: the oldest go", () => {
    const { file, ids } = place();
    for (let count = 1; count <= limits.deadLettersMax + 1; count++) file.add({ message: message(`a/${count}`), failure }, "");
    const kept = ids();
    expect(kept.at(-1)).toBe(`a/${limits.deadLettersMax + 1}`);
    expect(kept.length).toBe(limits.deadLettersMax / 2 + 1);
  });

  test("are bounded in bytes, one and all", () => {
    const { data, file, ids } = place();
    file.add({ message: message("a/0", { text: "y".repeat(limits.deadLetterMessageBytesMax) }), failure }, "");
    expect(readDeadLetters(data)[0]!.message["payload"]).toEqual({ omittedBytes: expect.any(Number) });
    const text = "y".repeat(limits.deadLetterMessageBytesMax - 1_000);
    for (let count = 1; count <= 100; count++) file.add({ message: message(`a/${count}`, { text }), failure }, "");
    expect(statSync(deadLetterPath(data, "b")).size).toBeLessThanOrEqual(limits.deadLetterBytesMax);
    expect(ids().at(-1)).toBe("a/100");
  });

  test("before damage can be read, and the next one makes the file whole", () => {
    const { data, file, ids } = place();
    for (const id of ["a/1", "a/2", "a/3"]) file.add({ message: message(id), failure }, "");
    const path = deadLetterPath(data, "b");
    const bytes = readFileSync(path);
    bytes[bytes.length - 3]! ^= 1;
    writeFileSync(path, bytes);
    expect(ids()).toEqual(["a/1", "a/2"]);
    file.add({ message: message("a/4"), failure }, "");
    expect(ids()).toEqual(["a/1", "a/2", "a/4"]);
    truncateSync(path, 10);
    expect(ids()).toEqual([]);
  });

  test("that cannot be written are logged, nothing worse", () => {
    const lines: string[] = [];
    new DeadLetterFile("/proc/none/dead", "b", (text) => lines.push(text)).add({ message: message("a/1"), failure }, "");
    expect(lines.length).toBe(2);
  });
});
