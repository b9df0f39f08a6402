/**
 * The execution armor's host, on a machine that says what a test wants.
 */
import { expect, test } from "bun:test";
import type { DataRecord } from "../../core/data.ts";
import type { LaunchRecord } from "../../armors/host/launch_record.ts";
import { programHost, type ProgramSystem } from "../../armors/host/program_host.ts";

const program = { pid: 2, startTicks: 1, bootId: "now" };

/** A machine on which launch 1 is on record, and 2 too; `said` is what the armor is told. */
function machine(record: LaunchRecord, isStarting: () => boolean) {
  const said: string[] = [];
  const later: (() => void)[] = [];
  const records = new Map([[1, record], [2, record]]);
  const system: Partial<ProgramSystem> = {
    clock: { nowMs: () => 0, after: (_ms, run) => (later.push(run), () => {}), every: () => () => {} },
    bootId: () => "now",
    launch: async (_instance, number) => ({ ok: false, code: "exists", reason: `${number} is taken` }),
    record: (_instance, number) => records.get(number),
    isStarting,
    launches: () => [...records.keys()],
    onExit: () => () => {},
    isAlive: () => true,
    serve: async () => {},
    keepLog: () => () => {},
  };
  const { command } = programHost(system as ProgramSystem);
  const local = (op: string, payload: object): void => {
    const { status, number, reason } = payload as DataRecord;
    said.push([op, status ?? number, reason].filter((word) => word !== undefined).join(" "));
  };
  return {
    said,
    records,
    order: async (kind: string) => {
      command({ kind, args: { id: "web.0", launch: 1, application: {}, boot: "now", stopping: false, graceMs: 0 } }, local);
      await new Promise((resolve) => setTimeout(resolve, 0));
    },
    /** Some time passes. */
    again: () => later.splice(0).forEach((run) => run()),
  };
}

test("a number whose record lost its end in a power cut is passed over", async () => {
  const { said, order, again } = machine({ state: "starting", shim: 7 }, () => false);
  await order("program.launch");
  again();
  expect(said).toEqual(["program.taken 2"]);
});

test("a shim that died before its program: the launch has failed, and is told once", async () => {
  const { said, order, again } = machine({ state: "starting", shim: 7 }, () => false);
  await order("program.adopt");
  again();
  expect(said).toEqual(["program.exited 127 the launch shim ended before its program started"]);
});

test.each(["program.launch", "program.adopt"])("%s: a shim at work is waited for", async (kind) => {
  const { said, records, order, again } = machine({ state: "starting", shim: 7 }, () => true);
  await order(kind);
  again();
  expect(said).toEqual([]);
  records.set(1, { state: "running", shim: 7, program });
  again();
  expect(said).toEqual(["program.started"]);
});

test("a program that the machine cannot start has ended; it is not the armor's end", async () => {
  const said: object[] = [];
  const system: Partial<ProgramSystem> = {
    launches: () => [],
    serve: async () => {},
    launch: async () => {
      throw new Error("ENOSPC: no space left on device, write");
    },
  };
  const args = { id: "web.0", launch: 3, application: {} };
  programHost(system as ProgramSystem).command({ kind: "program.launch", args } as never, (op, payload) => void said.push({ op, ...payload }));
  await new Promise((resolve) => setTimeout(resolve, 0));
  expect(said).toEqual([{ op: "program.exited", id: "web.0", launch: 3, status: 127, reason: "ENOSPC: no space left on device, write" }]);
});
