import { describe, expect, test } from "bun:test";
import type { Data, DataRecord } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { op } from "../../core/micro_operation.ts";
import { parseApplication } from "../../armors/application_schema.ts";
import { placement } from "../../armors/elements/placement.ts";
import type { ApplicationEntry, InstanceOrder, InstanceReport, NodeState } from "../../armors/shapes.ts";
import { KernelNetwork } from "../sim/kernel_network.ts";

const epoch = { number: 1, node: "n1" };

/** The FTM's placement among execution armors that do as a test says. */
class Places {
  readonly network = new KernelNetwork(1, { eventSink: "daemon@n1" });
  readonly nodes = new Map<string, NodeState>();
  readonly table: Record<string, Data> = {};
  /** Entries that too few nodes have. */
  readonly unsettled: Record<string, Data> = {};
  /** Nodes whose disk is full. */
  readonly full = new Set<string>();
  /** Nodes whose own copy of the table the FTM does not know yet. */
  readonly unheard = new Set<string>();
  /** Nodes that cannot run anything. */
  readonly unable = new Set<string>();
  /** Nodes on which nothing stays up. */
  readonly crashing = new Set<string>();
  /** Nodes that have not done yet what they were ordered. */
  readonly slow = new Set<string>();
  readonly orders = new Map<string, readonly InstanceOrder[]>();
  /** What it asks of the element that knows the nodes. */
  readonly said: string[] = [];
  ftmNode = "";
  launches = 0;

  constructor(...names: string[]) {
    const world = element({
      name: "world",
      version: 1,
      state: {},
      handlers: {
        "cluster.changed": (_state, thread) => {
          thread.payload["nodes"] = [...this.nodes].map(([id, state]) => ({ id, name: id, address: "", state, reported: true, plannedUntilMs: 0, full: this.full.has(id) }));
          thread.payload["armors"] = this.ftmNode === "" ? [] : [{ armor: "ftm", node: this.ftmNode }];
          thread.payload["table"] = { ...this.table, ...this.unsettled };
          thread.payload["settled"] = { ...this.table };
          thread.payload["takenIn"] = [...this.nodes.keys()].filter((id) => !this.unheard.has(id));
          thread.insert(op("placement.decide"));
        },
        "application.completed": () => {},
        "node.hand-over": (_state, thread) => void this.said.push(`hand over ${String(thread.payload["subject"])}`),
        "node.drained": (_state, thread) => void this.said.push(`drained ${String(thread.payload["subject"])}`),
      },
    });
    this.network.add("daemon@n1", [element({ name: "event_log", version: 1, state: {}, handlers: { "events.note": () => {} } })]);
    this.network.add("ftm", [placement(), world]);
    this.network.local("ftm", "ftm.begin", { begin: { epoch } });
    for (const name of names) this.join(name);
  }

  /** A node with its execution armor. */
  join(name: string): void {
    this.nodes.set(name, "alive");
    const tell = (thread: { send(message: { ops: ReturnType<typeof op>[]; payload: { [field: string]: Data } }): unknown }): void => {
      thread.send({ ops: [op("instances.told", "ftm")], payload: { node: name, instances: this.reports(name) as unknown as Data } });
    };
    this.network.add(`execution@${name}`, [element({
      name: "execution",
      version: 1,
      state: {},
      handlers: {
        "epoch.guard": () => {},
        "instances.assign": (_state, thread) => {
          if (this.slow.has(name)) return;
          this.orders.set(name, thread.payload["instances"] as unknown as InstanceOrder[]);
          tell(thread);
        },
        "instances.tell": (_state, thread) => tell(thread),
      },
    })]);
    this.changed();
  }

  submit(fields: DataRecord): void {
    const application = parseApplication({ command: "web", ...fields });
    const entry: ApplicationEntry = { serial: "1.n1.1", application, desired: "running", revision: 1, revisionEpoch: epoch, restart: 0, completed: [] } as unknown as ApplicationEntry;
    this.table[`app:${application.name}`] = entry as unknown as Data;
    this.changed();
  }

  changed(milliseconds = 100): void {
    this.network.local("ftm", "cluster.changed");
    this.network.advance(milliseconds);
  }

  /** A node says again what runs there. */
  tell(name: string): void {
    this.network.local(`execution@${name}`, "instances.tell");
    this.network.advance(100);
  }

  reports(name: string): InstanceReport[] {
    const cannot = this.unable.has(name) ? "it does not exist" : "";
    return (this.orders.get(name) ?? []).map(({ id, serial, application, placement: placed, restart, desired }) => ({
      id, serial, name: application.name, placement: placed, state: desired === "stopped" ? "stopped" : cannot === "" ? "running" : "failed", pid: 1, restarts: 0, launch: ++this.launches, restart, crashLoop: this.crashing.has(name), cannot,
    }));
  }

