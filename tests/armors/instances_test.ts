import { describe, expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Message } from "../../core/message.ts";
import type { Application } from "../../armors/application.ts";
import { parseApplication } from "../../armors/application_schema.ts";
import { Execution } from "./execution_fixture.ts";

describe("the restart policy of an application", () => {
  test("delays as it says", () => {
    const execution = new Execution();
    const id = execution.run({ restart: { firstDelayMs: 1_000, delayCapMs: 2_000 } });
    const launchedMs: number[] = [];
    for (let round = 0; round < 4; round++) {
      execution.exit(id, 1);
      const { length } = execution.commands;
      while (!execution.commands.slice(length).some(({ kind }) => kind === "program.launch")) execution.advance(1);
      launchedMs.push(execution.nowMs);
      execution.advance(2);
    }
    const gaps = launchedMs.slice(1).map((atMs, index) => atMs - launchedMs[index]!);
    expect(gaps[0]).toBeGreaterThanOrEqual(800);
    expect(gaps[0]).toBeLessThanOrEqual(1_210);
    expect(gaps[2]).toBeGreaterThanOrEqual(1_600);
    expect(gaps[2]).toBeLessThanOrEqual(2_410);
  });

  test("gives up where it is told to, and says so; the operator's restart begins anew", () => {
    const execution = new Execution();
    const fields = { restart: { restartsMax: 2, firstDelayMs: 10 } };
    const id = execution.run(fields);
    for (let round = 0; round < 3; round++) {
      execution.exit(id, 1);
      execution.advance(100);
    }
    expect(execution.state(id)).toMatchObject({ state: "failed", restarts: 2, launch: 3 });
    expect(execution.events("application.failed")).toMatchObject([{ subject: id, cause: "status 1, after 2 restarts" }]);
    execution.advance(600_000);
    execution.restart();
    execution.run(fields);
    execution.advance(1_000);
    expect(execution.state(id)).toMatchObject({ state: "failed", launch: 3 });
    execution.run(fields, { restart: 1 });
    execution.advance(100);
    expect(execution.state(id)).toMatchObject({ state: "running", launch: 4 });
    expect(execution.events("application.started")).toHaveLength(2);
  });

  test("restarts in a row begin anew when it has run long enough", () => {
    const execution = new Execution();
    const id = execution.run({ restart: { restartsMax: 1, resetAfterMs: 5_000 } });
    for (let round = 0; round < 10; round++) {
      execution.advance(5_001);
      execution.exit(id, 1);
    }
    execution.advance(100);
    expect(execution.state(id)).toMatchObject({ state: "running", restarts: 10 });
  });

  test("a job that fails is tried as often as its policy says", () => {
    const execution = new Execution();
    const id = execution.run({ kind: "job", restart: { restartsMax: 1 } });
    execution.exit(id, 1);
    execution.advance(100);
    expect(execution.state(id)).toMatchObject({ state: "running", launch: 2 });
    execution.exit(id, 1);
    execution.advance(100_000);
    expect(execution.state(id)).toMatchObject({ state: "failed", launch: 2 });
  });
});

describe("after a restart of the machine", () => {
  test("a program that had ended before, or was about to be started again, waits for the FTM's order", () => {
    const execution = new Execution();
    const flaky = execution.run({ name: "flaky", restart: { firstDelayMs: 5_000 } });
    for (let round = 0; round < 2; round++) {
      execution.exit(flaky, 1);
      execution.advance(2);
    }
    const web = execution.run({ name: "web" });
    execution.advance(2);
    expect(execution.state(flaky)).toMatchObject({ state: "restarting" });
    expect(execution.state(web)).toMatchObject({ state: "running" });
    const launched = execution.count("program.launch");
    // Of web's program the launch record says that it ended.
    execution.reboot();
    execution.advance(60_000);
    expect(execution.count("program.launch")).toBe(launched);
    for (const id of [flaky, web]) expect(execution.state(id)).toMatchObject({ state: "pending" });
    execution.run({ name: "web" });
    execution.advance(2);
    for (const id of [flaky, web]) expect(execution.state(id)).toMatchObject({ state: "running" });
  });

  test("one that was to be started anew by an operator waits too", () => {
    const execution = new Execution();
    const id = execution.run();
    execution.network.onCommand = () => {};
    execution.run({}, { restart: 1 });
    expect(execution.state(id)).toMatchObject({ state: "stopping", launch: 1 });
    execution.reboot();
    execution.local("program.exited", { id, launch: 1, status: 143, adopted: true });
    execution.advance(60_000);
    expect(execution.state(id)).toMatchObject({ state: "pending", launch: 1 });
    execution.run({}, { restart: 1 });
    expect(execution.state(id)).toMatchObject({ state: "starting", launch: 2 });
  });
});

