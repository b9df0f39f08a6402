import { expect, test } from "bun:test";
import { diskStatus } from "../../armors/host/hand_record.ts";
import { againAfter } from "../../armors/host/start_failure.ts";
import { ArmorError, CheckpointError } from "../../core/errors.ts";

test("a start that a full disk has prevented is tried again, and so is one that failed by a mistake of ours", () => {
  expect(againAfter(new CheckpointError("disk_full", "Cannot write"))).toBe(diskStatus);
  expect(againAfter(new Error("a mistake"))).toBe(70);
});

test("what only an operator can mend is told instead", () => {
  expect(againAfter(new CheckpointError("version", "Cannot read"))).toBeUndefined();
  expect(againAfter(new ArmorError("locked", "Cannot start"))).toBeUndefined();
});
