import { afterEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { diskStatus, handFile, HandRecord, type InHand, type Life } from "../../armors/host/hand_record.ts";
import { Temporary } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

const message: InHand = { kind: "message", id: "a/1.n.0/7", op: "kill.me" };
const local: InHand = { kind: "local", id: "armor.started", op: "armor.started" };
const restore: InHand = { kind: "restore", id: "", op: "" };

/** What one life does before it is over: nothing (killed from outside), dies by itself with something in hand, or lasts. */
type Ending = InHand | "idle" | "settled" | "working" | "killed" | "disk" | "refused";

/** Lead lives one after the other; each leaves the file as its process would. */
function lives(path: string, endings: readonly Ending[], failing = true): Life[] {
  return endings.map((ending) => {
    const hand = new HandRecord(handFile(path), failing);
    const life = hand.begin();
    if (life === "failed") return life;
    hand.hold(restore);
    hand.release();
    hand.hold({ ...message, id: "a/1.n.0/1" });
    hand.release();
    if (ending === "settled") hand.settle();
    else if (ending === "killed") hand.hold(message);
    else if (ending === "disk") {
      hand.hold(message);
      hand.end(diskStatus);
    }
    else if (ending === "refused") {
      hand.refused();
      hand.end(1);
    }
    else if (ending !== "idle") {
      if (ending === "working") hand.working("a/1#2", "job");
      else hand.hold(ending);
      hand.end(70);
    }
    return life;
  });
}

const times = (count: number, ending: Ending): Ending[] => Array.from({ length: count }, () => ending);

describe("a hand record", () => {
  const table: [string, Ending[], Life][] = [
    ["one early end", times(1, message), "normal"],
    ["two early ends", times(2, message), "careful"],
    ["ten kills from outside", times(10, "idle"), "careful"],
    ["a life that lasted", [...times(9, "idle"), "settled"], "normal"],
    ["ten kills from outside under a message", times(10, "killed"), "careful"],
    ["one careful end while restoring", times(3, restore), "careful"],
    ["two careful ends while restoring", times(4, restore), "failed"],
    ["two careful ends under the host's word", times(4, local), "failed"],
    ["three careful ends, one of them from outside", [...times(3, restore), "idle", restore], "careful"],
    ["three careful ends, one of them under a message", [...times(3, restore), message, restore], "careful"],
    ["ten refusals by the daemon", times(10, "refused"), "normal"],
    ["a careful life, and ten refusals", [...times(3, "idle"), ...times(10, "refused")], "careful"],
    ["a careful end while restoring, refusals, and another", [...times(3, restore), ...times(5, "refused"), restore], "failed"],
    ["ten ends by the disk's fault", times(10, "disk"), "careful"],
  ];
  test.each(table)("after %s", (_name, endings, expected) => {
    const path = join(temporary.folder(), "armor", "hand");
    lives(path, endings);
    expect(new HandRecord(handFile(path)).begin()).toBe(expected);
  });

  test("knows poison by one careful end under it, and forgets it when the armor has lasted", () => {
    const path = join(temporary.folder(), "hand");
    const suspects: boolean[] = [];
    for (let life = 1; life <= 4; life++) {
      const hand = new HandRecord(handFile(path));
      hand.begin();
      suspects.push(hand.isPoison(message.id));
      expect(hand.isPoison("a/1.n.0/1")).toBe(false);
      hand.hold(message);
      if (life === 4) hand.settle();
      else hand.end(70);
    }
    expect(suspects).toEqual([false, false, false, true]);
    const next = new HandRecord(handFile(path));
    expect([next.begin(), next.isPoison(message.id)]).toEqual(["normal", false]);
  });

  test("weighs a kill that may have come from outside less than a crash or a hang", () => {
    const path = join(temporary.folder(), "hand");
    lives(path, times(7, "killed"));
    const innocent = new HandRecord(handFile(path));
    innocent.begin();
    expect(innocent.isPoison(message.id)).toBe(false);
    innocent.hold(message);
    // The daemon killed it for a hang.
    const hung = new HandRecord(handFile(path));
    hung.begin(true);
    expect(hung.isPoison(message.id)).toBe(true);
  });

  test("accuses what the host worked for when no thread was in hand", () => {
    const path = join(temporary.folder(), "hand");
    lives(path, times(4, "working"));
    const hand = new HandRecord(handFile(path));
    expect(hand.begin()).toBe("careful");
    expect(hand.isPoison("a/1#2")).toBe(true);
  });

  test("accuses what the host began to work for while the armor was started, not the start", () => {
    const path = join(temporary.folder(), "hand");
    const key = "a/1#2";
    for (let life = 0; life < 4; life++) {
      const hand = new HandRecord(handFile(path));
      hand.begin(true);
      hand.hold(restore);
      hand.hold(local);
      hand.working(key, "job");
    }
    const next = new HandRecord(handFile(path));
    expect(next.begin(true)).toBe("careful");
    expect(next.isPoison(key)).toBe(true);
  });

  test("gives a failed armor one try at a time, and never gives up where that is not wanted", () => {
    const path = join(temporary.folder(), "hand");
    expect(lives(path, times(8, restore)).slice(4)).toEqual(["failed", "careful", "failed", "careful"]);
    expect(lives(join(temporary.folder(), "hand"), times(8, restore), false).slice(4)).toEqual(["careful", "careful", "careful", "careful"]);
  });

  test.each(["", "garbage", "\x82\x1a\x00\x00\x00\x00Z\x00\x00\x00\x01a"])("of %j counts as none", (text) => {
    const path = join(temporary.folder(), "hand");
    writeFileSync(path, text, "latin1");
    expect(new HandRecord(handFile(path)).begin()).toBe("normal");
    expect(new HandRecord(handFile(path)).begin()).toBe("normal");
    expect(new HandRecord(handFile(path)).begin()).toBe("careful");
  });

  test("that cannot be written keeps no armor from starting", () => {
    expect(new HandRecord(handFile("/proc/none/hand")).begin()).toBe("normal");
  });
});
