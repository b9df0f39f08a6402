import { expect, test } from "bun:test";
import { armorEnvironment, cleanEnvironment } from "../../armors/environment.ts";

test("armorEnvironment() keeps the allocator quiet, unless the operator wants it otherwise, and passes on nothing that changes the runtime", () => {
  const environment = { PATH: "/bin", NODE_OPTIONS: "--inspect", BUN_OPTIONS: "--smol", GONE: undefined };
  const quiet = { MIMALLOC_SCAVENGER: "0", MIMALLOC_PURGE_DELAY: "1000", MIMALLOC_PURGE_HOLES: "0", BUN_JSC_thresholdForOptimizeAfterWarmUp: "50000" };
  expect(armorEnvironment(environment)).toEqual({ ...quiet, PATH: "/bin" });
  expect(armorEnvironment({ MIMALLOC_PURGE_DELAY: "500" })).toEqual({ ...quiet, MIMALLOC_PURGE_DELAY: "500" });
});

test("armorEnvironment() has the daemon keep small, and what the daemon starts not", () => {
  const daemon = armorEnvironment({}, true);
  expect(daemon["MIMALLOC_PURGE_HOLES"]).toBe("1");
  expect(armorEnvironment(daemon)["MIMALLOC_PURGE_HOLES"]).toBe("0");
});

test("cleanEnvironment(), which programs of applications get, says nothing about memory", () => {
  expect(cleanEnvironment({ A: "b" })).toEqual({ A: "b" });
});
