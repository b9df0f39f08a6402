import { afterEach, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import process from "node:process";
import { openDataDir } from "../../armors/host/data_dir.ts";
import { launch } from "../../armors/host/launcher.ts";
import { ArmorProcesses, type ArmorSystem } from "../../armors/host/armor_processes.ts";
import { Temporary } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

test("an armor without free descriptors takes nothing for gone, signals nobody, and goes on once it has some", async () => {
  const data = openDataDir(temporary.folder());
  const outcome = await launch({
    data, instance: "web1", number: 1, command: "sleep", args: ["60"], env: { PATH: "/usr/bin:/bin" }, directory: "/", logFile: data.log("web", "web1"),
  });
  if (!outcome.ok) throw new Error(outcome.reason);
  temporary.program(outcome.program);
  const deno = process.versions["deno"] === undefined ? [] : ["run", "-A", "--no-check", "--quiet"];
  const argv = [process.execPath, ...deno, join(import.meta.dirname, "blind_child.ts"), data.path];
  const child = spawnSync("sh", ["-c", 'ulimit -n 200; exec "$@"', "sh", ...argv], { encoding: "utf8" });
  expect(child.stderr).toBe("");
  expect(JSON.parse(child.stdout)).toEqual({
    blind: {
      state: "?",
      identity: null,
      isAlive: true,
      programState: "running",
      arguments: [],
      found: "unknown",
      isGroupAlive: true,
      isStarting: true,
      signalled: [false, false],
      killed: [false, false],
      stopped: "alive",
    },
    exitsWhenBlind: 0,
    seeing: { isAlive: true, launches: [1], ended: "ended" },
    exits: [{ status: 143 }, { status: 143 }],
  });
}, 30_000);

test("a daemon that cannot see whether an armor lives starts no second one, and ends the one that it looked for", async () => {
  const done: string[] = [];
  const due: (() => void)[] = [];
  let sees = false;
  const identity = { pid: 7, startTicks: 1, bootId: "b" };
  const system: Partial<ArmorSystem> = {
    clock: { nowMs: () => 0, after: (_delayMs, run) => (due.push(run), () => {}), every: () => () => {} },
    start: () => (done.push("start"), { pid: 8, identity: { ...identity, pid: 8 }, onExit: () => {} }),
    find: () => {
      if (!sees) throw new Error("EMFILE");
      return identity;
    },
    isAlive: () => true,
    killAndConfirm: async ({ pid }) => (done.push(`kill ${pid}`), true),
  };
  const processes = new ArmorProcesses(system as ArmorSystem, (op) => void done.push(op), () => {});
  const order = { armor: "ftm", role: "ftm", incarnation: { placement: 0, restart: 0 }, generation: { epoch: 1, node: "n", counter: 0 }, process: null, reset: false };
  await processes.spawn(order);
  processes.watch(order);
  const ends = processes.end(order);
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(done).toEqual([]);
  sees = true;
  for (const run of due.splice(0)) run();
  await ends;
  expect(done).toEqual(["armor.gone", "armor.spawned", "kill 7"]);
  await processes.spawn(order);
  expect(done.slice(3)).toEqual(["kill 7", "start", "armor.spawned"]);
});
