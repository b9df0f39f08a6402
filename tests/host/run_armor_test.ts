/** An armor's start on a machine of the test's own. */
import { expect, test } from "bun:test";
import { decode, encode } from "../../core/codec.ts";
import type { Restored } from "../../core/checkpoint_store.ts";
import type { Data } from "../../core/data.ts";
import { limits } from "../../core/limits.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { executionArmor } from "../../armors/execution_armor.ts";
import { traitsOf } from "../../armors/host/armor_kind.ts";
import type { ArmorMachine } from "../../armors/host/armor_machine.ts";
import { ElementLoader } from "../../armors/host/element_loader.ts";
import type { Register } from "../../armors/host/local_link.ts";
import type { HeartbeatPort } from "../../transports/heartbeat_port.ts";
import type { LinkHandlers } from "../../transports/frame_link.ts";
import { openArmorState } from "../../armors/host/armor_state.ts";
import { runArmor } from "../../armors/host/run_armor.ts";

/** Start an execution armor, or an FTM, that finds this. @returns What it says first to its daemon; what it does on its disk, and the daemon's answer. */
async function start(restored: Restored, again: boolean, ranInThisBoot = true, role: "execution" | "ftm" = "execution") {
  const said: Register[] = [];
  const done: string[] = [];
  let onFrames: LinkHandlers["onFrames"] = () => {};
  const refuse = (): never => {
    throw new Error("not used");
  };
  const machine: ArmorMachine = {
    clock: { nowMs: () => 0, after: () => () => {}, every: () => () => {} },
    random: seededRandom(1),
    bootId: "boot",
    self: { pid: 1, startTicks: 1, bootId: "boot" },
    node: "n1",
    ports: { read: refuse, write: () => {} },
    loader: new ElementLoader(),
    hand: { read: () => undefined, write: () => {}, remove: () => {} },
    pause: refuse,
    openPort: async () => ({ port: 1, send: () => {}, close: () => {} }) as unknown as HeartbeatPort,
    openStore: () => ({ restore: () => restored, append: () => {}, sync: refuse, writeSnapshot: ({ generation }) => void done.push(`snapshot of ${generation.counter}`), logBytes: 0, close: refuse }),
    ranInThisBoot: () => ranInThisBoot,
    markBoot: () => void done.push("mark"),
    around: (surroundings) => surroundings,
    connect: (handlers) => (onFrames = handlers.onFrames, { send: (bytes) => void (said.push(decode(bytes) as Register), done.push("register")), backlogBytes: 0, close: () => {} }),
    hear: refuse,
    deadLetter: refuse,
    log: () => {},
    tell: () => {},
    onTerminate: () => {},
    onExit: () => {},
    exit: (status) => (done.push(`exit ${status}`), undefined as never),
  };
  const kind = { ...traitsOf(role, "n1"), elements: () => executionArmor({ node: "n1" }) };
  await runArmor(kind, machine, { role, generation: { epoch: 1, node: "n1", counter: 1_000 }, again, ownEnd: false });
  const answered = async (): Promise<void> => {
    const answer = { type: "registered", key: new Uint8Array(32), cluster: "c", node: "n1", host: "127.0.0.1", generation: said[0]!.generation!, begin: null, given: null, allowElements: false };
    onFrames([encode(answer as unknown as Data)]);
    await new Promise((resolve) => setTimeout(resolve, 10));
  };
  return { register: said[0]!, done, answered };
}

async function registerOf(restored: Restored, again: boolean): Promise<Register> {
  return (await start(restored, again)).register;
}

const nothing: Restored = { snapshot: undefined, records: [], complete: true, damage: [] };

test("an armor that begins in the ordered generation registers with it", async () => {
  expect(await registerOf(nothing, false)).toMatchObject({ generation: { epoch: 1, node: "n1", counter: 1_000 }, elements: [] });
});

test("an armor whose files are gone registers with the generation that it takes instead of the ordered one", async () => {
  const lost: Restored = { ...nothing, complete: false, damage: ["its files are missing"] };
  const { generation } = await registerOf(lost, true);
  expect(generation).toMatchObject({ epoch: 1, node: "n1" });
  expect(generation!.counter).toBeWithin(1_001, 1_001 + limits.generationJumpMax);
});

test("after a restart of the machine the boot is marked when the next generation is in the checkpoint: a life that ends before has lost as much for the next one", async () => {
  const generation = { epoch: 1, node: "n1", counter: 1_000 };
  const kernel = new Microkernel({ armor: "execution@n1", generation, elements: executionArmor({ node: "n1" }), random: seededRandom(1) });
  const { register, done, answered } = await start({ ...nothing, snapshot: kernel.snapshot() }, false, false);
  expect(register.generation).toEqual({ ...generation, counter: 1_001 });
  // The daemon is to order what has a checkpoint.
  expect(done).toEqual(["snapshot of 1001", "mark", "register"]);
  await answered();
  expect(done.filter((word) => word.startsWith("snapshot"))).toEqual(["snapshot of 1001"]);
});

test("an armor of which a restart of the machine has left nothing says so; one that is started for the first time, or has never written anything, does not", () => {
  const kind = { ...traitsOf("execution", "n1"), elements: () => executionArmor({ node: "n1" }) };
  const found = (again: boolean, ranInThisBoot: boolean): unknown => {
    const machine = { openStore: () => ({ restore: () => nothing }), ranInThisBoot: () => ranInThisBoot, random: seededRandom(1) } as unknown as ArmorMachine;
    const { damage, complete } = openArmorState(kind, machine, { epoch: 1, node: "n1", counter: 1_000 }, again);
    return [damage.length, complete];
  };
  expect(found(true, false)).toEqual([1, false]);
  expect(found(false, false)).toEqual([0, true]);
  expect(found(true, true)).toEqual([0, true]);
});

test("an FTM whose daemon cannot say any more what it begins from ends, before it does anything", async () => {
  const { done, answered } = await start(nothing, false, true, "ftm");
  await answered();
  expect(done).toEqual(["register", "exit 0"]);
});
