/** What a daemon that ends in the middle of a step has done of its commands. */
import { expect, test } from "bun:test";
import type { CheckpointStore } from "../../core/checkpoint_store.ts";
import { element } from "../../core/element.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { ArmorHost } from "../../armors/host/armor_host.ts";

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
  const kernel = new Microkernel({ armor: "a", generation: { epoch: 1, node: "n", counter: 0 }, elements: [publishing], random: seededRandom(1) });
  const done: string[] = [];
  const store = { append: () => void done.push("commit"), sync: () => new Promise(() => {}), writeSnapshot: () => {}, logBytes: 0 } as unknown as CheckpointStore;
  const host = new ArmorHost(kernel, {
    store,
    durability: "disk",
    send: () => {},
    command: ({ kind }) => void done.push(kind),
    work: () => Promise.resolve(null),
    log: () => {},
    clock: { nowMs: () => 0, after: () => () => {}, every: () => () => {} },
  });
  host.local("events.publish", {});
  // It ends here, while the commit is written to the disk.
  expect(done).toEqual(["events.store", "commit"]);
});
