/**
 * One test for each sentence of the source document; the sentence is the test's
 * name. First what an armor is, on the bare core; then the four components, made
 * of their real elements in a simulated world of two nodes.
 */
import { describe, expect, test } from "bun:test";
import type { DataRecord } from "../core/data.ts";
import { element, type Reconfiguration } from "../core/element.ts";
import { decode, encode } from "../core/codec.ts";
import type { Message } from "../core/message.ts";
import { op } from "../core/micro_operation.ts";
import { Microkernel } from "../core/microkernel.ts";
import { seededRandom } from "../core/random.ts";
import { SubscriptionList } from "../core/subscription_list.ts";
import { basicElements } from "../armors/elements/basic.ts";
import { livenessPoll } from "../armors/elements/liveness_poll.ts";
import type { View } from "../armors/elements/view_shape.ts";
import { daemonArmor } from "../armors/daemon_armor.ts";
import { executionArmor } from "../armors/execution_armor.ts";
import { faultToleranceManager } from "../armors/fault_tolerance_manager.ts";
import { heartbeatArmor } from "../armors/heartbeat_armor.ts";
import { KernelNetwork } from "./sim/kernel_network.ts";
import { ArmorWorld } from "./sim/armor_world.ts";

type Words = { readonly words: readonly string[] };

/** An element that writes each op it gets, and the text it comes with, to its state. */
const listener = (name: string, ...ops: string[]) =>
  element<Words>({
    name,
    version: 1,
    state: { words: [] },
    handlers: Object.fromEntries(
      ops.map((one) => [one, (state: Words, { payload }: { payload: DataRecord }) => ({ words: [...state.words, `${one} ${payload["text"] ?? ""}`.trim()] })]),
    ),
  });
const words = (network: KernelNetwork, armor: string, name: string): readonly string[] => network.state<Words>(armor, name).words;

