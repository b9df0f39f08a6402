import { expect, test } from "bun:test";
import { decode } from "../../core/codec.ts";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";
import type { Message } from "../../core/message.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { localArmors } from "../../armors/elements/local_armors.ts";

const others = element({
  name: "others",
  version: 1,
  state: {},
  handlers: Object.fromEntries(["liveness.watch", "liveness.unwatch", "ftm.lost"].map((op) => [op, () => {}])),
});
const generation = { epoch: 2, node: "b", counter: 0 };
const process = { pid: 4_000, startTicks: 1, bootId: "boot" };

/** The daemon of node `a`, which has just started an FTM; returns kinds of commands. */
function daemon() {
  const kernel = new Microkernel({ armor: "daemon@a", generation, elements: [localArmors("a"), others], random: seededRandom(1), eventSink: "daemon@a" });
  const local = (op: string, payload: Record<string, unknown>): string[] =>
    kernel.step({ kind: "local", op, payload: payload as Record<string, Data> }, 1_000).commands.map(({ kind }) => kind);
  kernel.step({ kind: "start", payload: {} }, 1_000);
  local("armor.install", { install: { armor: "ftm", role: "ftm", placement: 2, generation, begin: null } });
  local("armor.spawned", { armor: "ftm", process });
  return {
    silent: () => local("liveness.changed", { changes: [{ id: "ftm", liveness: "failed", silentMs: 1_250 }] }),
    register: (counter = 0) => local("armor.registered", { armor: "ftm", process, generation: { ...generation, counter }, elements: [] }),
  };
}

test("an armor that has not registered is not killed for the silence of the one before it on another node", () => {
  const node = daemon();
  expect(node.silent()).not.toContain("process.kill");
});

test("an armor that goes on in another generation is answered when that is on the daemon's disk", () => {
  const node = daemon();
  expect(node.register()).not.toContain("armor.answer");
  expect(node.register(1)).toContain("armor.answer");
  expect(node.register(1)).not.toContain("armor.answer");
});

test("a registered armor that is silent is killed", () => {
  const node = daemon();
  node.register();
  expect(node.silent()).toContain("process.kill");
});

test("an FTM that is gone after a restart of its daemon is never started again in its epoch, however long a takeover takes", () => {
  const elements = [localArmors("a"), others];
  const options = { armor: "daemon@a", generation, random: seededRandom(1), eventSink: "daemon@a" };
  const before = new Microkernel({ ...options, elements });
  before.step({ kind: "start", payload: {} }, 1_000);
  before.step({ kind: "local", op: "armor.install", payload: { install: { armor: "ftm", role: "ftm", placement: 2, generation, begin: { epoch: 2 } } } }, 1_000);
  // Its power was cut before it was registered durably.
  const kernel = new Microkernel({ ...options, elements, restored: { snapshot: before.snapshot(), records: [] } });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  kernel.step({ kind: "local", op: "armor.gone", payload: { armor: "ftm", process: null, cause: "found dead" } }, 1_000);
  const commands = Array.from({ length: 100 }, (_, tick) => kernel.step({ kind: "tick" }, 1_000 + (tick + 1) * timing.registerWithinMs / 10).commands).flat();
  expect(commands.map(({ kind }) => kind)).not.toContain("armor.spawn");
});

test("nor if its daemon, which was stopped meanwhile, notices that it did not register before it hears that it is gone", () => {
  const elements = [localArmors("a"), others];
  const options = { armor: "daemon@a", generation, random: seededRandom(1), eventSink: "daemon@a" };
  const before = new Microkernel({ ...options, elements });
  before.step({ kind: "start", payload: {} }, 1_000);
  before.step({ kind: "local", op: "armor.install", payload: { install: { armor: "ftm", role: "ftm", placement: 2, generation, begin: { epoch: 2 } } } }, 1_000);
  const lost: Data[] = [];
  const listener = element({ name: "others", version: 1, state: {}, handlers: { "liveness.unwatch": () => {}, "ftm.lost": (_state, thread) => void lost.push(thread.payload["gone"]!) } });
  const kernel = new Microkernel({ ...options, elements: [localArmors("a"), listener], restored: { snapshot: before.snapshot(), records: [] } });
  kernel.step({ kind: "start", payload: {} }, 1_000);
  const { commands } = kernel.step({ kind: "tick" }, 1_000 + timing.registerWithinMs);
  expect(commands.map(({ kind }) => kind).filter((kind) => kind.startsWith("armor."))).toEqual(["armor.end"]);
  expect(lost).toEqual([{ number: 2, node: "b" }]);
});

