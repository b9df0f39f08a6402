import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { basicElements } from "../../armors/elements/basic.ts";
import { composed, ownElements } from "../../armors/elements/element_source.ts";
import type { DataRecord } from "../../core/data.ts";
import { type Completion, type Element, element } from "../../core/element.ts";
import { limits } from "../../core/limits.ts";
import { type Failure, opFailed } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";
import { guarded } from "../sim/plain_data.ts";

type Tally = { readonly counts: DataRecord };

/** A tally of version V that notes how often each version has counted; the source's text says which. */
function tally(source: string): Element[] {
  const [name = "", version = "", ...flags] = source.split(" ");
  const made = element<Tally>({
    name,
    version: Number(version),
    state: { counts: {} },
    handlers: {
      ...(!flags.includes("deaf") && {
        "tally.count": ({ counts }: Tally) => ({ counts: { ...counts, [source]: Number(counts[source] ?? 0) + 1 } }),
      }),
      ...(flags.includes("extra") && { "tally.extra": () => undefined }),
    },
    migrate: (state) => state as Tally,
  });
  return [flags.includes("bad") ? { ...made, check: () => "bad" } : made];
}

const hashOf = (source: string): string => `hash of ${source}`;

/** An armor `a` with its basic elements and `built` (a tally that came with it), an operator `o` that notes answers. */
class Cluster {
  readonly network: KernelNetwork;
  /** What each life of the process has loaded. */
  readonly library = new Map<string, readonly Element[]>();

  constructor(seed: number, readonly builtIn: readonly Element[] = []) {
    this.network = new KernelNetwork(seed, {
      work: {
        "element.load": (_key, args): { delayMs: number; completion: Completion } => {
          const { source } = args as { source: string };
          if (source.startsWith("broken")) return { delayMs: 3, completion: { ok: true, value: { refused: "it is broken" } } };
          this.library.set(hashOf(source), tally(source).map(guarded));
          return { delayMs: 3, completion: { ok: true, value: { hash: hashOf(source) } } };
        },
        slow: () => ({ delayMs: 200, completion: { ok: true, value: null } }),
      },
    });
    const waiter = element({
      name: "waiter",
      version: 1,
      state: {},
      blocking: ["wait.long"],
      handlers: { "wait.long": (_state, thread) => void (thread.completion ?? thread.block({ kind: "slow" })) },
    });
    this.network.add("a", (saved) => {
      this.library.clear();
      const { own, source } = ownElements(saved?.elements.get("reconfiguration")?.state);
      for (const { hash } of own) this.library.set(hash, tally(source(hash)).map(guarded));
      const made = composed([...basicElements({ library: (hash) => this.library.get(hash) }), waiter, ...builtIn], own, ({ hash, name }) =>
        this.library.get(hash)?.find((one) => one.name === name));
      return made;
    });
    this.network.add("o", [operator]);
  }

  send(ops: string[], payload: DataRecord = {}): void {
    this.network.local("o", "operator.send", { ops, payload });
  }

  change(verb: string, name: string, source = ""): void {
    this.send([`element.${verb}@a`, "operator.answer@o"], { element: { name, source } });
  }

  /** Outcomes of the changes asked for, in order: changed, unchanged, or the refusal. */
  get answers(): string[] {
    return this.network.state<{ answers: string[] }>("o", "operator").answers;
  }

  get elements(): string[] {
    return this.network.armor("a").kernel!.describe().slice(6).map(({ name, version }) => `${name} ${version}`);
  }

  /** One change, and what came of it. */
  try(verb: string, name: string, source?: string): string {
    const before = this.answers.length;
    this.change(verb, name, source);
    this.network.advance(100);
    return this.answers.slice(before).join("; ");
  }

  own(): { own: { name: string; hash: string; builtIn: boolean }[] } & DataRecord {
    return this.network.state("a", "reconfiguration");
  }
}

function counted({ network }: Cluster, name: string): number {
  return Object.values(network.state<Tally>("a", name).counts).reduce((sum: number, count) => sum + Number(count), 0);
}

