import { describe, expect, test } from "bun:test";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import type { LaunchRecord } from "../../armors/host/launch_record.ts";
import { programHost, type ProgramSystem } from "../../armors/host/program_host.ts";

const program = (pid: number): ProcessIdentity => ({ pid, startTicks: 1, bootId: "boot" });

test.each([
  ["that was never started", [{ state: "starting", shim: 9 }], ["exited unknown"]],
  ["that its shim wrote down with its last breath", [{ state: "starting", shim: 9 }, { state: "running", shim: 9, program: program(7) }], ["started 7"]],
] as [string, LaunchRecord[], string[]][])("a launch found half done is given up after a while: a program %s", async (_what, records, expected) => {
  const told: string[] = [];
  let nowMs = 0;
  let ended = 0;
  const due: (() => void)[] = [];
  const system: Partial<ProgramSystem> = {
    clock: { nowMs: () => nowMs, after: (delayMs, run) => (due.push(() => ((nowMs += delayMs), run())), () => {}), every: () => () => {} },
    bootId: () => "boot",
    record: () => records[Math.min(ended, records.length - 1)],
    isStarting: () => true,
    endStarting: async () => void (ended += 1),
    isAlive: () => true,
    onExit: () => () => {},
    serve: async () => {},
    keepLog: () => () => {},
  };
  const args = { id: "web.0", launch: 1, application: {}, boot: "boot", stopping: false, graceMs: 0 };
  programHost(system as ProgramSystem).command({ kind: "program.adopt", args } as never, (op, payload = {}) => {
    told.push(op === "program.exited" ? `exited ${payload["unknown"] === true ? "unknown" : ""}` : `started ${(payload["process"] as { pid: number }).pid}`);
  });
  for (let turns = 0; turns < 1_000 && due.length > 0; turns++) due.shift()!();
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect({ told, ended, waitedMs: nowMs }).toEqual({ told: expected, ended: 1, waitedMs: 5_000 });
});

test("a sweep ends the living program of an instance that does not belong here, and no other", () => {
  const records: { readonly [instance: string]: readonly LaunchRecord[] } = {
    "kept.0": [{ state: "running", program: program(1) }],
    "lost.0": [{ state: "ended", program: program(2), exit: 0 }, { state: "running", program: program(3) }],
    "over.0": [{ state: "ended", program: program(4), exit: 0 }],
    "dead.0": [{ state: "running", program: program(5) }],
    "starting.0": [{ state: "starting" }],
  };
  const stopped: [number, number][] = [];
  const system: Partial<ProgramSystem> = {
    instances: () => Object.keys(records),
    launches: (instance) => (records[instance] ?? []).map((_record, index) => index + 1),
    record: (instance, number) => records[instance]?.[number - 1],
    isAlive: ({ pid }) => pid !== 5,
    stop: async ({ pid }, graceMs) => void stopped.push([pid, graceMs]),
  };
  programHost(system as ProgramSystem).command({ kind: "program.sweep", args: { ids: ["kept.0"], graceMs: 70 } }, () => {});
  expect(stopped).toEqual([[3, 70]]);
});

test("an instance that is launched while a program of its name is swept away waits for its end, and does not take it over", async () => {
  const done: string[] = [];
  let end = (): void => {};
  let lives = true;
  const system: Partial<ProgramSystem> = {
    instances: () => ["web.0"],
    launches: () => [1],
    record: () => ({ state: lives ? "running" : "ended", program: program(3), ...(!lives && { exit: 0 }) }),
    isAlive: () => lives,
    serve: async () => {},
    stop: () => new Promise<void>((resolve) => (end = resolve)),
    launch: async (instance, number) => {
      done.push(`launch ${instance} ${number}`);
      return { ok: false, code: "exists", reason: "launched before" };
    },
  };
  const { command } = programHost(system as ProgramSystem);
  const told: unknown[] = [];
  command({ kind: "program.sweep", args: { ids: [], graceMs: 70 } }, () => {});
  command({ kind: "program.launch", args: { id: "web.0", launch: 1, application: {} } } as never, (op, payload) => void told.push([op, payload]));
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect({ done, told }).toEqual({ done: [], told: [] });
  lives = false;
  end();
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect({ done, told }).toEqual({ done: ["launch web.0 1"], told: [["program.taken", { id: "web.0", launch: 1, number: 1, running: false, done: false }]] });
});