describe("armors, elements and messages", () => {
  test("Armors are multithreaded processes internally structured around objects, called elements, which contain their own private data and provide elementary functions or services.", () => {
    const network = new KernelNetwork(1, { work: { slow: () => ({ delayMs: 50, completion: { ok: true, value: null } }) } });
    const seen: unknown[] = [];
    const slow = element<Words>({
      name: "slow",
      version: 1,
      state: { words: ["private"] },
      blocking: ["slow.serve"],
      handlers: {
        "slow.serve": (state, { completion, block, payload }) => {
          seen.push(state);
          if (completion) return { words: [...state.words, String(payload["text"])] };
          block({ kind: "slow" });
          return undefined;
        },
      },
    });
    network.add("a", [slow, listener("other", "other.serve")]);
    // Three threads are alive at once; a fourth overtakes them.
    for (const text of ["1", "2", "3"]) network.local("a", "slow.serve", { text });
    network.local("a", "other.serve", { text: "meanwhile" });
    expect(Object.keys(network.armor("a").kernel!.snapshot().continuations).length).toBe(3);
    expect(words(network, "a", "other")).toEqual(["other.serve meanwhile"]);
    network.advance(100);
    expect(words(network, "a", "slow")).toEqual(["private", "1", "2", "3"]);
    // Handlers of one element never see the state of another.
    expect(JSON.stringify(seen)).not.toContain("meanwhile");
  });

  test("Every armor process contains a basic set of elements that provide core functionality, including reliable point-to-point messaging between armors, response to heartbeat messages (which indicate a given armor process's liveness), and the ability to checkpoint armor state.", () => {
    const daemon = { id: "n1", name: "n1", address: "h:1", boot: "b", bootstrap: true };
    const names = basicElements().map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining(["messaging", "heartbeat_reply", "checkpointing"]));
    for (const armor of [daemonArmor(daemon), faultToleranceManager({ node: "n1" }), heartbeatArmor({ node: "n1" }), executionArmor({ node: "n1" })]) {
      expect(armor.map(({ name }) => name)).toEqual(expect.arrayContaining(names));
    }
    const network = new KernelNetwork(1);
    for (const id of ["a", "b"]) {
      network.add(id, [
        ...basicElements(),
        listener("listener", "listener.note"),
        element({ name: "talker", version: 1, state: {}, handlers: { "talker.go": (_, { send }) => void send({ ops: [op("listener.note", "b")], payload: { text: "once" } }) } }),
      ]);
    }
    network.faults = { drop: 500, duplicate: 500, reorder: true, delayMaxMs: 50 };
    network.local("a", "talker.go");
    network.local("a", "heartbeat.asked", { from: "watcher", nonce: "00ff", path: "h:1" });
    expect(network.commands).toEqual([{ armor: "a", command: { kind: "heartbeat.reply", args: { to: "watcher", nonce: "00ff", path: "h:1" } } }]);
    network.crashAfter("a", 0);
    network.restart("a");
    expect(network.settle(5_000) || words(network, "b", "listener").length > 0).toBe(true);
    expect(words(network, "b", "listener")).toEqual(["listener.note once"]);
    network.local("a", "checkpoint.take");
    expect(network.commands.at(-1)).toEqual({ armor: "a", command: { kind: "checkpoint.snapshot", args: {} } });
  });

  test("Armor processes communicate via message passing: the microkernel present in each distributes messages between elements within an armor and between the armors in a system.", () => {
    const network = new KernelNetwork(1);
    const sender = element({
      name: "sender",
      version: 1,
      state: {},
      handlers: {
        "sender.go": (_, { send }) => {
          send({ ops: [op("listener.note")], payload: { text: "within" } });
          send({ ops: [op("listener.note", "b")], payload: { text: "between" } });
        },
      },
    });
    for (const id of ["a", "b"]) network.add(id, [sender, listener("listener", "listener.note")]);
    network.local("a", "sender.go");
    expect(network.settle()).toBe(true);
    expect([words(network, "a", "listener"), words(network, "b", "listener")]).toEqual([["listener.note within"], ["listener.note between"]]);
  });

  test("Every incoming message causes the microkernel to spawn a new thread to process the message, and the execution of each thread invokes one or more elements within the armor process.", () => {
    const threads: unknown[] = [];
    const spy = (name: string) => element({ name, version: 1, state: {}, handlers: { "spy.look": (_, thread) => void threads.push([name, thread.payload, thread.message.id]) } });
    const network = new KernelNetwork(1);
    network.add("a", [spy("first"), spy("second")]);
    network.add("b", [element({ name: "sender", version: 1, state: {}, handlers: { "sender.go": (_, { send }) => void send({ ops: [op("spy.look", "a")] }) } })]);
    network.local("b", "sender.go");
    network.local("b", "sender.go");
    expect(network.settle()).toBe(true);
    const [one, two, three, four] = threads as [string, object, string][] as [[string, object, string], [string, object, string], [string, object, string], [string, object, string]];
    expect(threads.length).toBe(4);
    expect([one[0], two[0], three[0], four[0]]).toEqual(["first", "second", "first", "second"]);
    // Both elements in one thread, another message in another.
    expect([one[1] === two[1], one[1] === three[1], one[2] === two[2], one[2] === three[2]]).toEqual([true, false, true, false]);
  });

  test("A thread terminates when the armor finishes processing the message or when it sends an outgoing message in response to the original.", () => {
    const network = new KernelNetwork(1);
    for (const id of ["a", "b"]) {
      network.add(id, [
        listener("listener", "listener.one", "listener.two"),
        element({
          name: "caller",
          version: 1,
          state: {},
          handlers: { "caller.go": (_, { send, self }) => void send({ ops: [op("listener.one", "b"), op("listener.two", "b"), op("listener.two", self), op("listener.one", self)], payload: { text: self } }) },
        }),
      ]);
    }
    network.local("a", "caller.go");
    expect(network.settle()).toBe(true);
    // At b it ends with the answer; at a it ends with the last op. Nothing of it is left anywhere.
    expect([words(network, "b", "listener"), words(network, "a", "listener")]).toEqual([["listener.one a", "listener.two a"], ["listener.two a", "listener.one a"]]);
    for (const id of ["a", "b"]) expect(network.armor(id).kernel!.snapshot().continuations).toEqual({});
  });

  test("Structurally, messages consist of two primary parts: the microoperation sequence and the payload.", () => {
    const { message } = sentMessage();
    expect(Array.isArray(message.ops)).toBe(true);
    expect(message.payload).toEqual({ text: "for both" });
  });

  test("Every message carries a series of microoperations to be executed by armors.", () => {
    const { message } = sentMessage();
    expect(message.ops).toEqual([{ name: "listener.one", at: "b" }, { name: "listener.two", at: "c" }]);
  });

  test("The microkernel delivers each microoperation in sequence to elements that have subscribed to that operation.", () => {
    const network = new KernelNetwork(1);
    const order: string[] = [];
    const note = (name: string, ...ops: string[]) =>
      element({ name, version: 1, state: {}, handlers: Object.fromEntries(ops.map((one) => [one, () => void order.push(`${name} ${one}`)])) });
    const starter = element({ name: "starter", version: 1, state: {}, handlers: { "starter.go": (_, { insert }) => insert(op("x.one"), op("x.two"), op("x.three")) } });
    network.add("a", [starter, note("p", "x.one", "x.three"), note("q", "x.two"), note("r", "x.one", "x.two", "x.three"), note("s", "x.four")]);
    network.local("a", "starter.go");
    expect(order).toEqual(["p x.one", "r x.one", "q x.two", "r x.two", "p x.three", "r x.three"]);
  });

  test("During the initialization within the system, each armor establishes a subscription list, which provides mapping between elements and the microoperations each element can process.", () => {
    const elements = faultToleranceManager({ node: "n1" });
    const kernel = new Microkernel({ armor: "ftm", generation: { epoch: 1, node: "n1", counter: 0 }, elements, random: seededRandom(1) });
    expect(kernel.describe()).toEqual(elements.map(({ name, version, handlers }) => ({ name, version, ops: Object.keys(handlers) })));
    expect(kernel.describe().find(({ name }) => name === "heartbeat_reply")?.ops).toEqual(["heartbeat.asked"]);
  });

  test("The microkernel is responsible for maintaining the list at runtime.", () => {
    const list = new SubscriptionList();
    const names = (one: string): string[] => list.subscribers(one).map(({ name }) => name);
    list.add(listener("first", "x.one"));
    list.add(listener("second", "x.one", "x.two"));
    expect([names("x.one"), names("x.two")]).toEqual([["first", "second"], ["second"]]);
    list.remove("first");
    expect([names("x.one"), names("x.two")]).toEqual([["second"], ["second"]]);
    list.add(listener("first", "x.two"));
    expect([names("x.one"), names("x.two")]).toEqual([["second"], ["second", "first"]]);
    // The microkernel asks its list for every op, while elements come and go: what nobody subscribes to comes back.
    const changes: Reconfiguration[] = [{ add: listener("late", "late.note") }, { remove: "late" }];
    const changer = element({ name: "changer", version: 1, state: {}, handlers: { "change.make": (_, thread) => thread.reconfigure(changes.shift()!) } });
    const sender = element<Words>({
      name: "sender",
      version: 1,
      state: { words: [] },
      handlers: {
        "sender.go": (_, { send }) => void send({ ops: [op("late.note")] }),
        "armor.op-failed": (state, { payload }) => ({ words: [...state.words, String((payload["failure"] as DataRecord)["code"])] }),
      },
    });
    const network = new KernelNetwork(1);
    network.add("a", [changer, sender]);
    network.local("a", "sender.go");
    expect(words(network, "a", "sender")).toEqual(["unsubscribed"]);
    network.local("a", "change.make");
    network.local("a", "sender.go");
    expect([words(network, "a", "late"), words(network, "a", "sender")]).toEqual([["late.note"], ["unsubscribed"]]);
    network.local("a", "change.make");
    network.local("a", "sender.go");
    expect(words(network, "a", "sender")).toEqual(["unsubscribed", "unsubscribed"]);
  });

  test("Each message contains a general payload area for storing data.", () => {
    const { message } = sentMessage({ text: "t", number: 2 ** 53 - 1, bytes: new Uint8Array([0, 255]), deep: { list: [null, true, { x: [] }] } });
    expect(decode(encode(message))).toEqual(message);
    expect(message.payload["deep"]).toEqual({ list: [null, true, { x: [] }] });
  });

  test("Elements can read from and write to the payload fields while processing the microoperations in a message.", () => {
    const { reads } = exchange();
    expect(reads).toEqual(["writer reads undefined", "reader reads written"]);
  });

  test("Thus, elements can exchange information with one another within a single execution thread.", () => {
    const { network } = exchange();
    expect(words(network, "a", "reader")).toEqual(["reads written"]);
  });

  test("This information exchange doesn't interfere with other execution threads because each thread manipulates its own payload.", () => {
    const network = new KernelNetwork(1, { work: { pause: () => ({ delayMs: 10, completion: { ok: true, value: null } }) } });
    const writer = element<Words>({
      name: "writer",
      version: 1,
      state: { words: [] },
      blocking: ["writer.pause"],
      handlers: {
        "writer.go": (_, { payload, insert }) => {
          payload["field"] = `of ${payload["who"]}`;
          insert(op("writer.pause"), op("writer.read"));
        },
        "writer.pause": (_, { completion, block }) => void (completion || block({ kind: "pause" })),
        "writer.read": (state, { payload }) => ({ words: [...state.words, String(payload["field"])] }),
      },
    });
    network.add("a", [writer]);
    for (const who of ["one", "two", "three"]) network.local("a", "writer.go", { who });
    network.advance(50);
    expect(words(network, "a", "writer")).toEqual(["of one", "of two", "of three"]);
  });

  test("While processing a microoperation, an element can update its local state or the state of the payload fields; it can also change an armor process's control flow by adding new microoperations to the current sequence.", () => {
    const network = new KernelNetwork(1);
    const brancher = element<{ readonly visits: number }>({
      name: "brancher",
      version: 1,
      state: { visits: 0 },
      handlers: {
        "branch.take": ({ visits }, { payload, insert, append }) => {
          payload["text"] = `visit ${visits + 1}`;
          append(op("listener.last"));
          if (visits % 2 === 0) insert(op("listener.extra"));
          return { visits: visits + 1 };
        },
      },
    });
    network.add("a", [brancher, listener("listener", "listener.extra", "listener.last")]);
    network.local("a", "branch.take");
    network.local("a", "branch.take");
    expect(network.state("a", "brancher")).toEqual({ visits: 2 });
    expect(words(network, "a", "listener")).toEqual(["listener.extra visit 1", "listener.last visit 1", "listener.last visit 2"]);
  });

  test("This modular, event-driven architecture permits developers to customize an armor process's functionality and fault-tolerance services (detection and recovery) according to the application's needs.", () => {
    // Detection: the same poll, told to be quicker. Recovery: an element of one's own that subscribes to its judgement.
    const pager = element<Words>({
      name: "pager",
      version: 1,
      state: { words: [] },
      handlers: {
        "armor.started": (_, { payload, insert }) => {
          payload["targets"] = [{ id: "pump", address: "local", suspectMisses: 1, failedMisses: 2 }];
          insert(op("liveness.watch"));
        },
        "liveness.changed": (state, { payload, command }) => {
          const [{ id, liveness }] = payload["changes"] as unknown as [{ id: string; liveness: string }];
          if (liveness === "failed") command({ kind: "valve.close", args: { id } });
          return { words: [...state.words, `${id} ${liveness}`] };
        },
      },
    });
    const network = new KernelNetwork(1);
    network.add("own", [...basicElements(), livenessPoll(10), pager]);
    network.advance(45);
    expect(words(network, "own", "pager")).toEqual(["pump suspect", "pump failed"]);
    expect(network.commands.filter(({ command }) => command.kind === "valve.close").length).toBe(1);
  });

  /** A message to two armors as it travels. */
  function sentMessage(payload: DataRecord = { text: "for both" }): { message: Message } {
    const kernel = new Microkernel({
      armor: "a",
      generation: { epoch: 1, node: "n1", counter: 0 },
      random: seededRandom(1),
      elements: [element({ name: "sender", version: 1, state: {}, handlers: { "sender.go": (_, { send }) => void send({ ops: [op("listener.one", "b"), op("listener.two", "c")], payload: { ...payload } }) } })],
    });
    const { commits } = kernel.step({ kind: "local", op: "sender.go", payload: {} }, 0);
    return { message: decode(commits[0]!.sent![0]!.body) as Message };
  }

  /** One thread in which one element writes a field and another reads it. */
  function exchange(): { network: KernelNetwork; reads: string[] } {
    const reads: string[] = [];
    const network = new KernelNetwork(1);
    const writer = element({
      name: "writer",
      version: 1,
      state: {},
      handlers: {
        "exchange.do": (_, { payload }) => {
          reads.push(`writer reads ${payload["field"]}`);
          payload["field"] = "written";
        },
      },
    });
    const reader = element<Words>({
      name: "reader",
      version: 1,
      state: { words: [] },
      handlers: {
        "exchange.do": (state, { payload }) => {
          reads.push(`reader reads ${payload["field"]}`);
          return { words: [...state.words, `reads ${payload["field"]}`] };
        },
      },
    });
    network.add("a", [writer, reader]);
    network.local("a", "exchange.do");
    return { network, reads };
  }
});

