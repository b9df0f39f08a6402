import { describe, expect, test } from "bun:test";
import { Execution } from "./execution_fixture.ts";

const tcp = { type: "tcp", address: "127.0.0.1:1", intervalMs: 1_000, timeoutMs: 500, failures: 3, graceMs: 5_000 } as const;
const failing = { ok: false, reason: "connection refused" } as const;

describe("a probe that Armor asks", () => {
  test("asks at its interval and leaves a program that answers alone", () => {
    const execution = new Execution();
    execution.run({ probe: tcp });
    execution.advance(30_000);
    const gaps = execution.askedMs.slice(1).map((atMs, index) => atMs - execution.askedMs[index]!);
    expect(new Set(gaps)).toEqual(new Set([1_000]));
    expect(gaps.length).toBeGreaterThan(25);
    expect(execution.askedMs[0]).toBeLessThanOrEqual(2_010);
    expect(execution.count("program.kill")).toBe(0);
  });

  test("kills at the last of its failures in a row, says why, and the restart policy acts", () => {
    const execution = new Execution();
    const id = execution.run({ probe: tcp });
    execution.advance(10_000);
    execution.answer = () => failing;
    const { length } = execution.askedMs;
    while (execution.count("program.kill") === 0) execution.advance(1);
    expect(execution.askedMs.length - length).toBe(3);
    execution.answer = () => ({ ok: true });
    execution.advance(5);
    expect(execution.state(id)).toMatchObject({ state: "running", restarts: 1, launch: 2 });
    const [hung] = execution.events("application.hung");
    expect(hung).toMatchObject({ subject: id, cause: "probe: connection refused", detectedBy: "execution@n1", durationMs: 2_001 });
    expect(execution.events("application.exited")).toMatchObject([{ cause: "signal 9" }]);
    expect(execution.events("application.restarted")[0]!["durationMs"]).toBeGreaterThanOrEqual(2_001);
    execution.advance(30_000);
    expect(execution.count("program.kill")).toBe(1);
  });

  test("one failure less than the limit is forgiven by one success", () => {
    const execution = new Execution();
    let asked = 0;
    execution.answer = () => (asked++ % 3 === 0 ? { ok: true } : failing);
    execution.run({ probe: tcp });
    execution.advance(60_000);
    expect(execution.count("program.kill")).toBe(0);
  });

  test("failures of a starting program do not count within the grace, and count after it", () => {
    const execution = new Execution();
    execution.answer = () => failing;
    execution.run({ probe: tcp });
    const startedMs = execution.nowMs;
    while (execution.count("program.kill") === 0) execution.advance(1);
    // The first that counts is asked after 5 s, the third 2 s later.
    expect(execution.nowMs - startedMs).toBeGreaterThanOrEqual(7_000);
    expect(execution.nowMs - startedMs).toBeLessThan(8_100);
  });

  test("a program that has answered once has no grace left", () => {
    const execution = new Execution();
    execution.run({ probe: { ...tcp, graceMs: 60_000 } });
    execution.advance(2_500);
    execution.answer = () => failing;
    execution.advance(4_000);
    expect(execution.count("program.kill")).toBe(1);
  });

  test("failures that came late, because this armor was paused, do not count", () => {
    const execution = new Execution();
    execution.run({ probe: tcp });
    execution.advance(10_000);
    execution.answer = () => ({ ...failing, afterMs: 400 });
    // Each time paused while a probe is under way: it ends long after its time.
    let { length } = execution.askedMs;
    for (let round = 0; round < 10; round++) {
      while (execution.askedMs.length === length) execution.advance(1);
      ({ length } = execution.askedMs);
      execution.pause(3_000);
    }
    expect(execution.count("program.kill")).toBe(0);
    // On time they count.
    execution.advance(4_000);
    expect(execution.count("program.kill")).toBe(1);
  });

  test("is asked when its turn comes: waiting for it is nobody's failure, and no excuse", () => {
    const execution = new Execution();
    execution.run({ probe: tcp });
    execution.advance(10_000);
    execution.answer = () => ({ ...failing, queuedMs: 10_000, afterMs: 500 });
    execution.advance(40_000);
    expect(execution.count("program.kill")).toBe(1);
  });

  test("an answer about an earlier launch is not counted", () => {
    const execution = new Execution();
    const id = execution.run({ probe: tcp });
    execution.advance(10_000);
    for (let count = 0; count < 5; count++) execution.local("program.probed", { id, launch: 7, ok: false, reason: "old", askedMs: execution.nowMs });
    expect(execution.count("program.kill")).toBe(0);
  });

  test("ends with the program and begins with the next", () => {
    const execution = new Execution();
    const id = execution.run({ probe: tcp });
    execution.advance(5_000);
    execution.run({ probe: tcp }, { desired: "stopped" });
    execution.advance(1_000);
    const { length } = execution.askedMs;
    execution.advance(10_000);
    expect(execution.askedMs.length).toBe(length);
    execution.run({ probe: tcp });
    execution.advance(3_000);
    expect(execution.askedMs.length).toBeGreaterThan(length);
    expect(execution.state(id)?.state).toBe("running");
  });

  test("goes on after a crash of this armor; the grace counts from the start of the program", () => {
    const execution = new Execution();
    const id = execution.run({ probe: { ...tcp, graceMs: 20_000 } });
    execution.advance(30_000);
    execution.restart();
    expect(execution.running.get(id)).toBe(1);
    const { length } = execution.askedMs;
    execution.answer = () => failing;
    execution.advance(4_100);
    expect(execution.askedMs.length).toBeGreaterThan(length + 2);
    expect(execution.count("program.kill")).toBe(1);
    expect(execution.count("program.launch")).toBe(2);
  });

  test("an idle armor that probes writes nothing", () => {
    const execution = new Execution();
    execution.run({ probe: tcp });
    execution.advance(2_000);
    const before = execution.network.armor("execution@n1").store.commit;
    execution.advance(20_000);
    expect(execution.network.armor("execution@n1").store.commit).toBe(before);
  });
});

