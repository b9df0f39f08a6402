import { describe, expect, test } from "bun:test";
import { wrongArmors, wrongInstances, wrongRegistry, wrongTable } from "../../armors/elements/state_checks.ts";

const entry = (name: string, change: object = {}) => ({ application: { name, kind: "service", instances: 1 }, desired: "running", revision: 1, ...change });
const instance = (id: string, change: object = {}) => ({ order: { id, desired: "running" }, state: "running", launch: 1, ...change });

describe("checks of states", () => {
  test("take what is as it should be, and keys they do not know", () => {
    const table = { version: {}, lineage: [], "app:a": entry("a"), "node:x": { id: "x" }, "gone:b": { revision: 2 }, "later:c": 1 };
    expect(wrongTable(table as never)).toBeUndefined();
    expect(wrongInstances({ "a.0": instance("a.0") } as never)).toBeUndefined();
    expect(wrongArmors({ ftm: { armor: "ftm", role: "ftm" } })).toBeUndefined();
    expect(wrongRegistry(new Map([["x", { id: "x", state: "alive" }]]), new Map([["ftm", { armor: "ftm" }]]))).toBeUndefined();
  });

  test.each<[string, string | undefined]>([
    ["an application under another name", wrongTable({ "app:a": entry("b") } as never)],
    ["an application that is to be something else", wrongTable({ "app:a": entry("a", { desired: "runnkng" }) } as never)],
    ["a kind that there is not", wrongTable({ "app:a": entry("a", { application: { name: "a", kind: "servicd", instances: 1 } }) } as never)],
    ["half a revision", wrongTable({ "app:a": entry("a", { revision: 1.5 }) } as never)],
    ["a node under another id", wrongTable({ "node:x": { id: "z" } })],
    ["an instance with another's order", wrongInstances({ "a.0": instance("a.1") } as never)],
    ["a state of an instance that there is not", wrongInstances({ "a.0": instance("a.0", { state: "runnkng" }) } as never)],
    ["a launch before the first", wrongInstances({ "a.0": instance("a.0", { launch: -1 }) } as never)],
    ["an armor under another id", wrongArmors({ ftm: { armor: "fum", role: "ftm" } })],
    ["a role that there is not", wrongArmors({ ftm: { armor: "ftm", role: "fti" } })],
    ["a state of a node that there is not", wrongRegistry(new Map([["x", { id: "x", state: "alivf" }]]), new Map())],
    ["an armor registered under another id", wrongRegistry(new Map(), new Map([["ftm", { armor: "fum" }]]))],
  ])("find %s", (_what, wrong) => {
    expect(wrong).toBeString();
  });
});
