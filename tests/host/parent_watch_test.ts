import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { spawnDetached } from "../../armors/host/child_process.ts";
import { nowMs } from "../../armors/host/system_clock.ts";
import { Temporary, until } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

test("onParentEnd() tells of the parent's end once and at once, and of nothing else", async () => {
  const said = join(temporary.folder(), "said");
  const lines = (): string[] => {
    try {
      return readFileSync(said, "utf8").trimEnd().split("\n");
    } catch {
      return [];
    }
  };
  const child = join(import.meta.dirname, "parent_watch_child.ts");
  const run = process.versions["deno"] === undefined ? [child] : ["run", "-A", child];
  const { pid } = spawnDetached({
    argv: [process.execPath, ...run, "parent", said],
    env: process.env as Record<string, string>,
    directory: join(import.meta.dirname, "../.."),
  });
  temporary.defer(() => {
    try {
      process.kill(pid, "SIGKILL");
    } catch {
      // It has ended, as it should.
    }
  });
  await until(() => lines().includes("listens true"), "the child listens", 15_000);
  const killedAtMs = nowMs();
  process.kill(pid, "SIGKILL");
  await until(() => lines().some((line) => line.startsWith("ended")), "the child knows");
  await new Promise((resolve) => setTimeout(resolve, 50));
  const [, atMs, alive] = lines().at(-1)!.split(" ");
  expect(lines().slice(0, -1)).toEqual(["stranger false", "listens true"]);
  expect(alive).toBe("false");
  expect(Number(atMs) - killedAtMs).toBeLessThan(300);
});
