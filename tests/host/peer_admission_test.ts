import { describe, expect, test } from "bun:test";
import { greetingHeaders, PeerAdmission, type PeerGreeting } from "../../armors/host/peer_admission.ts";
import { RefusalNotes } from "../../armors/host/refusal_notes.ts";
import { checkVersion } from "../../armors/host/join.ts";
import { isEmptyCluster } from "../../armors/host/enter_cluster.ts";
import { version } from "../../armors/version.ts";

const greeting: PeerGreeting = { cluster: "one", node: "b", address: "b:1", nodes: 3, target: "a" };

function admission(options: { cluster?: string; empty?: boolean; known?: string; answers?: Promise<boolean> } = {}) {
  const refused: string[] = [];
  const asked: string[] = [];
  const clock = { ms: 0, nowMs: () => clock.ms, after: () => () => {}, every: () => () => {} };
  const judge = new PeerAdmission({
    node: "a",
    name: "n1",
    cluster: () => options.cluster ?? "one",
    addressOf: () => options.known,
    answers: (node, address, except) => {
      asked.push(`${node} ${address} not ${except}`);
      return options.answers ?? Promise.resolve(false);
    },
    giveWay: ({ nodes }) => options.empty === true && nodes > 1,
    refused: (node, cause) => void refused.push(`${node}: ${cause}`),
    clock,
  });
  const headers = (changes: Partial<PeerGreeting> = {}) => greetingHeaders({ ...greeting, ...changes });
  return { judge: (changes?: Partial<PeerGreeting>, more = {}, peerName = "b") => judge.judge({ ...headers(changes), ...more }, peerName), refused, asked, clock };
}

describe("PeerAdmission.judge()", () => {
  test("takes a peer of the cluster that looks for this node", () => {
    const { judge, refused } = admission({ known: "b:1" });
    expect(judge()).toBeUndefined();
    expect(refused).toEqual([]);
  });

  test.each([
    ["another version", admission(), {}, { "armor-version": "9.9.9" }, "b", "runs version", ["b: version 9.9.9, this is " + version]],
    ["another cluster", admission(), { cluster: "two" }, {}, "b", "another cluster", ["b: another cluster"]],
    ["a certificate of somebody else", admission(), {}, {}, "c", "certificate is c's", ["b: certificate of c"]],
    ["another node in mind", admission(), { target: "old" }, {}, "b", "another id", []],
    ["a node that has not joined", admission({ cluster: "" }), {}, {}, "b", "has not joined", []],
  ] as const)("refuses %s", (_, { judge, refused }, changes, more, peerName, words, notes) => {
    expect(judge(changes, more, peerName)?.refuse).toContain(words);
    expect(refused).toEqual([...notes]);
  });

  test("an empty cluster of its own gives way to a larger one, not to one of its size", () => {
    const { judge, refused } = admission({ cluster: "two", empty: true });
    expect(judge()?.refuse).toContain("gives up");
    expect(refused).toEqual([]);
    expect(judge({ nodes: 1 })?.refuse).toContain("another cluster");
  });

  test("a peer at a new address is taken once it is silent at the old one", async () => {
    const { judge, asked, refused } = admission({ known: "b:0" });
    expect(judge()?.refuse).toContain("looked into");
    expect(judge()?.refuse).toContain("looked into");
    await Promise.resolve();
    expect(judge()).toBeUndefined();
    expect(asked).toEqual(["b b:0 not b:1"]);
    expect(refused).toEqual([]);
  });

  test("a second node of one id is turned away for good, until the first is silent", async () => {
    const { judge, refused, clock } = admission({ known: "b:0", answers: Promise.resolve(true) });
    judge();
    await Promise.resolve();
    expect(judge()).toMatchObject({ final: true, refuse: expect.stringMatching(/^cannot start: .*"b:0"|b:0/) });
    expect(refused).toEqual(["b: its id answers at b:0"]);
    clock.ms = 60_000;
    expect(judge()).not.toHaveProperty("final");
  });
});

test("a refusal is told once a minute", () => {
  const clock = { ms: 0, nowMs: () => clock.ms, after: () => () => {}, every: () => () => {} };
  const notes = new RefusalNotes(clock);
  expect([notes.isNews("x"), notes.isNews("x"), notes.isNews("y")]).toEqual([true, false, true]);
  clock.ms = 59_999;
  expect(notes.isNews("x")).toBe(false);
  clock.ms = 60_000;
  expect(notes.isNews("x")).toBe(true);
  const many = Array.from({ length: 200 }, (_, index) => notes.isNews(`peer ${index}`));
  expect(many.filter(Boolean).length).toBeLessThanOrEqual(100);
});

test("a node of another version is not joined", () => {
  const found = { node: "b", cluster: "one", ftm: null, address: "" };
  expect(checkVersion({ ...found, version }, "b:1").node).toBe("b");
  expect(() => checkVersion({ ...found, version: "9.9.9" }, "b:1")).toThrow(expect.objectContaining({ code: "refused" }));
});

test("isEmptyCluster: one node, no application", () => {
  const node = (id: string, left = false) => ({ [`node:${id}`]: { id, name: id, address: "", draining: false, left } });
  expect(isEmptyCluster({ ...node("a"), version: 1 }, "a")).toBe(true);
  expect(isEmptyCluster({ ...node("a"), ...node("b", true), "gone:web": {} }, "a")).toBe(true);
  expect(isEmptyCluster({ ...node("a"), ...node("b") }, "a")).toBe(false);
  expect(isEmptyCluster({ ...node("a"), "app:web": {} }, "a")).toBe(false);
});