describe("a job that is launched under a number used before", () => {
  const application = { name: "sum", kind: "job", command: "sum", args: ["1"] };

  /** What the host says of a launch, when the one before it was by `order` of `before` and left `record`. */
  async function taken(record: Partial<LaunchRecord>, { order = "s 0", before = application } = {}): Promise<unknown> {
    let task = "";
    const told: unknown[] = [];
    const system: Partial<ProgramSystem> = {
      bootId: () => "boot",
      launches: () => [1, 2],
      record: () => ({ state: record.exit === undefined ? "running" : "ended", task, ...record }),
      isAlive: () => false,
      isStarting: () => false,
      serve: async () => {},
      launch: async (_instance, _number, _application, given) => {
        if (task !== "") return { ok: false, code: "exists", reason: "launched before" };
        task = given;
        return { ok: false, code: "refused", reason: "" };
      },
    };
    const { command } = programHost(system as ProgramSystem);
    for (const [asked, by] of [[before, "s 0"], [application, order]] as const) {
      command({ kind: "program.launch", args: { id: "sum.0", launch: 1, application: asked, order: by } } as never, (op, payload) => void told.push([op, payload?.["number"], payload?.["done"]]));
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    return told[1];
  }

  const ended = { program: program(3), exit: 0 };
  const before = { ...program(3), bootId: "before" };
  test.each([
    ["that has done what is asked", ended, {}, true],
    ["that has done it in another boot", { ...ended, program: before }, {}, true],
    ["that began it and left no exit status", { program: program(3) }, {}, true],
    ["that began it in another boot, which ended with it", { program: before }, {}, false],
    ["that has done it before its operator asked once more", ended, { order: "s 1" }, false],
    ["that has done something else", ended, { before: { ...application, args: ["2"] } }, false],
  ] as [string, Partial<LaunchRecord>, object, boolean][])("%s", async (_what, record, asked, done) => {
    expect(await taken(record, asked)).toEqual(["program.taken", 2, done]);
  });
});

describe("a launch that an armor takes for its own, and whose record says what it was for,", () => {
  const application = { name: "sum", kind: "job", command: "sum", args: ["1"] };
  const exit = 143;

  /** What the host says of it. @param order The one by which it was launched; the armor remembers "s 0". */
  async function adopted(order: string, lives: boolean, boot = "boot"): Promise<unknown> {
    let task = "";
    let told: unknown;
    const system: Partial<ProgramSystem> = {
      clock: { nowMs: () => 0, after: () => () => {}, every: () => () => {} },
      bootId: () => boot,
      launches: () => [],
      record: () => ({ state: lives ? "running" : "ended", task, program: program(7), ...(!lives && { exit }) }),
      isAlive: () => lives,
      serve: async () => {},
      onExit: () => () => {},
      keepLog: () => () => {},
      launch: async (_instance, _number, _application, given) => {
        task = given;
        return { ok: false, code: "refused", reason: "" };
      },
    };
    const { command } = programHost(system as ProgramSystem);
    const launch = { id: "sum.0", launch: 1, application };
    command({ kind: "program.launch", args: { ...launch, order } } as never, () => {});
    await new Promise((resolve) => setTimeout(resolve, 0));
    command({ kind: "program.adopt", args: { ...launch, order: "s 0", boot: "boot", stopping: false, graceMs: 0 } } as never, (op, payload) => void (told = [op, payload?.["status"]]));
    return told;
  }

  test("has ended as that says", async () => expect(await adopted("s 0", false)).toEqual(["program.exited", exit]));
  test("has ended nobody knows how, if it was for another order: numbers begin anew", async () => expect(await adopted("s 1", false)).toEqual(["program.exited", null]));
  test("may have to be ordered again, if the machine has restarted", async () => expect(await adopted("s 1", false, "next")).toEqual(["program.rebooted", undefined]));
  test("is taken over while it lives, whatever it is for", async () => expect(await adopted("s 1", true)).toEqual(["program.started", undefined]));
});

test("a launch that was ordered before, of which nothing is on record, starts nothing while another of that instance runs", async () => {
  const told: unknown[] = [];
  const system: Partial<ProgramSystem> = {
    clock: { nowMs: () => 0, after: () => () => {}, every: () => () => {} },
    bootId: () => "boot",
    launches: () => [1],
    record: (_instance, number) => (number === 1 ? { state: "running", program: program(7) } : undefined),
    isAlive: () => true,
    serve: async () => {},
    launch: async () => {
      throw new Error("started");
    },
  };
  const args = { id: "web.0", launch: 5, application: {}, boot: "boot", stopping: false, graceMs: 0 };
  programHost(system as ProgramSystem).command({ kind: "program.adopt", args } as never, (op, payload) => void told.push([op, payload]));
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(told).toEqual([["program.taken", { id: "web.0", launch: 5, number: 1, running: true }]]);
});

test("a program that is seen to be gone has its end looked into at once, by the same look", async () => {
  const looks: (() => void)[] = [];
  const told: string[] = [];
  let state: ReturnType<ProgramSystem["state"]> = "running";
  const system: Partial<ProgramSystem> = {
    clock: { nowMs: () => 0, after: () => () => {}, every: (_ms, run) => (looks.push(run), () => {}) },
    launches: () => [],
    launch: async () => ({ ok: true, record: "", program: program(7) }),
    isAlive: () => state === "running",
    state: () => state,
    onExit: (_instance, _number, listener) => () => listener({ status: null }),
    killGroup: async () => true,
    serve: async () => {},
    unserve: () => {},
    keepLog: () => () => {},
  };
  programHost(system as ProgramSystem).command({ kind: "program.launch", args: { id: "web.0", launch: 1, application: {} } } as never, (op) => void told.push(op));
  await new Promise((resolve) => setTimeout(resolve, 0));
  for (const look of looks) look();
  expect(told).toEqual(["program.started"]);
  state = "gone";
  for (const look of looks) look();
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(told).toEqual(["program.started", "program.exited"]);
});
