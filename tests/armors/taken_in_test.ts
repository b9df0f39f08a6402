/** An FTM with all its elements, after a takeover in which not every node had a part: what is ordered on the others. */
import { expect, test } from "bun:test";
import type { Data, DataRecord } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { OperationError } from "../../core/errors.ts";
import { op } from "../../core/micro_operation.ts";
import { basicElements } from "../../armors/elements/basic.ts";
import { faultToleranceManager } from "../../armors/fault_tolerance_manager.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

const epoch = { number: 5, node: "a" };
const node = (id: string, name: string, rest = {}): DataRecord => ({ id, name, address: `${id}:1`, draining: false, left: false, ...rest });
const web = {
  serial: "1.a.1", restart: 0, revision: 1, revisionEpoch: { number: 1, node: "a" }, sequence: 1, desired: "running", completed: [], requests: [],
  application: { name: "web", kind: "service", instances: 3, pin: false, node: null, command: "/bin/true", args: [] },
};
const running = { id: "web.0", serial: "1.a.1", name: "web", placement: { epoch: { number: 1, node: "a" }, number: 1 }, state: "running", pid: 1, restarts: 0, launch: 1, restart: 0, crashLoop: false, cannot: "" };

/** The FTM on `a` of these nodes, of which `reporting` had a part in its takeover. On `b` an instance runs. */
class Cluster {
  readonly network = new KernelNetwork(1, { eventSink: "daemon@a" });
  /** What execution armors were ordered, by node, and which nodes were told to end. */
  readonly orders = new Map<string, string[]>();
  readonly ended: string[] = [];
  /** Daemons that fail to store the table. */
  readonly failing: Set<string>;

  constructor(readonly nodes: readonly DataRecord[], reporting: readonly string[], ...failing: readonly string[]) {
    this.failing = new Set(failing);
    for (const { id } of nodes) this.#node(String(id));
    this.network.add("ftm", faultToleranceManager({ node: "a" }), { generation: { epoch: 5, node: "a", counter: 0 } });
    const entries = { ...Object.fromEntries(nodes.map((one) => [`node:${String(one["id"])}`, one])), "app:web": web };
    const table = { version: { epoch: { number: 4, node: "c" }, sequence: 9 }, lineage: [], entries };
    const reports = reporting.map((id) => ({ node: id, armors: [this.#execution(id)], allowElements: false, table }));
    this.network.local("ftm", "ftm.begin", { begin: { epoch, reports, dead: [], avoid: [], cause: "silent", leader: "daemon@a", durationMs: 1 } as unknown as Data });
    this.network.advance(300);
  }

  /** The daemon of a node says what is there; then time passes. */
  returns(id: string, milliseconds: number): void {
    this.network.local(`daemon@${id}`, "tell", { armors: [this.#execution(id)] });
    for (let passed = 0; passed < milliseconds; passed += 100) {
      this.network.advance(100);
      const { watched } = this.network.armor("ftm").kernel!.volatile("liveness_poll") as { watched: ReadonlyMap<string, { watch: { asked: readonly string[] } }> };
      for (const [from, { watch }] of watched) for (const nonce of watch.asked) this.network.local("ftm", "heartbeat.answered", { from, nonce });
    }
  }

  #execution(id: string): DataRecord {
    return { armor: `execution@${id}`, role: "execution", pid: 1, state: "running", incarnation: { placement: 1, restart: 0 }, generation: { epoch: 1, node: "a", counter: 1 }, elements: [] };
  }

  #node(id: string): void {
    const ignored = ["events.note", "epoch.announce", "armors.tell", "epoch.guard", "view.update", "armor.install", "events.recorded", "heartbeat.follow"];
    this.network.add(`daemon@${id}`, [...basicElements(), element({
      name: "daemon",
      version: 1,
      state: {},
      handlers: {
        ...Object.fromEntries(ignored.map((name) => [name, () => {}])),
        "table.store": (_state, thread) => {
          if (this.failing.has(id)) throw new OperationError("poison", "died under it");
          thread.payload["stored"] = (thread.payload["store"] as DataRecord)["version"]!;
          delete thread.payload["store"];
        },
        "membership.end": () => void this.ended.push(id),
        tell: (_state, thread) => void thread.send({ ops: [op("armors.told", "ftm")], payload: { ...thread.payload, node: id, allowElements: false }, lane: "system" }),
      },
    })]);
    const told = (instances: readonly DataRecord[]) => ({ ops: [op("instances.told", "ftm")], payload: { node: id, instances }, lane: "system" as const });
    this.network.add(`execution@${id}`, [...basicElements(), element({
      name: "execution",
      version: 1,
      state: {},
      handlers: {
        "epoch.guard": () => {},
        "instances.tell": (_state, thread) => void thread.send(told(id === "b" ? [running] : [])),
        "instances.assign": (_state, thread) => {
          const instances = thread.payload["instances"] as DataRecord[];
          this.orders.set(id, instances.map((one) => String(one["id"])));
          thread.send(told(instances.map((one) => ({ ...running, id: one["id"]!, placement: one["placement"]! }))));
        },
      },
    })]);
  }
}

test("a node that had no part in it is ordered things as soon as its table is taken in", () => {
  const cluster = new Cluster([node("a", "n1"), node("b", "n2"), node("c", "n3")], ["a", "c"]);
  expect(cluster.orders.get("b")).toBeUndefined();
  cluster.returns("b", 1_000);
  expect(cluster.orders.get("b")).toEqual(["web.0"]);
});

test("a daemon that has failed to store the table is sent it again: nothing could be ordered on its node before the next change", () => {
  const cluster = new Cluster([node("a", "n1"), node("b", "n2"), node("c", "n3")], ["a", "c"], "b");
  cluster.returns("b", 5_000);
  expect(cluster.orders.get("b")).toBeUndefined();
  cluster.failing.clear();
  cluster.returns("b", 3_000);
  expect(cluster.orders.get("b")).toEqual(["web.0"]);
});

test("a node whose name was given away brings nothing in; it ends, and so does what runs there", () => {
  const cluster = new Cluster([node("a", "n1"), node("b", "n2", { left: true, replaced: true }), node("c", "n2")], ["a", "c"]);
  cluster.returns("b", 5_000);
  expect([cluster.orders.get("b"), cluster.ended]).toEqual([[], ["b"]]);
});