test("an armor that needs longer than others to start gets it in the end, and the next one no less than at first", () => {
  const kernel = new Microkernel({ armor: "daemon@a", generation, elements: [localArmors("a"), others], random: seededRandom(1), eventSink: "daemon@b" });
  let nowMs = 0;
  const local = (op: string, payload: Record<string, unknown>): string[] =>
    kernel.step({ kind: "local", op, payload: payload as Record<string, Data> }, nowMs).commands.map(({ kind }) => kind);
  const until = (kind: string): void => {
    for (const endMs = nowMs + 60_000; nowMs < endMs;) {
      nowMs += 50;
      if (kernel.step({ kind: "tick" }, nowMs).commands.some((command) => command.kind === kind)) return;
    }
    throw new Error(`no ${kind}`);
  };
  /** It is started and never registers. @returns When it is killed. */
  const killedAfterMs = (stopped = false): number => {
    local("armor.spawned", { armor: "execution@a", process });
    const startMs = nowMs;
    until("process.kill");
    const tookMs = nowMs - startMs;
    local("armor.gone", { armor: "execution@a", process, cause: "killed: hung", stopped });
    until("armor.spawn");
    return tookMs;
  };
  kernel.step({ kind: "start", payload: {} }, nowMs);
  local("armor.install", { install: { armor: "execution@a", role: "execution", placement: 2, generation, begin: null } });
  expect([killedAfterMs(), killedAfterMs(), killedAfterMs(), killedAfterMs(), killedAfterMs()]).toEqual([5_000, 10_000, 20_000, 40_000, 40_000]);
  local("armor.spawned", { armor: "execution@a", process });
  local("armor.registered", { armor: "execution@a", process, generation, elements: [] });
  local("armor.gone", { armor: "execution@a", process, cause: "status 70" });
  until("armor.spawn");
  expect(killedAfterMs()).toBe(5_000);
  // What is stopped is not slow, once in a row.
  expect([killedAfterMs(true), killedAfterMs(true), killedAfterMs(), killedAfterMs(true), killedAfterMs()]).toEqual([10_000, 10_000, 20_000, 40_000, 40_000]);
});

test("a daemon that begins ends a manager and a heartbeat armor that it does not know: it may have died before it did, or lost them, and a hung one would stay", () => {
  const ends = (...known: readonly string[]): unknown[] => {
    const options = { armor: "daemon@a", generation, elements: [localArmors("a"), others], random: seededRandom(1), eventSink: "daemon@a" };
    const before = new Microkernel(options);
    before.step({ kind: "start", payload: {} }, 0);
    for (const armor of known) before.step({ kind: "local", op: "armor.install", payload: { install: { armor, role: armor, placement: 2, generation, begin: null } } }, 0);
    const kernel = new Microkernel({ ...options, restored: { snapshot: before.snapshot(), records: [] } });
    const { commands } = kernel.step({ kind: "start", payload: {} }, 1);
    return commands.filter(({ kind }) => kind === "armor.end").map(({ args }) => args["role"]);
  };
  expect(ends()).toEqual(["ftm", "heartbeat"]);
  expect(ends("heartbeat")).toEqual(["ftm"]);
  expect(ends("ftm", "heartbeat")).toEqual([]);
});

test("an FTM that was told to begin twice begins once, also where it has ended meanwhile", () => {
  const kernel = new Microkernel({ armor: "daemon@a", generation, elements: [localArmors("a"), others], random: seededRandom(1), eventSink: "daemon@b" });
  const local = (op: string, payload: object): string[] => kernel.step({ kind: "local", op, payload: payload as { [field: string]: Data } }, 1_000).commands.map(({ kind }) => kind);
  const install = (placement: number): string[] => local("armor.install", { install: { armor: "ftm", role: "ftm", placement, generation, begin: { epoch: placement } } });
  kernel.step({ kind: "start", payload: {} }, 0);
  expect(install(2)).toEqual(["armor.spawn"]);
  expect(install(2)).toEqual([]);
  local("armor.gone", { armor: "ftm", process: null, cause: "status 1" });
  expect(install(2)).toEqual([]);
  expect(install(3)).toEqual(["armor.spawn"]);
});

test("a node that has left keeps no heartbeat armor for when it is started again", () => {
  const kernel = new Microkernel({ armor: "daemon@a", generation, elements: [localArmors("a"), others], random: seededRandom(1), eventSink: "daemon@b" });
  kernel.step({ kind: "start", payload: {} }, 0);
  for (const role of ["execution", "heartbeat"]) {
    kernel.step({ kind: "local", op: "armor.install", payload: { install: { armor: role, role, placement: 2, generation, begin: null } } }, 0);
  }
  kernel.step({ kind: "local", op: "membership.ended", payload: {} }, 1);
  expect(Object.keys(kernel.state("local_armors") as object)).toEqual(["execution"]);
});

