import { describe, expect, test } from "bun:test";
import { ArmorProcesses, type ArmorSystem } from "../../armors/host/armor_processes.ts";
import type { ProcessExit } from "../../armors/host/child_process.ts";
import { systemClock } from "../../armors/host/system_clock.ts";

const identity = { pid: 7, startTicks: 1, bootId: "b" };
const order = { armor: "heartbeat", role: "heartbeat", incarnation: { placement: 0, restart: 0 }, generation: { epoch: 1, node: "n", counter: 0 }, process: null, reset: false };

/** An armor that answers nobody is ended and started again. @returns Flags of its next life. */
async function nextLife(stopped: boolean): Promise<readonly string[]> {
  const starts: (readonly string[])[] = [];
  let exited: (exit: ProcessExit) => void = () => {};
  const system: ArmorSystem = {
    clock: systemClock,
    start: (_role, _armor, flags) => {
      starts.push(flags);
      return { pid: identity.pid, identity, onExit: (listener) => void (exited = listener) };
    },
    find: () => undefined,
    forget: () => {},
    isAlive: () => true,
    isStopped: () => stopped,
    killAndConfirm: () => Promise.resolve(true),
  };
  const processes = new ArmorProcesses(system, () => {}, () => {});
  await processes.spawn(order);
  processes.kill({ armor: order.armor, process: identity });
  exited({ code: null, signal: "SIGKILL" });
  await processes.spawn(order);
  return starts[1]!;
}

describe("an armor that is killed because it answers nobody", () => {
  test("has ended by its own doing if it was running", async () => {
    expect((await nextLife(false)).join(" ")).toContain("--ended own");
  });

  test("is accused of nothing if somebody had stopped it", async () => {
    expect((await nextLife(true)).join(" ")).not.toContain("--ended");
  });
});

describe("an armor that is ordered again before its process is on record", () => {
  /** Processes that start and end as the orders come; both orders at once, as after a slow commit. */
  const run = async (second: "spawn" | "end"): Promise<{ done: string[]; living: Set<number> }> => {
    const done: string[] = [];
    const living = new Set<number>();
    let pid = 0;
    const system: ArmorSystem = {
      clock: systemClock,
      start: () => {
        living.add(++pid);
        done.push(`start ${pid}`);
        return { pid, identity: { ...identity, pid }, onExit: () => {} };
      },
      find: () => undefined,
      forget: () => {},
      isAlive: (one) => living.has(one.pid),
      isStopped: () => false,
      killAndConfirm: async (one) => {
        await Promise.resolve();
        living.delete(one.pid);
        done.push(`end ${one.pid}`);
        return true;
      },
    };
    const processes = new ArmorProcesses(system, () => {}, () => {});
    // Something of before it is to be ended first: that takes time.
    const orders = [processes.spawn({ ...order, process: { ...identity, pid: 99 } }), processes[second](order)];
    await Promise.all(orders);
    return { done, living };
  };

  test("a second start ends the process of the first", async () => {
    const { done, living } = await run("spawn");
    expect(done).toEqual(["end 99", "start 1", "end 1", "start 2"]);
    expect([...living]).toEqual([2]);
  });

  test("its removal leaves no process", async () => {
    const { done, living } = await run("end");
    expect(done).toEqual(["end 99", "start 1", "end 1"]);
    expect([...living]).toEqual([]);
  });
});

test("an armor that its daemon has forgotten is looked for, and ended, where its role is named", async () => {
  const killed: number[] = [];
  const system: ArmorSystem = {
    clock: systemClock,
    start: () => {
      throw new Error("nothing is to be started");
    },
    find: (role) => (role === "ftm" ? identity : undefined),
    forget: () => {},
    isAlive: () => true,
    isStopped: () => false,
    killAndConfirm: ({ pid }) => Promise.resolve(killed.push(pid) > 0),
  };
  const processes = new ArmorProcesses(system, () => {}, () => {});
  await processes.end({ armor: "ftm", process: null });
  expect(killed).toEqual([]);
  await processes.end({ armor: "ftm", role: "ftm", process: null });
  expect(killed).toEqual([identity.pid]);
});
