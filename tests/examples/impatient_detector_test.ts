import { expect, test } from "bun:test";
import impatientDetector from "../../examples/impatient_detector.ts";
import { type Data, type DataRecord, type Element, element, elementSdk, makeArmor } from "../../mod.ts";

/** Stands for whoever recovers armors: it ends what has failed. */
const recovery = element<{ readonly ended: readonly string[] }>({
  name: "recovery",
  version: 1,
  state: { ended: [] },
  handlers: {
    "liveness.changed": (state, { payload }) => {
      const failed = (payload["changes"] as readonly DataRecord[]).filter(({ liveness }) => liveness === "failed").map(({ id }) => id as string);
      return failed.length > 0 ? { ended: [...state.ended, ...failed] } : state;
    },
  },
});

const change = (id: string, liveness: string): Data => ({ id, liveness, silentMs: 500 });

test("gives up chosen armors at the first suspicion, and no others", () => {
  const armor = makeArmor([recovery, impatientDetector(elementSdk) as Element]);
  expect(armor.send("impatience.with", {}).failure!.text).toBe("impatience.with needs the id of an armor");
  armor.send("impatience.with", { armor: "a" });
  armor.send("impatience.with", { armor: "a" });
  armor.restart();
  armor.local("liveness.changed", { changes: [change("a", "suspect"), change("b", "suspect")] });
  expect(armor.state("recovery")).toEqual({ ended: ["a"] });
  armor.local("liveness.changed", { changes: [change("b", "failed"), change("a", "alive")] });
  expect(armor.state("recovery")).toEqual({ ended: ["a", "b"] });
  expect(armor.events.map(({ kind, subject }) => `${kind} ${subject}`)).toEqual(["armor.given-up a"]);
});

test("needs somebody who hears `liveness.changed`: itself is enough, so it can be added anywhere", () => {
  const armor = makeArmor([recovery]);
  expect(armor.reconfigure({ add: impatientDetector(elementSdk) as Element })).toBe(undefined);
});
