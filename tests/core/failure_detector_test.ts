import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { freshWatch, heard, liveness, nextAsk, type Watch } from "../../core/failure_detector.ts";
import { timing } from "../../core/limits.ts";

const intervalMs = 250;
const options = { suspectMisses: 2, failedMisses: 4 };

/** Asks one after the other, each as late as given, none answered. */
function asks(lateMs: readonly number[], from: Watch = freshWatch): Watch {
  return lateMs.reduce((watch, late, index) => nextAsk(watch, `nonce ${index}`, late, intervalMs), from);
}

describe("liveness()", () => {
  for (
    const [missed, expected] of [[0, "alive"], [1, "alive"], [2, "suspect"], [3, "suspect"], [4, "failed"], [9, "failed"]] as const
  ) {
    test(`is ${expected} after ${missed} unanswered asks`, () => {
      expect(liveness({ ...freshWatch, missed }, options)).toBe(expected);
      // The first ask judges nothing: one more ask than misses.
      expect(liveness(asks(Array.from({ length: missed + 1 }, () => 0)), options)).toBe(expected);
    });
  }

  test("judges a party that was never heard like any other", () => {
    expect(liveness(asks([0, 0, 0, 0, 0]), options)).toBe("failed");
    expect(asks([0, 0, 0]).heardAtMs).toBeUndefined();
  });

  test("judges nobody before anything was asked", () => {
    expect(liveness(freshWatch, { suspectMisses: 1, failedMisses: 1 })).toBe("alive");
  });
});

describe("nextAsk()", () => {
  for (const [lateMs, missed] of [[0, 1], [124, 1], [125, 1], [126, 0], [250, 0], [60_000, 0]] as const) {
    test(`counts the ask before as ${missed ? "missed" : "not judged"} when it comes ${lateMs} of 250 ms late`, () => {
      expect(nextAsk(asks([0]), "next", lateMs, intervalMs).missed).toBe(missed);
    });
  }

  test("half an interval is exact for odd intervals too", () => {
    expect(nextAsk(asks([0]), "next", 125, 251).missed).toBe(1);
    expect(nextAsk(asks([0]), "next", 126, 251).missed).toBe(0);
  });

  test("a paused or starved asker accuses nobody, and forgets no earlier miss", () => {
    expect(liveness(asks([0, 900, 900, 900, 900, 900, 900]), options)).toBe("alive");
    expect(asks([0, 0, 0, 900, 0]).missed).toBe(3);
  });

  test("changes nothing in place", () => {
    const watch: Watch = Object.freeze({ ...freshWatch, asked: Object.freeze(["x"]) as string[] });
    expect(nextAsk(watch, "y", 0, intervalMs)).toEqual({ asked: ["x", "y"], missed: 1, heardAtMs: undefined });
    expect(watch.asked).toEqual(["x"]);
  });
});

describe("heard()", () => {
  test("takes a reply that echoes any recent nonce, and starts anew", () => {
    const watch = asks([0, 0, 0]);
    for (const nonce of ["nonce 0", "nonce 1", "nonce 2"]) {
      expect(heard(watch, nonce, 77)).toEqual({ asked: [], missed: 0, heardAtMs: 77 });
    }
  });

  test("ignores what was never asked, was answered already, or is older than eight asks", () => {
    const watch = asks([0, 0]);
    expect(heard(watch, "unsolicited", 5)).toBeUndefined();
    expect(heard(freshWatch, "", 5)).toBeUndefined();
    expect(heard(heard(watch, "nonce 1", 5)!, "nonce 1", 6)).toBeUndefined();
    const many = asks(Array.from({ length: 9 }, () => 0));
    expect(many.asked.length).toBe(8);
    expect(heard(many, "nonce 0", 5)).toBeUndefined();
    expect(heard(many, "nonce 1", 5)).toBeDefined();
  });
});

test("a party that answers every ask is never suspected, whatever the asker's delays; a silent one fails by the count of timely asks", () => {
  fc.assert(
    fc.property(fc.array(fc.record({ lateMs: fc.nat(400), answered: fc.boolean() }), { maxLength: 60 }), (rounds) => {
      let watch = freshWatch;
      let silent = freshWatch;
      let timely = 0;
      rounds.forEach(({ lateMs }, index) => {
        watch = nextAsk(watch, `${index}`, lateMs, intervalMs);
        silent = nextAsk(silent, `${index}`, lateMs, intervalMs);
        if (index > 0 && lateMs <= 125) timely += 1;
        expect(liveness(watch, options)).toBe("alive");
        watch = heard(watch, `${index}`, index)!;
        expect(silent.missed).toBe(timely);
      });
    }),
    { seed: 1, numRuns: 100, includeErrorInReport: true },
  );
});

test("with the defaults, who is silent fails after 1 to 1.25 s of timely asks elsewhere, and 1 to 1.4 s on one node", () => {
  const defaults = { suspectMisses: timing.nodeSuspectMisses, failedMisses: timing.heartbeatMisses };
  expect(liveness(asks([0, 0, 0, 0]), defaults)).toBe("suspect");
  expect(liveness(asks([0, 0, 0, 0, 0]), defaults)).toBe("failed");
  expect(timing.heartbeatMisses * timing.heartbeatIntervalMs).toBe(1_000);
  const local = { suspectMisses: timing.nodeSuspectMisses, failedMisses: timing.localMisses };
  expect(liveness(asks([0, 0, 0]), local)).toBe("suspect");
  expect(liveness(asks([0, 0, 0, 0]), local)).toBe("failed");
  expect((timing.localMisses - 1) * timing.localIntervalMs + timing.localHurryMs).toBe(1_000);
});
