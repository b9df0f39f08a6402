/**
 * Poison in real processes, whatever way the armor dies; and an armor that is
 * merely killed.
 */
import { afterEach, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { badStateStatus } from "../../armors/host/hand_record.ts";
import { scanFrames } from "../../armors/host/record_frame.ts";
import { decode } from "../../core/codec.ts";
import { Temporary } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

/** One life of the mortal armor; killed so long after it has said `word`: one that hangs, as a daemon does. */
async function life(folder: string, way: string, killAfterMs?: number, word = "up", own = false): Promise<{ status: number | null; out: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, "mortal_armor.ts"), folder, way, ...(own ? ["own"] : [])], { stdio: ["ignore", "pipe", "ignore"] });
  temporary.defer(() => child.kill("SIGKILL"));
  let out = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    out += part;
    if (killAfterMs !== undefined && out.includes(word)) setTimeout(() => child.kill("SIGKILL"), killAfterMs);
  });
  const status = await new Promise<number | null>((resolve) => child.on("close", resolve));
  return { status, out };
}

function letters(folder: string): { id: string; code: string }[] {
  const path = join(folder, "dead-letters.cborseq");
  if (!existsSync(path)) return [];
  return scanFrames(readFileSync(path)).contents.map((content) => {
    const { message, failure } = decode(content) as { message: { id: string }; failure: { code: string } };
    return { id: message.id, code: failure.code };
  });
}

describe("an armor that dies under a message", () => {
  // Two lives end early; one more, careful, by its own doing, or six by a signal that may be anybody's.
  const ways: [string, number][] = [["exit", 4], ["signal", 9], ["hang", 4], ["work", 4]];
  test.each(ways)("by %s: it comes back without it in life %d, handles the others, and tells the sender", async (way, lives) => {
    const folder = temporary.folder();
    const statuses: (number | null)[] = [];
    let last = "";
    while (statuses.at(-1) !== 0 && statuses.length < 12) {
      const { status, out } = await (way === "hang" ? life(folder, way, 20, "dying", true) : life(folder, way));
      statuses.push(status);
      last = out.trimEnd().split("\n").at(-1)!;
    }
    expect(statuses.length).toBe(lives);
    const { done, failed } = JSON.parse(last) as { done: string[]; failed: string[] };
    expect(done.toSorted()).toEqual(["1", "3"]);
    expect(failed).toEqual(["2 poison"]);
    expect(letters(folder)).toEqual([{ id: "victim/1.n.0/3", code: "poison" }]);
  }, 30_000);
});

describe("an armor that dies while it restores its state", () => {
  test("is tried two and two times, then ends with a status of its own, then gets one try at a time", async () => {
    const folder = temporary.folder();
    const statuses: (number | null)[] = [];
    for (let count = 0; count < 8; count++) statuses.push((await life(folder, "throw")).status);
    expect(statuses).toEqual([1, 1, 1, 1, badStateStatus, 1, badStateStatus, 1]);
    expect(letters(folder)).toEqual([]);
  }, 30_000);
});

describe("an armor that is killed again and again from outside", () => {
  test("never fails for good and loses no message", async () => {
    const folder = temporary.folder();
    for (let count = 0; count < 12; count++) await life(folder, "idle", count);
    const { status, out } = await life(folder, "none");
    expect(status).toBe(0);
    expect(JSON.parse(out.trimEnd().split("\n").at(-1)!)).toEqual({ done: ["1", "2", "3"], failed: [] });
    expect(letters(folder)).toEqual([]);
  }, 30_000);
});
