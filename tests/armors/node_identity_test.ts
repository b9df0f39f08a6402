/**
 * Who a node is, as the FTM sees it: known names with new ids, known ids at new
 * addresses. In virtual time, with the daemons' part in a few lines.
 */
import { describe, expect, test } from "bun:test";
import type { Data, DataRecord } from "../../core/data.ts";
import { type Element, element } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { opFailed } from "../../core/message.ts";
import { op } from "../../core/micro_operation.ts";
import { basicElements } from "../../armors/elements/basic.ts";
import { membership } from "../../armors/elements/membership.ts";
import { nodeConfirmation } from "../../armors/elements/node_confirmation.ts";
import { nodeProbe } from "../../armors/elements/node_probe.ts";
import { registration } from "../../armors/elements/registration.ts";
import { daemonOf } from "../../armors/shapes.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

type Entry = { readonly id: string; readonly name: string; readonly address: string; readonly draining: boolean; readonly left: boolean; readonly replaced?: boolean };
const entry = (id: string, name: string, address = `${id}:1`): Entry => ({ id, name, address, draining: false, left: false });

/** Ops that the other elements of an armor would take. */
const others = (name: string, ops: readonly string[], more: Element["handlers"] = {}): Element =>
  element({ name, version: 1, state: {}, handlers: { ...Object.fromEntries(ops.map((one) => [one, () => {}])), ...more } });

/** An FTM on node `a`, by default with the nodes `a` and `b`. */
class World {
  readonly network: KernelNetwork;
  /** Addresses where a guard of node `b` answers. */
  readonly answering = new Set<string>();
  readonly probed: DataRecord[] = [];
  /** What was stored in the table, in order. */
  readonly stored: Entry[] = [];
  readonly heard: string[] = [];
  /** Changes of the table wait for `store()`. */
  holding = false;
  readonly #held: string[] = [];