describe("a launch under a number that was used before", () => {
  /** Launched, and stopped before the host has answered. */
  function stopping(): { execution: Execution; id: string } {
    const execution = new Execution();
    execution.network.onCommand = () => {};
    const id = execution.run();
    execution.run({}, { desired: "stopped" });
    expect(execution.state(id)).toMatchObject({ state: "stopping", launch: 1 });
    return { execution, id };
  }

  test("is stopped at once when it was to be stopped, and can be started again", () => {
    const { execution, id } = stopping();
    execution.local("program.taken", { id, launch: 1, number: 4, running: false });
    expect(execution.state(id)).toMatchObject({ state: "stopped", launch: 4 });
    execution.run({}, { desired: "running" });
    expect(execution.state(id)).toMatchObject({ state: "starting", launch: 5 });
  });

  test("is launched under the next when it was stopped and started meanwhile", () => {
    const { execution, id } = stopping();
    execution.run({}, { desired: "running" });
    execution.local("program.taken", { id, launch: 1, number: 4, running: false });
    expect(execution.state(id)).toMatchObject({ state: "starting", launch: 5 });
  });
});

describe("an application that an older version has stored", () => {
  const { restart: _restart, probe: _probe, log: _log, ...old } = parseApplication({ name: "web", command: "web" });

  test("runs and restarts, and completed by a newer version is still the same", () => {
    const execution = new Execution();
    execution.order(old as Application);
    execution.advance(100);
    execution.exit("web.0", 1);
    execution.advance(1_000);
    expect(execution.state("web.0")).toMatchObject({ state: "running", launch: 2 });
    execution.order(parseApplication(old));
    execution.advance(1_000);
    expect(execution.state("web.0")).toMatchObject({ state: "running", launch: 2 });
  });
});

describe("a program that cannot be started", () => {
  test("is tried again now and then, also by the next life of the armor", () => {
    const execution = new Execution();
    execution.cannot = "it does not exist";
    const id = execution.run();
    execution.advance(100);
    expect(execution.state(id)).toMatchObject({ state: "failed" });
    execution.restart();
    execution.cannot = "";
    execution.advance(31_000);
    expect(execution.state(id)).toMatchObject({ state: "running" });
  });
});

describe("a crash loop", () => {
  test("goes on though its restarts, which wait longer and longer, fill no window any more", () => {
    const execution = new Execution();
    const id = execution.run({ restart: { crashLoopRestarts: 3, crashLoopWindowMs: 200, firstDelayMs: 1 } });
    const loops = (): boolean => (execution.network.state("execution@n1", "instances") as Record<string, { crashLoop: boolean }>)[id]!.crashLoop;
    for (const upMs of [0, 0, 0, 500, 500]) {
      execution.advance(upMs);
      execution.exit(id, 1);
      execution.advance(50);
    }
    expect(loops()).toBe(true);
    expect(execution.events("application.crash-loop")).toHaveLength(1);
    execution.advance(11_000);
    expect(loops()).toBe(false);
  });

  test("is over when the program stays up", () => {
    const execution = new Execution();
    const id = execution.run({ restart: { crashLoopRestarts: 3, firstDelayMs: 1 } });
    const loops = (): boolean => (execution.network.state("execution@n1", "instances") as Record<string, { crashLoop: boolean }>)[id]!.crashLoop;
    for (let round = 0; round < 3; round++) {
      execution.exit(id, 1);
      execution.advance(50);
    }
    expect(loops()).toBe(true);
    execution.restart();
    execution.advance(9_000);
    expect(loops()).toBe(true);
    execution.advance(2_000);
    expect(loops()).toBe(false);
    expect(execution.events("application.crash-loop")).toHaveLength(1);
  });
});

