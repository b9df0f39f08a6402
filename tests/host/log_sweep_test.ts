import { afterEach, expect, test } from "bun:test";
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { leftLogsMax, sweepLogs } from "../../armors/host/log_sweep.ts";
import { Temporary } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

/** Logs of applications `app1`, `app2`, …; the higher the number, the later written. */
function makeLogs(count: number): string {
  const folder = temporary.folder();
  for (let number = 1; number <= count; number++) {
    mkdirSync(join(folder, `app${number}`));
    for (const [file, seconds] of [["0.log", number * 10], ["0.log.1", 1]] as const) {
      const path = join(folder, `app${number}`, file);
      writeFileSync(path, "a line\n");
      utimesSync(path, seconds, seconds);
    }
  }
  return folder;
}

test("the logs of the applications that left last stay, others go", () => {
  const folder = makeLogs(5);
  expect(sweepLogs(folder, new Set(), 2)).toEqual(["app3", "app2", "app1"]);
  expect(readdirSync(folder).sort()).toEqual(["app4", "app5"]);
});

test("those of applications that are here stay, and do not count", () => {
  const folder = makeLogs(5);
  expect(sweepLogs(folder, new Set(["app1", "app5"]), 2)).toEqual(["app2"]);
  expect(readdirSync(folder).sort()).toEqual(["app1", "app3", "app4", "app5"]);
});

test("as many as are said stay", () => {
  const folder = makeLogs(leftLogsMax);
  expect(sweepLogs(folder, new Set())).toEqual([]);
  writeFileSync(join(folder, "a file"), "");
  mkdirSync(join(folder, "empty"));
  expect(sweepLogs(folder, new Set())).toEqual(["empty"]);
});