test("a daemon that was late itself, or slept with its machine, accuses nobody of not having registered", () => {
  const kernel = new Microkernel({ armor: "daemon@a", generation, elements: [localArmors("a"), others], random: seededRandom(1), eventSink: "daemon@b" });
  const at = (nowMs: number): string[] => kernel.step({ kind: "tick" }, nowMs).commands.map(({ kind }) => kind);
  kernel.step({ kind: "start", payload: {} }, 0);
  kernel.step({ kind: "local", op: "armor.install", payload: { install: { armor: "execution@a", role: "execution", placement: 2, generation, begin: null } } }, 0);
  kernel.step({ kind: "local", op: "armor.spawned", payload: { armor: "execution@a", process: process as unknown as Data } }, 10);
  const wokenMs = 20 * timing.registerWithinMs;
  expect(at(wokenMs)).not.toContain("process.kill");
  expect(at(wokenMs + timing.registerWithinMs - 1)).not.toContain("process.kill");
  expect(at(wokenMs + timing.registerWithinMs)).toContain("process.kill");
});

test("an armor that went on under a later generation than its FTM knows of is ordered in that one, or its numbers would be used twice", () => {
  const kernel = new Microkernel({ armor: "daemon@a", generation, elements: [localArmors("a"), others], random: seededRandom(1) });
  let nowMs = 1_000;
  const local = (op: string, payload: Record<string, unknown>) => kernel.step({ kind: "local", op, payload: payload as Record<string, Data> }, nowMs++).commands;
  const ordered = (placement: number): unknown =>
    local("armor.install", { install: { armor: "execution@a", role: "execution", placement, generation, begin: null } }).find(({ kind }) => kind === "armor.spawn")?.args["generation"];
  kernel.step({ kind: "start", payload: {} }, nowMs);
  expect(ordered(2)).toEqual(generation);
  const later = { ...generation, counter: generation.counter + 1 };
  local("armor.registered", { armor: "execution@a", process, generation: later, elements: [] });
  local("armor.gone", { armor: "execution@a", process, cause: "status 70" });
  expect(ordered(2)).toEqual(later);
  expect(ordered(3)).toEqual(generation);
});

test("an armor that is placed anew is told of under its new generation at once: of two copies, the one placed last stays", () => {
  const kernel = new Microkernel({ armor: "daemon@a", generation, elements: [localArmors("a"), others], random: seededRandom(1), eventSink: "daemon@a" });
  const told: unknown[] = [];
  const step = (event: Parameters<Microkernel["step"]>[0]): void => {
    for (const { sent = [] } of kernel.step(event, 1_000).commits) {
      for (const { body } of sent) {
        const { ops, payload } = decode(body) as Message;
        if (ops[0]!.name === "armors.told") told.push((payload["armors"] as { generation: unknown }[])[0]!.generation);
      }
    }
  };
  const act = (op: string, payload: Record<string, unknown>): void => {
    step({ kind: "local", op, payload: payload as Record<string, Data> });
    step({ kind: "tick" });
  };
  const install = (placement: number, counter: number): void =>
    act("armor.install", { install: { armor: "heartbeat", role: "heartbeat", placement, generation: { ...generation, counter }, begin: null } });
  step({ kind: "start", payload: {} });
  install(1, 1_000);
  act("armor.registered", { armor: "heartbeat", process, generation: { ...generation, counter: 1_000 }, elements: [] });
  install(2, 2_000);
  expect(told.at(-1)).toEqual({ ...generation, counter: 2_000 });
});

test("an armor of one's own on a node that had left waits for the FTM: it may have been placed elsewhere, or removed, since", () => {
  let returning = true;
  const knows = element({ name: "knows", version: 1, state: {}, handlers: { "membership.read": (_state, thread) => void (thread.payload["returning"] = returning) } });
  const kernel = new Microkernel({ armor: "daemon@a", generation, elements: [localArmors("a"), others, knows], random: seededRandom(1), eventSink: "daemon@b" });
  let nowMs = 1_000;
  const spawned = (milliseconds: number): unknown[] => {
    const names: unknown[] = [];
    for (const endMs = nowMs + milliseconds; nowMs < endMs; nowMs += 50) {
      names.push(...kernel.step({ kind: "tick" }, nowMs).commands.filter(({ kind }) => kind === "armor.spawn").map(({ args }) => args["armor"]));
    }
    return names;
  };
  const local = (op: string, payload: object): void => void kernel.step({ kind: "local", op, payload: payload as { [field: string]: Data } }, nowMs);
  kernel.step({ kind: "start", payload: {} }, nowMs);
  for (const [armor, role] of [["mine", "own"], ["execution@a", "execution"]]) {
    local("armor.install", { install: { armor, role, placement: 2, generation, begin: null } });
    local("armor.gone", { armor, process: null, cause: "found dead" });
  }
  expect(spawned(3_000)).toEqual(["execution@a"]);
  returning = false;
  expect(spawned(1_000)).toEqual(["mine"]);
});
