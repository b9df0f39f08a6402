/** In which order an armor performs the effects of a step: what of it is done where it ends in the middle. */
import { expect, test } from "bun:test";
import type { CheckpointStore } from "../../core/checkpoint_store.ts";
import { type Element, element } from "../../core/element.ts";
import { CheckpointError } from "../../core/errors.ts";
import type { Frame } from "../../core/frame.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { op } from "../../core/micro_operation.ts";
import { seededRandom } from "../../core/random.ts";
import { ArmorHost, type ArmorSurroundings } from "../../armors/host/armor_host.ts";

/** An armor and what it does outside itself. */
function hosted(armor: string, one: Element, surroundings: Partial<ArmorSurroundings>): ArmorHost {
  const kernel = new Microkernel({ armor, generation: { epoch: 1, node: "n", counter: 0 }, elements: [one], random: seededRandom(1) });
  return new ArmorHost(kernel, {
    store: undefined,
    durability: "process",
    send: () => {},
    command: () => {},
    work: () => Promise.resolve(null),
    log: () => {},
    clock: { nowMs: () => 0, after: () => () => {}, every: () => () => {} },
    ...surroundings,
  });
}

test("an event is kept before its message counts as handled; every other command waits until the commit is safe", () => {
  const publishing = element({
    name: "publishing",
    version: 1,
    state: { count: 0 },
    handlers: {
      "events.publish": ({ count }, thread) => {
        for (const kind of ["events.store", "armor.spawn"]) thread.command({ kind, args: {} });
        return { count: count + 1 };
      },
    },
  });
  const done: string[] = [];
  const store = { append: () => void done.push("commit"), sync: () => new Promise(() => {}), writeSnapshot: () => {}, logBytes: 0 } as unknown as CheckpointStore;
  const host = hosted("a", publishing, { store, durability: "disk", command: ({ kind }) => void done.push(kind) });
  host.local("events.publish", {});
  // It ends here, while the commit is written to the disk.
  expect(done).toEqual(["events.store", "commit"]);
});

test("a message is acknowledged before its answer leaves: whoever commits the answer does not ask again in another life", () => {
  const asking = element({
    name: "asking",
    version: 1,
    state: {},
    handlers: {
      ask: (_state, thread) => void thread.send({ ops: [op("question", "b"), op("answered", "a")], payload: {} }),
      answered: () => {},
    },
  });
  const answering = element({ name: "answering", version: 1, state: {}, handlers: { question: () => {} } });
  const wire: Frame[] = [];
  const said: string[] = [];
  const send = (frame: Frame): void => {
    wire.push(frame);
    if (frame.from === "b" && (frame.type === "ack" || frame.type === "data")) said.push(frame.type);
  };
  const hosts = new Map([["a", hosted("a", asking, { send })], ["b", hosted("b", answering, { send })]]);
  hosts.get("a")!.local("ask");
  for (let frame = wire.shift(); frame; frame = wire.shift()) hosts.get(frame.to)!.frame(frame);
  // The two ends have met before: its answer leaves in the step that handles the question.
  said.length = 0;
  hosts.get("a")!.local("ask");
  for (let frame = wire.shift(); frame; frame = wire.shift()) hosts.get(frame.to)!.frame(frame);
  expect(said).toEqual(["ack", "data"]);
});

test("what cannot be done after the commit is safe ends the armor as before: a snapshot on a disk that is full", async () => {
  const taking = element({ name: "taking", version: 1, state: { count: 0 }, handlers: {
    take: ({ count }, thread) => {
      thread.command({ kind: "checkpoint.snapshot", args: {} });
      return { count: count + 1 };
    },
  } });
  const full = (): never => {
    throw new CheckpointError("disk_full", "Cannot write snapshot: the disk is full");
  };
  const ended: number[] = [];
  const exit = ((status: number) => void ended.push(status)) as unknown as (status: number) => never;
  const store = { append: () => {}, sync: () => Promise.resolve(), writeSnapshot: full, logBytes: 0 } as unknown as CheckpointStore;
  hosted("a", taking, { store, durability: "disk", exit }).local("take", {});
  await new Promise((resolve) => setTimeout(resolve, 1));
  expect(ended).toHaveLength(1);
});