  /** Where instances belong. */
  get where(): Record<string, string> {
    return Object.fromEntries([...this.orders].flatMap(([node, orders]) => orders.map(({ id }) => [id, node])).sort());
  }
}

describe("placement", () => {
  test("spreads the instances of an application over the nodes", () => {
    const places = new Places("n1", "n2", "n3");
    places.submit({ name: "web", instances: 3 });
    expect(Object.values(places.where).sort()).toEqual(["n1", "n2", "n3"]);
    places.submit({ name: "api", instances: 6 });
    const api = Object.entries(places.where).filter(([id]) => id.startsWith("api")).map(([, node]) => node);
    for (const node of ["n1", "n2", "n3"]) expect(api.filter((one) => one === node)).toHaveLength(2);
  });

  test("moves an instance away from a node that cannot run it, and only then", () => {
    const places = new Places("n1", "n2");
    places.unable.add("n1");
    places.submit({ name: "web", instances: 2 });
    expect(places.where).toEqual({ "web.0": "n2", "web.1": "n2" });
    expect(places.network.events.filter(({ event }) => event.kind === "application.moved")).toMatchObject([{ event: { node: "n2", from: "n1" } }]);
  });

  test("leaves an instance that nobody can run where it is; a node that joins and can gets it", () => {
    const places = new Places("n1", "n2");
    places.unable.add("n1").add("n2");
    places.submit({ name: "web" });
    const before = places.where;
    const moves = (): number => places.network.events.filter(({ event }) => event.kind === "application.moved").length;
    expect(moves()).toBe(1);
    for (let round = 0; round < 5; round++) places.tell(before["web.0"]!);
    expect(places.where).toEqual(before);
    expect(moves()).toBe(1);
    places.join("n3");
    expect(places.where).toEqual({ "web.0": "n3" });
  });

  test("goes back to where it at least starts, rather than from one node that cannot run it to the next", () => {
    const places = new Places("n1", "n2", "n3");
    places.unable.add("n2").add("n3");
    places.crashing.add("n1");
    places.submit({ name: "web", node: "n1" });
    // Tried everywhere by then, and again after the half minute for which the others are avoided.
    for (const waitMs of [100, 31_000]) {
      places.changed(waitMs);
      places.changed();
      expect(places.where).toEqual({ "web.0": "n1" });
    }
    const moves = places.network.events.filter(({ event }) => event.kind === "application.moved").map(({ event }) => event["node"]);
    expect(moves.slice(0, 3)).toEqual(["n2", "n3", "n1"]);
    places.join("n4");
    expect(places.where).toEqual({ "web.0": "n4" });
  });

  test("leaves out a node whose disk is full, unless there is no other", () => {
    const places = new Places("n1", "n2");
    places.full.add("n1");
    places.submit({ name: "web", instances: 2, node: "n1" });
    expect(places.where).toEqual({ "web.0": "n2", "web.1": "n2" });
    places.full.add("n2");
    places.submit({ name: "api", instances: 2 });
    expect(places.where).toEqual({ "api.0": "n1", "api.1": "n2", "web.0": "n2", "web.1": "n2" });
  });

  test("moves what cannot run where there is room to where there is none, once", () => {
    const places = new Places("n1", "n2");
    places.full.add("n1");
    places.unable.add("n2");
    places.submit({ name: "web" });
    expect(places.where).toEqual({ "web.0": "n1" });
    expect(places.network.events.filter(({ event }) => event.kind === "application.moved")).toHaveLength(1);
  });

  test("tries everywhere again when an operator has restarted it", () => {
    const places = new Places("n1", "n2");
    places.unable.add("n1").add("n2");
    places.submit({ name: "web" });
    const [stuckOn] = Object.values(places.where);
    const other = stuckOn === "n1" ? "n2" : "n1";
    places.unable.delete(other);
    places.changed();
    expect(places.where).toEqual({ "web.0": stuckOn! });
    places.table["app:web"] = { ...(places.table["app:web"] as DataRecord), restart: 1 };
    places.changed();
    expect(places.where).toEqual({ "web.0": other });
  });

  test("tries a node again that has become able since", () => {
    const places = new Places("n1", "n2");
    places.unable.add("n1").add("n2");
    places.submit({ name: "web" });
    const [stuckOn] = Object.values(places.where);
    const other = stuckOn === "n1" ? "n2" : "n1";
    places.unable.delete(other);
    // Nobody reports anything: time alone does it. Its own node is tried all the while.
    for (let passed = 0; passed < 60_000; passed += 30_000) {
      places.network.advance(30_000);
      places.network.local(`execution@${stuckOn}`, "instances.tell");
    }
    places.network.advance(100);
    expect(places.where).toEqual({ "web.0": other });
  });

  test("prefers a node that works to the one that would be best, while it lasts", () => {
    const places = new Places("n1", "n2", "n3");
    places.unable.add("n1");
    places.submit({ name: "web" });
    expect(places.where["web.0"]).not.toBe("n1");
    // Its node fails: the one known to be unable is not the next.
    const lost = places.where["web.0"]!;
    places.nodes.set(lost, "failed");
    places.orders.delete(lost);
    places.changed();
    const rest = ["n2", "n3"].filter((node) => node !== lost);
    expect(places.where).toEqual({ "web.0": rest[0]! });
  });

  test("an instance that recovered where it is is not moved when another node joins", () => {
    const places = new Places("n1");
    places.unable.add("n1");
    places.submit({ name: "web" });
    expect(places.where).toEqual({ "web.0": "n1" });
    places.unable.delete("n1");
    places.tell("n1");
    places.join("n2");
    expect(places.where).toEqual({ "web.0": "n1" });
  });

  test("a pinned instance stays on its node, whatever that can", () => {
    const places = new Places("n1", "n2");
    places.unable.add("n1");
    places.submit({ name: "web", node: "n1", pin: true });
    expect(places.where).toEqual({ "web.0": "n1" });
  });

  test("asks again and again that another node takes over the FTM of one that is to leave", () => {
    const places = new Places("n1", "n2");
    places.ftmNode = "n1";
    places.nodes.set("n1", "draining");
    places.changed();
    expect(places.said).toEqual(["hand over n1"]);
    places.changed(7_000);
    expect(places.said).toEqual(["hand over n1", "hand over n1", "hand over n1"]);
    places.ftmNode = "n2";
    places.changed();
    expect(places.said.at(-1)).toBe("drained n1");
  });

  test("a node that is to leave does not wait for what no other node can run", () => {
    const places = new Places("n1", "n2");
    places.unable.add("n2");
    places.submit({ name: "web", node: "n1" });
    expect(places.where).toEqual({ "web.0": "n1" });
    places.nodes.set("n1", "draining");
    places.changed(1_000);
    expect(places.orders.get("n1")).toEqual([]);
    expect(places.said.at(-1)).toBe("drained n1");
  });

  test("a node that is to leave does not wait for a job that has completed there while it was moved", () => {
    const places = new Places("n1", "n2");
    places.submit({ name: "batch", kind: "job", node: "n1" });
    expect(places.where).toEqual({ "batch.0": "n1" });
    places.nodes.set("n1", "draining");
    places.slow.add("n2");
    places.changed();
    expect(places.where).toEqual({ "batch.0": "n1" });
    places.slow.clear();
    places.table["app:batch"] = { ...places.table["app:batch"] as DataRecord, completed: ["batch.0"] };
    places.changed(1_000);
    expect(places.orders.get("n1")).toEqual([]);
    expect(places.said.at(-1)).toBe("drained n1");
  });

  test("a preferred node that cannot run it is left for another", () => {
    const places = new Places("n1", "n2");
    places.unable.add("n2");
    places.submit({ name: "web", node: "n2" });
    expect(places.where).toEqual({ "web.0": "n1" });
  });

  test("leaves what runs by an entry that too few nodes have as it is: another FTM made it while its side was apart", () => {
    const places = new Places("n1", "n2");
    places.submit({ name: "web" });
    const before = places.where;
    const [node] = Object.values(before);
    // The table in which it is has just been taken in; enough nodes will have it in a moment.
    places.unsettled["app:web"] = places.table["app:web"]!;
    delete places.table["app:web"];
    places.changed();
    places.tell(node!);
    expect(places.where).toEqual(before);
    // It is in neither: removed.
    delete places.unsettled["app:web"];
    places.changed();
    expect(places.where).toEqual({});
  });

  test("orders nothing on a node whose own table is not taken in, and keeps what it has when it is", () => {
    const places = new Places("n1", "n2");
    places.submit({ name: "web" });
    const node = places.where["web.0"]!;
    const entry = places.table["app:web"]!;
    // An FTM that does not know what was submitted on that node's side.
    delete places.table["app:web"];
    places.unheard.add(node);
    places.submit({ name: "other", node });
    places.tell(node);
    places.nodes.set(node, "draining");
    places.changed();
    expect([places.orders.get(node)!.map(({ id }) => id), places.said]).toEqual([["web.0"], []]);
    places.nodes.set(node, "alive");
    places.unheard.delete(node);
    places.table["app:web"] = entry;
    places.changed();
    expect(places.where["web.0"]).toBe(node);
    expect(places.network.events.filter(({ event }) => event.kind === "application.moved" && event.subject === "web.0")).toEqual([]);
  });

  test("starts nothing by such an entry", () => {
    const places = new Places("n1", "n2");
    places.submit({ name: "web" });
    places.unsettled["app:other"] = { ...places.table["app:web"] as DataRecord, application: parseApplication({ name: "other", command: "web" }) as unknown as Data };
    places.changed();
    expect(Object.keys(places.where)).toEqual(["web.0"]);
  });
});
