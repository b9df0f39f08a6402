/** What a daemon leaves behind for a guard that is not its parent. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readDaemonEnd, writeDaemonEnd } from "../../armors/host/daemon_end.ts";

const folder = mkdtempSync(join(tmpdir(), "armor-end-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const run = { path: folder, socket: "" };
const daemon = { pid: 7, startTicks: 100, bootId: "b" };

test("readDaemonEnd() knows nothing of a daemon that crashed", () => {
  expect(readDaemonEnd(run, daemon)).toBe(null);
});

test("readDaemonEnd() knows how a daemon ended, and which", () => {
  writeDaemonEnd(run, daemon, 0);
  expect(readDaemonEnd(run, daemon)).toBe(0);
  expect(readDaemonEnd(run, { ...daemon, startTicks: 101 })).toBe(null);
  expect(readDaemonEnd(run, { ...daemon, pid: 8 })).toBe(null);
});

test("readDaemonEnd() believes no other bytes", () => {
  writeFileSync(join(folder, "daemon.end"), "7 100\n");
  expect(readDaemonEnd(run, daemon)).toBe(null);
});
