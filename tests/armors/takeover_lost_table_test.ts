/** A leader that may not decide by itself: its copy of the table is lost, or the promises it hears of are not those it asked for. */
import { expect, test } from "bun:test";
import type { Data } from "../../core/data.ts";
import { type Element, element } from "../../core/element.ts";
import type { Epoch } from "../../core/generation.ts";
import { takeover, type FtmBegin, type TakeoverRequest } from "../../armors/elements/takeover.ts";
import type { NodeReport } from "../../armors/shapes.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

const epoch = { number: 5, node: "a" };
const nodes = ["a", "b"];
/** What every daemon has promised already. */
const promised = { number: 6, node: "a" };
const entries = Object.fromEntries(nodes.map((id) => [`node:${id}`, { id, name: id, address: `${id}:7000`, draining: false, left: false }]));

type Installed = { readonly node: string; readonly begin: FtmBegin };

/** A daemon that promises whatever it is asked for. */
function willing(node: string, lost: readonly string[], installed: Installed[]): Element {
  const version = { epoch, sequence: lost.includes(node) ? 0 : 3 };
  const report: NodeReport = { node, armors: [], table: { version, lineage: [], entries, ...(lost.includes(node) && { lost: true }) }, allowElements: false };
  return element({
    name: "world",
    version: 1,
    state: {},
    handlers: {
      "epoch.poll": (_state, thread) => void (thread.payload["vote"] = { promised: true, epoch: promised }),
      "epoch.prepare": (_state, thread) => {
        thread.payload["vote"] = { promised: true, epoch: thread.payload["epoch"]! };
        thread.payload["report"] = report as unknown as Data;
      },
      "epoch.guard": () => {},
      "armor.install": (_state, thread) => {
        const { begin } = thread.payload["install"] as unknown as { begin: FtmBegin };
        installed.push({ node, begin });
      },
    },
  });
}

/** Node `a` leads, and usually holds `b` dead, which answers all the same or not. */
function lead({ lost, answering = nodes, dead = ["b"] }: { readonly lost: readonly string[]; readonly answering?: readonly string[]; readonly dead?: readonly string[] }) {
  const network = new KernelNetwork(1);
  const installed: Installed[] = [];
  for (const node of answering) network.add(`daemon@${node}`, [...(node === "a" ? [takeover("a")] : []), willing(node, lost, installed)]);
  const begin = (seen: Epoch = epoch): void => {
    const request: TakeoverRequest = { cause: "silent", nodes, seen, from: "b", gone: null, dead, patient: false, avoid: [] };
    network.local("daemon@a", "takeover.begin", { takeover: request as unknown as Data });
  };
  return { network, installed, begin };
}

test("of two nodes one that has lost its table waits for the other, though it holds that dead: nobody else has one", () => {
  const { network, installed, begin } = lead({ lost: ["a"] });
  begin();
  network.advance(600);
  expect(installed[0]?.begin.reports.find(({ node }) => node === "b")?.table).toEqual({ version: { epoch, sequence: 3 }, lineage: [], entries });
});

test("of two nodes that have both lost their tables one becomes FTM with what their lists of nodes say", () => {
  const { network, installed, begin } = lead({ lost: nodes });
  begin();
  network.advance(600);
  expect(installed.length).toBeGreaterThan(0);
});

test("of two nodes one that has lost its table does not go on alone", () => {
  const { network, installed, begin } = lead({ lost: ["a"], answering: ["a"] });
  begin();
  network.advance(10_000);
  expect(installed).toEqual([]);
});

test("of two nodes one whose table is whole waits for none that it holds dead", () => {
  const { network, installed, begin } = lead({ lost: [], answering: ["a"] });
  begin();
  network.advance(100);
  expect(installed.map(({ node }) => node)).toEqual(["a"]);
});

test("what was promised to the life before this one counts for nothing, though its epoch had the same number", () => {
  const { network, installed, begin } = lead({ lost: [], dead: [] });
  begin();
  // While it polls: the answer to a question that was asked before it was started.
  const report = { node: "b", armors: [], table: { version: { epoch, sequence: 1 }, lineage: [], entries }, allowElements: false };
  network.local("daemon@a", "takeover.promised", { vote: { promised: true, epoch: promised }, report: report as unknown as Data, epoch: promised, node: "b" });
  network.advance(600);
  const { epoch: above, reports } = installed[0]!.begin;
  expect(above).toEqual({ number: 7, node: "a" });
  expect(reports.map(({ node, table }) => [node, table.version.sequence])).toEqual([["a", 3], ["b", 3]]);
});