describe("a job", () => {
  const completed = (execution: Execution): number => execution.events("application.completed").length;

  test("is completed once, whoever dies when", () => {
    const execution = new Execution();
    const id = execution.run({ kind: "job" });
    execution.exit(id, 0);
    execution.advance(0);
    // It has ended; the armor dies before it has heard of it, and again after.
    execution.restart();
    execution.advance(100);
    execution.restart();
    execution.advance(100);
    expect(execution.state(id)).toMatchObject({ state: "completed", launch: 1 });
    expect(completed(execution)).toBe(1);
  });

  test("is told to the FTM as completed in the very commit that holds the event: it cannot be known to have completed and be placed anew", () => {
    const execution = new Execution();
    const id = execution.run({ kind: "job" });
    execution.advance(100);
    const kernel = execution.network.armor("execution@n1").kernel!;
    const { commits } = kernel.step({ kind: "local", op: "program.exited", payload: { id, launch: execution.running.get(id)!, status: 0 } }, execution.nowMs);
    const said = commits.map(({ sent = [] }) => sent.map(({ body }) => (decode(body) as Message).ops[0]!.name));
    expect(said).toContainEqual(["instances.told", "events.note"]);
  });

  test("is not run again by an FTM that does not know that it has completed", () => {
    const execution = new Execution();
    const id = execution.run({ kind: "job" });
    execution.exit(id, 0);
    execution.advance(100);
    // One FTM knew, its successor does not.
    execution.run({ kind: "job" }, { desired: "stopped" });
    execution.run({ kind: "job" });
    execution.advance(1_000);
    expect(execution.state(id)).toMatchObject({ state: "completed", launch: 1 });
    expect(completed(execution)).toBe(1);
    // The operator's word counts.
    execution.run({ kind: "job" }, { restart: 1 });
    execution.advance(100);
    expect(execution.state(id)).toMatchObject({ state: "running", launch: 2 });
  });
});

test("a program is taken over by the order it was launched by, and by none where another has come to stop it", () => {
  const execution = new Execution();
  const id = execution.run({ kind: "job" });
  execution.advance(100);
  const adopted: unknown[] = [];
  execution.network.onCommand = (_, { kind, args }) => void (kind === "program.adopt" && adopted.push(args["order"]));
  execution.restart();
  execution.run({ kind: "job" }, { restart: 1 });
  expect(execution.state(id)).toMatchObject({ state: "stopping", launch: 1 });
  execution.restart();
  expect(adopted).toEqual([expect.stringMatching(/ 0$/), undefined]);
});

describe("a job whose launch was forgotten", () => {
  test("is what its record says, and is not run again", () => {
    const execution = new Execution();
    const asked: string[] = [];
    execution.network.onCommand = (_, { kind, args }) => void asked.push(`${kind} ${args["launch"]}`);
    const id = execution.run({ kind: "job" });
    execution.local("program.taken", { id, launch: 1, number: 3, running: false, done: true });
    expect(asked.filter((one) => /launch |adopt/.test(one))).toEqual(["program.launch 1", "program.adopt 3"]);
    execution.local("program.exited", { id, launch: 3, status: 0, adopted: true });
    expect(execution.state(id)).toMatchObject({ state: "completed", launch: 3 });
    execution.advance(10);
    expect(execution.events("application.completed")).toHaveLength(1);
  });
});

describe("programs of which an armor knows nothing", () => {
  test("are swept at its first list of each life, never before it", () => {
    const execution = new Execution();
    const sweeps = () => execution.commands.filter(({ kind }) => kind === "program.sweep").map(({ args }) => args["ids"]);
    expect(sweeps()).toEqual([]);
    const id = execution.run({});
    execution.run({ args: ["again"] });
    expect(sweeps()).toEqual([[id]]);
    execution.restart();
    expect(sweeps()).toHaveLength(1);
    execution.run({});
    expect(sweeps()).toEqual([[id], [id]]);
  });

  test("are swept too where the list has them stopped: nobody else would end them", () => {
    const execution = new Execution();
    const id = execution.run({}, { desired: "stopped" });
    expect(execution.commands.filter(({ kind }) => kind === "program.sweep").map(({ args }) => args["ids"])).toEqual([[]]);
    expect(execution.state(id)).toMatchObject({ state: "stopped", launch: 0 });
  });
});

test("the FTM hears of each new life of the armor, also where programs ended before that could say anything", () => {
  const execution = new Execution();
  const id = execution.run({});
  execution.advance(10);
  const before = execution.told.length;
  expect(execution.told.slice(1)).not.toContain(true);
  execution.restart("boot", () => execution.local("program.exited", { id, launch: 1, status: 1, adopted: true }));
  execution.advance(1_000);
  expect(execution.told.slice(before).filter(Boolean)).toEqual([true]);
  expect(execution.told[before]).toBe(true);
});
