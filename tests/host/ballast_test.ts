import { afterEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { Ballast } from "../../armors/host/ballast.ts";
import { openCheckpointFiles } from "../../armors/host/checkpoint_file.ts";
import type { CommitRecord } from "../../core/checkpoint.ts";
import type { CheckpointError } from "../../core/errors.ts";
import { limits } from "../../core/limits.ts";
import { Temporary } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

/** A file system of this many MiB, or `undefined` where none can be made. */
function small(mebibytes: number): string | undefined {
  const mount = temporary.folder();
  const made = process.getuid?.() === 0 && spawnSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", mount]).status === 0;
  if (!made) return void console.warn("skipped: needs root to mount a small file system");
  temporary.defer(() => spawnSync("umount", [mount]));
  return mount;
}

/** Take all room there is. */
function fill(folder: string): string {
  const path = join(folder, "filler");
  spawnSync("dd", ["if=/dev/zero", `of=${path}`, "bs=4096"], { stdio: "ignore" });
  return path;
}

const size = (path: string): number => (existsSync(path) ? statSync(path).blocks * 512 : 0);

describe("ballast", () => {
  test("takes real room, is given up bit by bit, and is made whole when there is room", () => {
    const folder = small(16);
    if (folder === undefined) return;
    const path = join(folder, "ballast");
    const ballast = new Ballast(path);
    expect(ballast.giveUp()).toBe(false);
    expect([ballast.refill(), size(path)]).toEqual([true, limits.ballastBytes]);
    const filler = fill(folder);
    expect(ballast.refill()).toBe(false);
    let given = 0;
    while (ballast.giveUp()) given += 1;
    expect([given, size(path)]).toEqual([limits.ballastBytes / limits.ballastStepBytes, 0]);
    expect(ballast.refill()).toBe(false);
    rmSync(filler);
    expect([ballast.refill(), size(path)]).toEqual([true, limits.ballastBytes]);
  });

  test("is not made on a file system that it would fill", () => {
    const folder = small(6);
    if (folder === undefined) return;
    const ballast = new Ballast(join(folder, "ballast"));
    expect([ballast.refill(), size(ballast.path)]).toEqual([false, 0]);
  });

  test("lets commits and snapshots succeed on a full disk; without it they fail", () => {
    const folder = small(16);
    if (folder === undefined) return;
    const ballast = new Ballast(join(folder, "ballast"));
    ballast.refill();
    const generation = { epoch: 1, node: "n", counter: 0 };
    const store = openCheckpointFiles(join(folder, "armor"), "armor", "disk", ballast);
    temporary.defer(() => store.close());
    store.restore();
    const snapshot = { format: 1, armor: "armor", generation, messages: 0, elements: {}, continuations: {}, channels: [] } as const;
    store.writeSnapshot({ ...snapshot, commit: 0 });
    fill(folder);
    const record = (commit: number): CommitRecord => ({ commit, generation, set: { some: { text: "x".repeat(10_000) } } });
    let commit = 0;
    let failure: unknown;
    try {
      for (;;) {
        store.append([record(commit + 1)]);
        commit += 1;
        if (commit === 100) store.writeSnapshot({ ...snapshot, commit });
      }
    } catch (error) {
      failure = error;
    }
    expect((failure as CheckpointError).code).toBe("disk_full");
    // All of it went into records.
    expect(commit).toBeGreaterThan(350);
    store.close();
    const again = openCheckpointFiles(join(folder, "armor"), "armor", "disk");
    const { records, complete } = again.restore();
    again.close();
    expect([complete, records.at(-1)?.commit]).toEqual([true, commit]);
  });

  test("that is missing or unreadable makes nothing worse", () => {
    const folder = temporary.folder();
    writeFileSync(join(folder, "file"), "");
    const ballast = new Ballast(join(folder, "file", "ballast"));
    expect([ballast.giveUp(), ballast.refill()]).toEqual([false, false]);
    expect(() => ballast.relieve(() => {
      throw Object.assign(new Error("full"), { code: "ENOSPC" });
    })).toThrow("full");
  });
});
