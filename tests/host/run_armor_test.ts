/** An armor's start on a machine of the test's own. */
import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Restored } from "../../core/checkpoint_store.ts";
import { seededRandom } from "../../core/random.ts";
import { executionArmor } from "../../armors/execution_armor.ts";
import { traitsOf } from "../../armors/host/armor_kind.ts";
import type { ArmorMachine } from "../../armors/host/armor_machine.ts";
import { ElementLoader } from "../../armors/host/element_loader.ts";
import type { Register } from "../../armors/host/local_link.ts";
import { runArmor } from "../../armors/host/run_armor.ts";

/** Start an execution armor that finds this. @returns What it says first to its daemon. */
async function registerOf(restored: Restored, again: boolean): Promise<Register> {
  const said: Register[] = [];
  const refuse = (): never => {
    throw new Error("not used");
  };
  const machine: ArmorMachine = {
    clock: { nowMs: () => 0, after: () => () => {}, every: () => () => {} },
    random: seededRandom(1),
    bootId: "boot",
    self: { pid: 1, startTicks: 1, bootId: "boot" },
    node: "n1",
    ports: { read: refuse, write: refuse },
    loader: new ElementLoader(),
    hand: { read: () => undefined, write: () => {}, remove: () => {} },
    pause: refuse,
    openPort: refuse,
    openStore: () => ({ restore: () => restored, append: refuse, sync: refuse, writeSnapshot: refuse, logBytes: 0, close: refuse }),
    ranInThisBoot: () => true,
    around: (surroundings) => surroundings,
    connect: () => ({ send: (bytes) => void said.push(decode(bytes) as Register), backlogBytes: 0, close: () => {} }),
    hear: refuse,
    deadLetter: refuse,
    log: () => {},
    tell: () => {},
    onTerminate: () => {},
    onExit: () => {},
    exit: refuse,
  };
  const kind = { ...traitsOf("execution", "n1"), elements: () => executionArmor({ node: "n1" }) };
  await runArmor(kind, machine, { role: "execution", generation: { epoch: 1, node: "n1", counter: 1_000 }, again, ownEnd: false });
  return said[0]!;
}

const nothing: Restored = { snapshot: undefined, records: [], complete: true, damage: [] };

test("an armor that begins in the ordered generation registers with it", async () => {
  expect(await registerOf(nothing, false)).toMatchObject({ generation: { epoch: 1, node: "n1", counter: 1_000 }, elements: [] });
});

test("an armor whose files are gone registers with the generation that it takes instead of the ordered one", async () => {
  const lost: Restored = { ...nothing, complete: false, damage: ["its files are missing"] };
  expect((await registerOf(lost, true)).generation).toEqual({ epoch: 1, node: "n1", counter: 1_001 });
});
