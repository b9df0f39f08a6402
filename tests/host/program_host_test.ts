import { expect, test } from "bun:test";
import type { ProcessIdentity } from "../../core/process_identity.ts";
import type { LaunchRecord } from "../../armors/host/launch_record.ts";
import { programHost, type ProgramSystem } from "../../armors/host/program_host.ts";

const program = (pid: number): ProcessIdentity => ({ pid, startTicks: 1, bootId: "boot" });

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