describe("a probe by progress", () => {
  const probe = { type: "progress", withinMs: 4_000, graceMs: 10_000 } as const;
  const progress = (execution: Execution, id: string): void => execution.local("application.progress", { id, launch: execution.running.get(id)! });

  test("a program that makes progress is left alone, one that stops is killed within its time and an eighth", () => {
    const execution = new Execution();
    const id = execution.run({ probe });
    for (let round = 0; round < 20; round++) {
      execution.advance(3_500);
      progress(execution, id);
    }
    expect(execution.count("program.kill")).toBe(0);
    const sinceMs = execution.nowMs;
    while (execution.count("program.kill") === 0) execution.advance(1);
    expect(execution.nowMs - sinceMs).toBeGreaterThanOrEqual(3_500);
    expect(execution.nowMs - sinceMs).toBeLessThanOrEqual(4_500);
    expect(execution.events("application.hung")).toMatchObject([{ subject: id, cause: "no progress within 4000 ms" }]);
  });

  test("the first progress may take as long as the grace", () => {
    const execution = new Execution();
    const id = execution.run({ probe });
    execution.advance(9_400);
    expect(execution.count("program.kill")).toBe(0);
    execution.advance(1_200);
    expect(execution.count("program.kill")).toBe(1);
    execution.advance(100);
    expect(execution.state(id)?.launch).toBe(2);
  });

  test("time in which this armor was paused is no silence", () => {
    const execution = new Execution();
    const id = execution.run({ probe });
    execution.advance(1_000);
    progress(execution, id);
    for (let round = 0; round < 10; round++) execution.pause(3_900);
    expect(execution.count("program.kill")).toBe(0);
    execution.advance(4_600);
    expect(execution.count("program.kill")).toBe(1);
  });

  test("progress of another launch does not count", () => {
    const execution = new Execution();
    const id = execution.run({ probe });
    for (let round = 0; round < 12; round++) {
      execution.advance(1_000);
      execution.local("application.progress", { id, launch: 9 });
    }
    expect(execution.count("program.kill")).toBe(1);
  });
});

test("a program without a probe is not asked", () => {
  const execution = new Execution();
  execution.run();
  execution.advance(60_000);
  expect(execution.askedMs).toEqual([]);
});