  /** @param confirming With the element that asks other daemons about silent nodes. */
  constructor(nodes: readonly string[] = ["a", "b"], confirming = false) {
    this.network = new KernelNetwork(1, {
      eventSink: "daemon@a",
      work: {
        "node.probe": (_, args) => {
          this.probed.push(args as DataRecord);
          return { delayMs: 100, completion: { ok: true, value: this.answering.has(String((args as DataRecord)["address"])) } };
        },
      },
    });
    const confirmation = confirming ? [] : ["node.confirm", "node.spare"];
    const { handlers } = others("table", ["liveness.watch", "liveness.unwatch", "liveness.held-failed", "cluster.changed", ...confirmation], {
      "liveness.read": (_state, thread) => void (thread.payload["heard"] = {}),
      "node.register": (_state, thread) => void this.stored.push(thread.payload["registration"] as Entry),
      "table.commit": (_state, thread) => {
        if (this.holding && !thread.completion) this.#held.push(thread.block({ kind: "wait", timeoutMs: 60_000 }));
      },
      store: (_state, thread) => {
        for (const key of this.#held.splice(0)) thread.complete(key, { ok: true, value: null });
      },
    });
    const table = element({ name: "table", version: 1, state: {}, blocking: ["table.commit"], handlers });
    this.network.add("ftm", [...basicElements(), registration("a"), ...(confirming ? [nodeConfirmation("a")] : []), table]);
    this.network.add("daemon@a", [...basicElements(), nodeProbe(), others("rest", ["events.note", "epoch.announce", "armors.tell"])]);
    for (const id of nodes.slice(1)) this.daemon(id);
    const epoch = { number: 1, node: "a" };
    const entries = Object.fromEntries(nodes.map((id, index) => [`node:${id}`, entry(id, `n${index + 1}`)]));
    const reports = nodes.map((node) => ({ node, armors: [], table: { version: { epoch, sequence: 1 }, lineage: [], entries } }));
    const begin = { epoch, reports, dead: [], avoid: [], cause: "first start", leader: "daemon@a", durationMs: 1 };
    this.network.local("ftm", "ftm.begin", { begin: begin as unknown as Data });
    this.network.advance(100);
  }

  /** A daemon that says a word to the FTM, now and then. */
  daemon(id: string): void {
    const say = (answer: string) => () => void this.heard.push(`${id} ${answer}`);
    const told = others(`of-${id}`, ["epoch.announce", "armors.tell", "epoch.guard"], {
      say: (_state, thread) => {
        const { word, payload } = thread.payload as { word: string; payload: DataRecord };
        thread.send({ ops: [op(word, "ftm"), op("answered", thread.self)], payload, lane: "system" });
      },
      answered: say("answered"),
      "membership.end": (_state, thread) => void this.heard.push(`${id} ends: ${String(thread.payload["text"])}`),
      [opFailed]: (_state, thread) => void this.heard.push(`${id} ${(thread.payload["failure"] as { text: string }).text}`),
    });
    this.network.add(daemonOf(id), [...basicElements(), told]);
  }

  say(id: string, word: string, payload: DataRecord): void {
    if (!this.network.armors.has(daemonOf(id))) this.daemon(id);
    this.network.local(daemonOf(id), "say", { word, payload });
    this.network.advance(2_000);
  }

  /** The changes made so far are on enough nodes. */
  store(): void {
    this.network.local("ftm", "store");
    this.network.advance(2_000);
  }

  get nodes(): ReadonlyMap<string, { readonly state: string; readonly address: string; readonly replaced: boolean }> {
    return (this.network.armor("ftm").kernel!.volatile("registration") as { nodes: World["nodes"] }).nodes;
  }

  get kinds(): string[] {
    return this.network.events.map(({ event }) => event.kind);
  }
}

describe("a known name with a new id", () => {
  test("is refused while the old node answers", () => {
    const world = new World();
    world.answering.add("b:1");
    world.say("c", "node.join", { registration: entry("c", "n2") });
    expect(world.heard).toEqual(['c node name "n2" is taken by a running node at b:1']);
    expect(world.probed).toEqual([{ node: "b", address: "b:1", withinMs: 400, except: "c:1" }]);
    expect(world.stored).toEqual([]);
    expect(world.nodes.get("b")).toMatchObject({ state: "alive", replaced: false });
  });

  test("is the FTM's own: refused without asking", () => {
    const world = new World();
    world.say("c", "node.join", { registration: entry("c", "n1") });
    expect(world.heard).toEqual(['c node name "n1" is taken by a running node at a:1']);
    expect(world.probed).toEqual([]);
  });

  test("takes the place of a silent one, which leaves first, even if nobody has missed it yet", () => {
    const world = new World();
    world.say("c", "node.join", { registration: entry("c", "n2") });
    expect(world.heard).toEqual(["c answered"]);
    expect(world.stored.map(({ id, left, replaced = false }) => [id, left, replaced])).toEqual([["b", true, true], ["c", false, false]]);
    expect([...world.nodes].map(([id, { state }]) => [id, state])).toEqual([["a", "alive"], ["b", "left"], ["c", "alive"]]);
    expect(world.kinds.filter((kind) => kind.startsWith("node."))).toEqual(["node.replaced", "node.joined"]);
    // Repeated, as a daemon does that has not heard the answer.
    world.say("c", "node.join", { registration: entry("c", "n2") });
    expect(world.heard).toEqual(["c answered", "c answered"]);
    expect(world.kinds.filter((kind) => kind === "node.replaced")).toHaveLength(1);
  });

  test("takes the place of one that is absent as planned, which has failed then: changes do not wait for it", () => {
    const world = new World();
    world.say("b", "node.leaving", { node: "b" });
    expect(world.nodes.get("b")).toMatchObject({ state: "suspect" });
    world.say("c", "node.join", { registration: entry("c", "n2") });
    expect(world.heard.at(-1)).toBe("c answered");
    expect(world.kinds.filter((kind) => kind.startsWith("node."))).toEqual(["node.suspected", "node.failed", "node.replaced", "node.joined"]);
  });

  test("the old node comes back: what runs on it is to end, and then itself", () => {
    const world = new World();
    world.say("c", "node.join", { registration: entry("c", "n2") });
    world.say("b", "node.hello", { registration: entry("b", "n2"), returning: true });
    expect(world.nodes.get("b")).toMatchObject({ state: "draining", replaced: true });
    world.network.local("ftm", "node.drained", { subject: "b" });
    world.network.advance(1_000);
    expect(world.nodes.get("b")).toMatchObject({ state: "left", replaced: true });
    expect(world.heard.at(-1)).toContain("b ends: node name \"n2\" was given to another node");
    expect(world.stored.at(-1)).toMatchObject({ id: "b", left: true, replaced: true });
    // It cannot join under its old id either.
    world.say("b", "node.join", { registration: entry("b", "n2") });
    expect(world.heard.at(-1)).toContain('b node name "n2"');
  });
});

describe("a known id at a new address", () => {
  test("is refused while the node answers at the old one", () => {
    const world = new World();
    world.answering.add("b:1");
    world.say("b", "node.hello", { registration: entry("b", "n2", "b:2"), returning: true });
    expect(world.heard.at(-1)).toMatch(/^b cannot start: .*b:1/);
    expect(world.nodes.get("b")).toMatchObject({ address: "b:1" });
    expect(world.probed).toEqual([{ node: "b", address: "b:1", withinMs: 400, except: "b:2" }]);
  });

  test("is registered there when it is silent at the old one", () => {
    const world = new World();
    world.say("b", "node.hello", { registration: entry("b", "n2", "b:2"), returning: true });
    expect(world.heard).toEqual(["b answered"]);
    expect(world.nodes.get("b")).toMatchObject({ address: "b:2", state: "alive" });
    expect(world.stored).toMatchObject([{ id: "b", name: "n2", address: "b:2" }]);
    expect(world.kinds).toContain("node.moved");
  });

  test("is alive there, whatever is still asked about it at the old one", () => {
    const world = new World(["a", "b"], true);
    world.holding = true;
    const changes = [{ id: "guard@b", liveness: "failed", silentMs: 1_200 }];
    // The question to the others takes 100 ms, the one about the address too.
    world.network.local("daemon@b", "say", { word: "node.hello", payload: { registration: entry("b", "n2", "b:2") } });
    world.network.advance(95);
    world.network.local("ftm", "liveness.changed", { changes });
    world.network.advance(5_000);
    expect(world.probed.map(({ except = null }) => except)).toEqual(["b:2", null]);
    expect(world.nodes.get("b")).toMatchObject({ address: "b:2", state: "alive" });
    expect(world.kinds).not.toContain("node.failed");
  });

  test("the same when another node has seen it there; but nobody is told that it is alive", () => {
    const world = new World();
    world.network.local("ftm", "node.confirmed-failed", { subject: "b", silentMs: 5_000 });
    world.network.advance(100);
    world.say("a2", "node.hello", { registration: entry("b", "", "b:2"), sighted: true });
    expect(world.nodes.get("b")).toMatchObject({ address: "b:2", state: "failed" });
    expect(world.stored).toMatchObject([{ id: "b", name: "n2", address: "b:2" }]);
    world.say("a2", "node.hello", { registration: entry("x", "", "x:1"), sighted: true });
    expect(world.nodes.has("x")).toBe(false);
  });

  test("its old address answers no more but is its own, spelled differently: the guard there says so", () => {
    const world = new World();
    world.say("b", "node.hello", { registration: entry("b", "n2", "b.example:1"), returning: true });
    expect(world.probed[0]).toMatchObject({ except: "b.example:1" });
    expect(world.nodes.get("b")).toMatchObject({ address: "b.example:1" });
  });
});

test("a node that left and starts again finds its name taken", () => {
  const world = new World();
  world.network.local("ftm", "node.down", { args: { node: "b" } });
  world.network.local("ftm", "node.drained", { subject: "b" });
  world.network.advance(1_000);
  expect(world.nodes.get("b")).toMatchObject({ state: "left" });
  world.say("c", "node.join", { registration: entry("c", "n2") });
  expect(world.heard.at(-1)).toBe("c answered");
  world.say("b", "node.hello", { registration: entry("b", "n2"), returning: true });
  expect(world.heard.at(-1)).toContain('b node name "n2" is taken by a running node at c:1');
});

describe("the nodes that count", () => {
  const alive = (world: World): string[] => [...world.nodes].filter(([, { state }]) => state === "alive").map(([id]) => id);

  test("do not change without a majority of them", () => {
    const world = new World(["a", "b", "c"]);
    for (const id of ["b", "c"]) world.network.local("ftm", "node.leaving", { node: id });
    world.network.advance(100);
    // The name is free, and the node that has it is silent: still two of three are missing.
    world.say("d", "node.join", { registration: entry("d", "n4") });
    world.say("e", "node.join", { registration: entry("e", "n2") });
    expect(world.heard.filter((text) => /^[de] /.test(text))).toEqual(["d", "e"].map((id) => `${id} no node is registered or leaves without a majority`));
    expect(world.stored).toEqual([]);
    expect([...world.nodes.keys()]).toEqual(["a", "b", "c"]);
  });

  test("change one after the other, each when the one before is stored", () => {
    const world = new World();
    world.say("b", "node.hello", { registration: entry("b", "n2") });
    world.holding = true;
    for (const id of ["c", "d"]) world.say(id, "node.join", { registration: entry(id, id) });
    // What the takeover has found is not stored yet.
    expect(world.stored).toEqual([]);
    world.store();
    expect(world.stored.map(({ id }) => id)).toEqual(["c"]);
    expect(alive(world)).toEqual(["a", "b", "c"]);
    world.store();
    expect(world.stored.map(({ id }) => id)).toEqual(["c", "d"]);
    world.store();
    expect(world.heard.filter((text) => /^[cd] /.test(text))).toEqual(["c answered", "d answered"]);
    expect(alive(world)).toEqual(["a", "b", "c", "d"]);
  });

  test("count until it is stored that they have left", () => {
    const world = new World(["a", "b", "c"]);
    world.network.local("ftm", "node.down", { args: { node: "b" } });
    world.network.advance(100);
    world.holding = true;
    for (let time = 0; time < 3; time++) world.network.local("ftm", "node.drained", { subject: "b" });
    world.network.advance(100);
    world.store();
    expect(world.nodes.get("b")).toMatchObject({ state: "draining" });
    expect(world.stored.at(-1)).toMatchObject({ id: "b", left: true });
    world.store();
    world.store();
    expect(world.nodes.get("b")).toMatchObject({ state: "left" });
    expect(world.kinds.filter((kind) => kind === "node.left")).toHaveLength(1);
    expect(world.heard.filter((text) => text.startsWith("b ends"))).toHaveLength(1);
  });

  test("two that want the place of a silent one: one gets it", () => {
    const world = new World(["a", "b", "x"]);
    world.holding = true;
    for (const id of ["c", "d"]) world.say(id, "node.join", { registration: entry(id, "n2") });
    world.answering.add("c:1");
    for (let time = 0; time < 6; time++) world.store();
    expect(world.heard.filter((text) => /^[cd] /.test(text)).sort()).toEqual(["c answered", 'd node name "n2" is taken by a running node at c:1']);
    expect(alive(world)).toEqual(["a", "x", "c"]);
    expect(world.kinds.filter((kind) => kind === "node.replaced")).toHaveLength(1);
  });
});

test("a daemon whose new address could not be registered tells it again", () => {
  const network = new KernelNetwork(1);
  let told = 0;
  const ftm = others("ftm", [], {
    "node.hello": () => {
      told += 1;
      if (told === 1) throw new OperationError("unknown", "not stored on enough nodes");
    },
  });
  network.add("ftm", [...basicElements(), ftm]);
  network.add("daemon@b", [...basicElements(), membership(entry("b", "n2", "b:2"))]);
  network.local("daemon@b", "ftm.changed");
  network.advance(60_000);
  expect(told).toBe(2);
});
