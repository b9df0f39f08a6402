import { describe, expect, test } from "bun:test";
import { bootstrapAfterMs, type ClusterDocument, JoinSearch } from "../../armors/join_search.ts";

const list = ["a:1", "b:1", "c:1"];
const document = (node: string, more: Partial<ClusterDocument> = {}): ClusterDocument => ({ version: "1", node, cluster: "", ftm: null, address: "", ...more });
const member = document("b", { cluster: "one", ftm: { epoch: { number: 1, node: "b" }, node: "b" }, address: "b:1" });
const electing = document("b", { cluster: "one" });
const silent = undefined;

function search(self: string): JoinSearch {
  return new JoinSearch(list, { id: self, address: `${self}:1` }, 0);
}

describe("JoinSearch.answered()", () => {
  test("joins whoever has a cluster with an FTM, first in the list or not", () => {
    expect(search("c").answered([silent, member, silent], 0)).toEqual({ kind: "join", found: member });
    expect(search("a").answered([document("a"), member, document("c")], bootstrapAfterMs * 2)).toEqual({ kind: "join", found: member });
  });

  test.each([
    ["everybody is silent", [silent, silent, silent]],
    ["nobody has a cluster", [document("a"), document("b"), silent]],
  ] as const)("the first of the list starts a cluster after 3 s when %s, no earlier", (_, answers) => {
    const first = search("a");
    expect(first.answered(answers, 0)).toEqual({ kind: "wait" });
    expect(first.answered(answers, bootstrapAfterMs - 1)).toEqual({ kind: "wait" });
    expect(first.answered(answers, bootstrapAfterMs)).toEqual({ kind: "bootstrap" });
  });

  test("the others wait for ever", () => {
    expect(search("b").answered([silent, document("b"), document("c")], 10 * bootstrapAfterMs)).toEqual({ kind: "wait" });
  });

  test("a node finds itself in the list under another spelling of its address", () => {
    const first = new JoinSearch(list, { id: "x", address: "10.0.0.1:1" }, 0);
    expect(first.answered([document("x"), silent, silent], bootstrapAfterMs)).toEqual({ kind: "bootstrap" });
  });

  test("a cluster that has no FTM just now keeps the first from starting a second one", () => {
    const first = search("a");
    expect(first.answered([silent, electing, silent], bootstrapAfterMs)).toEqual({ kind: "wait" });
    expect(first.answered([silent, silent, silent], 2 * bootstrapAfterMs - 1)).toEqual({ kind: "wait" });
    expect(first.answered([silent, member, silent], 2 * bootstrapAfterMs)).toEqual({ kind: "join", found: member });
  });

  test("alone in its list a node starts a cluster at once", () => {
    expect(new JoinSearch(["a:1"], { id: "a", address: "a:1" }, 0).answered([silent], 0)).toEqual({ kind: "bootstrap" });
  });
});
