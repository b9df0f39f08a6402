import { expect, test } from "bun:test";
import { changedView, viewChange } from "../../armors/elements/view_change.ts";
import type { View } from "../../armors/elements/view_shape.ts";

const epoch = { number: 3, node: "a" };
const empty: View = { epoch, number: 1, stale: false, nodes: [], armors: [], makeups: [], names: {}, applications: [] };
const node = (id: string, state = "alive") => ({ id, name: `n-${id}`, address: `${id}:1`, state, absent: false });
const application = (name: string, revision = 1) => ({ name, desired: "running", state: "running", revision, instances: [] }) as const;

test.each([
  ["nothing", {}],
  ["a state", { nodes: [node("a"), node("b", "failed")] }],
  ["one that comes", { nodes: [node("a"), node("c"), node("b")], stale: true }],
  ["one that goes", { nodes: [node("b")] }],
  ["another order", { nodes: [node("b"), node("a")] }],
  ["an application, and names", { applications: [application("web", 2), application("db")], names: { x: "mine" } }],
  ["everything goes", { nodes: [], applications: [] }],
] as const)("what is changed is the later view, and says no more than it has to: %s", (_what, more) => {
  const before: View = { ...empty, nodes: [node("a"), node("b")], applications: [application("web")] };
  const after: View = { ...before, ...more, number: 2 };
  expect(changedView(before, viewChange(before, after))).toEqual(after);
});

test("a record that has changed travels alone", () => {
  const before: View = { ...empty, nodes: Array.from({ length: 100 }, (_, index) => node(String(index))) };
  const after: View = { ...before, number: 2, nodes: before.nodes.map((one) => (one.id === "50" ? node("50", "failed") : one)) };
  expect(viewChange(before, after)).toMatchObject({ since: 1, fields: {}, parts: { nodes: { changed: [node("50", "failed")], order: null } } });
});

test("a change of another view, or of another epoch, gives none", () => {
  const change = viewChange(empty, { ...empty, number: 2, stale: true });
  expect(changedView(null, change)).toBeUndefined();
  expect(changedView({ ...empty, number: 2 }, change)).toBeUndefined();
  expect(changedView({ ...empty, epoch: { number: 4, node: "a" } }, change)).toBeUndefined();
});