describe("the four components", () => {
  const application = (name: string): DataRecord => ({ name, command: "/bin/server", args: [], env: {}, directory: null, user: null, instances: 1, node: null, pin: false, kind: "service", singleton: false });
  const submit = (world: ArmorWorld, name: string): string => world.operate("n1", "application.submit", { application: application(name) });
  const view = (world: ArmorWorld, node = "n1"): View => world.view(node)!;

  test("Above is a simple armor configuration with runtime environment scaled to two nodes.", () => {
    const world = ArmorWorld.ofTwoNodes();
    expect(view(world).nodes.map(({ id, state }) => [id, state])).toEqual([["n1", "alive"], ["n2", "alive"]]);
    expect(view(world, "n2")).toEqual(view(world));
  });

  test("There are four basic components:", () => {
    const world = ArmorWorld.ofTwoNodes();
    expect([...new Set(view(world).armors.map(({ role }) => role))].sort()).toEqual(["daemon", "execution", "ftm", "heartbeat"]);
  });

  test("The fault-tolerance manager (FTM) initializes an Armor-based environment's working configuration, maintains registration information on all armor objects and application processes, and initiates recovery from armor and node failures.", () => {
    const world = ArmorWorld.ofTwoNodes();
    // Working configuration: the user started two daemons, the rest was installed by order of the FTM.
    const { armors, makeups } = view(world);
    expect(armors.map(({ armor, node, state }) => [armor, node, state]).sort()).toEqual([
      ["daemon@n1", "n1", "running"], ["daemon@n2", "n2", "running"], ["execution@n1", "n1", "running"], ["execution@n2", "n2", "running"],
      ["ftm", "n1", "running"], ["heartbeat", "n2", "running"],
    ]);
    // Registration: armors with their elements and ops, applications with their processes.
    const { makeup } = armors.find(({ armor }) => armor === "execution@n2")!;
    const listed = makeups[makeup] as { name: string; ops: string[] }[];
    expect(listed.find(({ name }) => name === "instances")!.ops).toContain("instances.assign");
    submit(world, "web");
    world.advance(500);
    const [web] = view(world).applications;
    expect(web).toMatchObject({ name: "web", state: "running", instances: [{ id: "web.0", pid: world.programs.get("web.0")!.pid, state: "running" }] });
    // An armor fails: it is installed again. A node fails: its application runs on the other.
    world.kill("execution@n2");
    world.advance(1_000);
    expect(view(world).armors.find(({ armor }) => armor === "execution@n2")).toMatchObject({ state: "running" });
    const before = world.programs.get("web.0")!;
    const other = before.node === "n1" ? "n2" : "n1";
    world.failNode(before.node);
    world.advance(15_000);
    expect(world.programs.get("web.0")).toMatchObject({ node: other });
    expect(view(world, other).nodes.find(({ id }) => id === before.node)).toMatchObject({ state: "failed" });
    expect(view(world, other).applications[0]).toMatchObject({ state: "running", instances: [{ node: other }] });
  });

  test("The heartbeat armor runs on a node that is separate from the FTM.", () => {
    const world = ArmorWorld.ofTwoNodes();
    const at = (armor: string): string => view(world, "n2").armors.find((one) => one.armor === armor)!.node;
    expect(at("heartbeat")).not.toBe(at("ftm"));
    // It stays so when it fails and is installed again.
    world.kill("heartbeat");
    world.advance(2_000);
    expect(at("heartbeat")).not.toBe(at("ftm"));
    expect(world.alive("heartbeat")).toBe(true);
    // On one node there is none.
    const small = ArmorWorld.ofOneNode();
    expect(small.view("n1")!.armors.map(({ armor }) => armor).sort()).toEqual(["daemon@n1", "execution@n1", "ftm"]);
  });

  test('It detects failures in the FTM by periodically polling for "liveness," and then initiates FTM recovery.', () => {
    const world = ArmorWorld.ofTwoNodes();
    const asks = world.asks("heartbeat", "ftm");
    world.advance(1_000);
    expect(world.asks("heartbeat", "ftm") - asks).toBe(4);
    const epoch = view(world).epoch.number;
    world.freeze("ftm");
    world.advance(6_000);
    expect(world.alive("ftm")).toBe(true);
    for (const node of ["n1", "n2"]) expect(view(world, node).epoch.number).toBeGreaterThan(epoch);
    expect(world.events.find(({ kind, detectedBy }) => kind === "ftm.takeover" && detectedBy === "heartbeat")).toBeDefined();
  });

  test("A daemon armor runs on each node in the network, serving as a gateway for armor-to-armor communication and detecting runtime failures of local armors (those running on the same node as the daemon).", () => {
    const world = ArmorWorld.ofTwoNodes();
    expect(["n1", "n2"].map((node) => world.alive(`daemon@${node}`))).toEqual([true, true]);
    // Gateway: it knows on which node every armor is, and no armor's frame goes round it.
    expect(world.routes("n2")).toMatchObject({ ftm: "n1", heartbeat: "n2" });
    expect(world.routes("n1")).toMatchObject({ ftm: "n1", heartbeat: "n2" });
    const delivered = world.frames("ftm", "execution@n2");
    world.blockGateway("n2");
    world.kill("execution@n2");
    world.advance(200);
    submit(world, "web");
    world.advance(200);
    expect(world.frames("ftm", "execution@n2")).toBe(delivered);
    world.openGateway("n2");
    // A crash is seen at once, a hang by its own asks.
    world.advance(3_000);
    expect(world.events.find(({ kind, subject }) => kind === "armor.crashed" && subject === "execution@n2")).toMatchObject({ detectedBy: "daemon@n2" });
    world.freeze("execution@n2");
    world.advance(3_000);
    expect(world.events.find(({ kind, subject }) => kind === "armor.hung" && subject === "execution@n2")).toMatchObject({ detectedBy: "daemon@n2" });
    expect(world.alive("execution@n2")).toBe(true);
  });

  test("The execution armor launches local application processes, detects their failures, and performs recovery.", () => {
    const world = ArmorWorld.ofTwoNodes();
    submit(world, "web");
    world.advance(500);
    const first = world.programs.get("web.0")!;
    const armor = `execution@${first.node}`;
    expect(world.launches).toEqual([{ armor, id: "web.0", launch: 1 }]);
    world.exit("web.0", 139);
    world.advance(50);
    const second = world.programs.get("web.0")!;
    expect([second.node, second.pid === first.pid]).toEqual([first.node, false]);
    world.hang("web.0");
    world.advance(500);
    const third = world.programs.get("web.0")!;
    expect([third.node, third.pid === second.pid]).toEqual([first.node, false]);
    expect(world.launches).toEqual([1, 2, 3].map((launch) => ({ armor, id: "web.0", launch })));
    const told = world.events.filter(({ subject }) => subject === "web.0").map(({ kind }) => kind);
    expect(told).toEqual(expect.arrayContaining(["application.started", "application.exited", "application.restarted", "application.hung"]));
    expect(world.events.find(({ kind }) => kind === "application.hung")).toMatchObject({ detectedBy: armor });
  });
});
