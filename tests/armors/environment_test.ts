import { expect, test } from "bun:test";
import { armorEnvironment, cleanEnvironment } from "../../armors/environment.ts";

test("armorEnvironment() gives memory back at once, unless the operator wants it otherwise, and passes on nothing that changes the runtime", () => {
  const environment = { PATH: "/bin", NODE_OPTIONS: "--inspect", BUN_OPTIONS: "--smol", GONE: undefined };
  expect(armorEnvironment(environment)).toEqual({ MIMALLOC_PURGE_DELAY: "0", PATH: "/bin" });
  expect(armorEnvironment({ MIMALLOC_PURGE_DELAY: "500" })).toEqual({ MIMALLOC_PURGE_DELAY: "500" });
});

test("cleanEnvironment(), which programs of applications get, says nothing about memory", () => {
  expect(cleanEnvironment({ A: "b" })).toEqual({ A: "b" });
});
