/** Programs as processes of this machine, as the execution armor's host starts them. */
import { afterEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { seededRandom } from "../../core/random.ts";
import { type Application, completeApplication } from "../../armors/application.ts";
import { type DataDir, openDataDir } from "../../armors/host/data_dir.ts";
import { newIdentity, writeIdentity } from "../../armors/host/identity.ts";
import { writeLogState } from "../../armors/host/log_chain.ts";
import { programSystem } from "../../armors/host/program_host.ts";
import { isAlive } from "../../armors/host/process_table.ts";
import { Temporary, until } from "./temporary.ts";

const temporary = new Temporary();
afterEach(() => temporary.clean());

function dataOfNode(): DataDir {
  const data = openDataDir(temporary.folder());
  writeIdentity(data.identity, newIdentity("n1", [], seededRandom(1)));
  return data;
}

function application(script: string): Application {
  const log = { maxBytes: 65_536, keep: 3 };
  return completeApplication({ name: "web", command: "sh", args: ["-c", script], env: {}, directory: null, user: null, log } as never);
}

async function launch(system: ReturnType<typeof programSystem>, number: number, of: Application): Promise<Parameters<typeof isAlive>[0] | undefined> {
  const outcome = await system.launch("web.0", number, of, "");
  if (typeof outcome === "string" || !outcome.ok) return undefined;
  temporary.program(outcome.program);
  return outcome.program;
}

test("a service that writes much and dies at once does not fill the disk with its log", async () => {
  const data = dataOfNode();
  const system = programSystem(data, () => {});
  const log = data.log("web", "web.0");
  for (let life = 1; life <= 6; life++) {
    const program = await launch(system, life, application("head -c 200000 /dev/zero | tr '\\0' x"));
    await until(() => !isAlive(program!), "it has ended");
    expect(statSync(log).size).toBe(200_000);
  }
  expect([1, 2, 3, 4].map((number) => existsSync(`${log}.${number}`))).toEqual([true, true, true, false]);
});

test("a number that is taken leaves the log of its program where it is written", async () => {
  const data = dataOfNode();
  const system = programSystem(data, () => {});
  const log = data.log("web", "web.0");
  const one = application("head -c 200000 /dev/zero; exec sleep 60");
  await launch(system, 1, one);
  await until(() => statSync(log).size === 200_000, "it has written");
  expect(await system.launch("web.0", 1, one, "")).toMatchObject({ code: "exists" });
  expect([statSync(log).size, existsSync(`${log}.1`)]).toEqual([200_000, false]);
});

test("a cut under which the armor died is finished by its next life", async () => {
  const data = dataOfNode();
  const log = data.log("web", "web.0");
  mkdirSync(dirname(log));
  writeFileSync(`${log}.1.new`, "a job that has completed since\n");
  writeLogState(log, { base: 0, hole: 0, cutting: { bytes: 31, means: "rename", inode: statSync(`${log}.1.new`).ino } });
  programSystem(data, () => {});
  await until(() => existsSync(`${log}.1`), "it is finished");
});