const operator = element<{ readonly answers: readonly string[] }>({
  name: "operator",
  version: 1,
  state: { answers: [] },
  handlers: {
    "operator.send": (_state, thread) => {
      const { ops, payload } = thread.payload as unknown as { ops: string[]; payload: DataRecord };
      thread.send({ ops: ops.map((text) => op(text.split("@")[0]!, text.split("@")[1])), payload });
    },
    "operator.answer": ({ answers }, { payload }) => ({ answers: [...answers, (payload["answer"] as { changed: boolean }).changed ? "changed" : "unchanged"] }),
    [opFailed]: ({ answers }, { payload }) => {
      const { code, text } = payload["failure"] as Failure;
      return { answers: [...answers, `${code}: ${text}`] };
    },
  },
});

describe("reconfiguration", () => {
  test("adds, replaces and removes elements by message; the same again changes nothing", () => {
    const cluster = new Cluster(1);
    const steps = [
      ["add", "t", "t 1"],
      ["add", "t", "t 1"],
      ["replace", "t", "t 2"],
      ["replace", "t", "t 2"],
      ["add", "u", "u 1"],
      ["remove", "t"],
      ["remove", "t"],
    ];
    const seen = steps.map(([verb, name, source]) => `${cluster.try(verb!, name!, source)}: ${cluster.elements.join(", ")}`);
    expect(seen).toEqual([
      "changed: t 1",
      "unchanged: t 1",
      "changed: t 2",
      "unchanged: t 2",
      "changed: t 2, u 1",
      "changed: u 1",
      "unchanged: u 1",
    ]);
    expect(Object.keys(cluster.own()).sort()).toEqual(["incarnation", "own", "source:hash of u 1"]);
  });

  const refusals: Record<string, [string, string, string, RegExp]> = {
    "a source that cannot be loaded": ["add", "t", "broken", /^refused: element "t" cannot be loaded: it is broken$/],
    "a source that makes no such element": ["add", "x", "t 1", /^refused: the source makes no element "x"$/],
    "one whose check fails": ["add", "t", "t 1 bad", /^refused: the check of element "t" fails/],
    "a name that is taken": ["add", "built", "built 1", /^refused: element "built" exists already$/],
    "a replacement for nothing": ["replace", "t", "t 1", /^refused: there is no element "t"$/],
    "the removal of one that came with the armor": ["remove", "built", "", /^refused: element "built" came with the armor/],
    "a replacement for it that hears less": ["replace", "built", "built 2 deaf", /^refused: element "built" came with .* must subscribe to its op "tally.count" too$/],
    "the removal of a basic element": ["remove", "messaging", "", /^refused: element "messaging" is one of the basic five/],
    "the replacement of a basic element": ["replace", "reconfiguration", "reconfiguration 9", /^refused: .* basic five/],
    "a source that is too large": ["add", "t", "x".repeat(limits.elementSourceMax + 1), /^refused: the source of element "t" has 262145 characters/],
  };
  for (const [what, [verb, name, source, text]] of Object.entries(refusals)) {
    test(`refuses ${what}, and nothing is changed`, () => {
      const cluster = new Cluster(1, tally("built 1"));
      const before = [cluster.own(), cluster.elements];
      expect(cluster.try(verb, name, source)).toMatch(text);
      expect([cluster.own(), cluster.elements]).toEqual(before);
    });
  }

  test("replaces one that came with the armor by one that hears as much; a restart finds it in its place", () => {
    const cluster = new Cluster(1, [...tally("built 1"), ...tally("last 1")]);
    expect(cluster.try("replace", "built", "built 2 extra")).toBe("changed");
    expect(cluster.try("add", "t", "t 1")).toBe("changed");
    cluster.network.crashAfter("a", 0);
    cluster.network.restart("a");
    expect(cluster.elements).toEqual(["built 2", "last 1", "t 1"]);
    expect(cluster.try("replace", "built", "built 3 extra")).toBe("changed");
    expect(cluster.try("remove", "built")).toMatch(/came with the armor/);
    expect(cluster.own().own.map(({ name, builtIn }) => [name, builtIn])).toEqual([["built", true], ["t", false]]);
  });

  test("takes so many elements and no more", () => {
    const cluster = new Cluster(1);
    cluster.network.compared = false;
    for (let index = 0; index < limits.ownElementsMax; index++) expect(cluster.try("add", `t${index}`, `t${index} 1`)).toBe("changed");
    expect(cluster.try("add", "more", "more 1")).toMatch(/^refused: "a" has 64 elements of its own/);
  });

  test("refuses to take the last subscriber of an op that a suspended thread waits for, and allows it afterwards", () => {
    const cluster = new Cluster(1);
    cluster.try("add", "t", "t 1");
    cluster.send(["wait.long@a", "tally.count@a"]);
    cluster.network.advance(10);
    expect(cluster.try("remove", "t")).toMatch(/^refused: op "tally.count" would have no subscriber: message "o\//);
    cluster.network.advance(300);
    expect(cluster.try("remove", "t")).toBe("changed");
  });

  test("takes over the state of a checkpoint that knows no elements yet", () => {
    const { migrate } = basicElements().find(({ name }) => name === "reconfiguration")!;
    expect(migrate!({ incarnation: { placement: 1, restart: 2 } }, 1)).toEqual({ incarnation: { placement: 1, restart: 2 }, own: [] });
  });

  test("every message counts exactly once and every change is answered, while the armor crashes at any effect around replacements", () => {
    const change = fc.record({
      verb: fc.constantFrom("add", "replace", "replace", "remove"),
      name: fc.constantFrom("t", "u"),
      version: fc.integer({ min: 1, max: 3 }),
      counts: fc.nat(3),
      crash: fc.option(fc.nat(12), { nil: undefined }),
      passMs: fc.nat(8),
    });
    fc.assert(
      fc.property(fc.nat(), fc.array(change, { minLength: 1, maxLength: 12 }), (seed, changes) => {
        const cluster = new Cluster(seed, tally("base 1"));
        const { network } = cluster;
        network.faults = { drop: 100, duplicate: 100, reorder: true, delayMaxMs: 5 };
        network.advance(5);
        let counts = 0;
        for (const { verb, name, version, counts: more, crash, passMs } of changes) {
          if (crash !== undefined) network.crashAfter("a", crash);
          cluster.change(verb, name, `${name} ${version}`);
          for (let index = 0; index < more; index++, counts++) cluster.send(["tally.count@a", "operator.answer@o"], { answer: { changed: false } });
          network.advance(passMs);
          network.restart("a");
        }
        network.settle(20_000);
        expect(cluster.answers.length).toBe(changes.length + counts);
        // `base` never changes: it has counted all, the others what came while they were there.
        expect(counted(cluster, "base")).toBe(counts);
        const { own } = cluster.own();
        expect(cluster.elements.map((text) => text.split(" ")[0])).toEqual(["base", ...own.map(({ name }) => name)]);
        for (const { name, hash } of own) {
          expect(counted(cluster, name)).toBeLessThanOrEqual(counts);
          const kernel = network.armor("a").kernel!;
          expect(kernel.describe().find((one) => one.name === name)!.version).toBe(Number(hash.split(" ").at(-1)));
        }
        const again = cluster.elements;
        network.crashAfter("a", 0);
        network.restart("a");
        expect(cluster.elements).toEqual(again);
      }),
      { seed: 1, numRuns: 60, includeErrorInReport: true },
    );
  }, 60_000);

  test("500 replacements under load lose and double nothing, whatever crashes", () => {
    const cluster = new Cluster(7);
    const { network } = cluster;
    network.compared = false;
    cluster.try("add", "t", "t 1");
    network.faults = { drop: 20, duplicate: 20, reorder: true, delayMaxMs: 4 };
    let counts = 0;
    for (let round = 0; round < 500; round++) {
      cluster.change("replace", "t", `t ${2 + (round % 3)} r${round}`);
      for (let index = 0; index < 4; index++, counts++) cluster.send(["tally.count@a"]);
      if (round % 7 === 0) network.crashAfter("a", network.random.below(10));
      network.advance(6);
      network.restart("a");
    }
    network.settle(60_000);
    expect(counted(cluster, "t")).toBe(counts);
    expect(cluster.answers.length).toBe(501);
    expect(cluster.answers.every((answer) => answer === "changed")).toBe(true);
  }, 60_000);
});
