import { expect, test } from "bun:test";
import { element } from "../../core/element.ts";
import { makeArmor, type TestArmor } from "../../core/test_armor.ts";
import { nodeProbe } from "../../armors/elements/node_probe.ts";

/** A daemon whose FTM is on node `a`. */
function daemon(): TestArmor {
  const epochs = element({
    name: "epochs",
    version: 1,
    state: {},
    handlers: { "epoch.read": (_state, thread) => void (thread.payload["epochs"] = { ftm: { node: "a" } }), "liveness.probe": () => {} },
  });
  return makeArmor([nodeProbe(), epochs], { armor: "daemon@b" });
}

const told = ({ sent }: TestArmor): string[] => sent.map(({ ops, payload }) => `${ops[0]!.name} ${payload["subject"]}`);

test("the FTM is told at once that a connection has closed; of its own node, the heartbeat armor", () => {
  const armor = daemon();
  for (const node of ["c", "a"]) armor.local("link.closed", { node });
  expect(told(armor)).toEqual(["node.link-closed c", "ftm.link-closed a"]);
});

test("a connection that closes again and again is told of twice a second: hints that wait would close the next one too", () => {
  const armor = daemon();
  for (let round = 0; round < 100; round++) {
    for (const node of ["c", "d"]) armor.local("link.closed", { node });
    armor.advance(20);
  }
  expect(told(armor).filter((text) => text.endsWith("c")).length).toBe(4);
  expect(told(armor).filter((text) => text.endsWith("d")).length).toBe(4);
});
