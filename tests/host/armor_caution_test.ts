import { describe, expect, test } from "bun:test";
import { ArmorHost, type Hand } from "../../armors/host/armor_host.ts";
import { diskStatus } from "../../armors/host/hand_record.ts";
import { systemRandom } from "../../armors/host/system_random.ts";
import type { CheckpointStore } from "../../core/checkpoint_store.ts";
import { element } from "../../core/element.ts";
import { CheckpointError } from "../../core/errors.ts";
import { timing } from "../../core/limits.ts";
import { Microkernel } from "../../core/microkernel.ts";

const counter = element<{ readonly count: number }, { readonly looks: number }>({
  name: "counter",
  version: 1,
  state: { count: 0 },
  volatile: () => ({ looks: 0 }),
  handlers: {
    "counter.look": (_, thread) => {
      thread.setVolatile({ looks: thread.volatile.looks + 1 });
    },
    "counter.add": (state) => ({ count: state.count + 1 }),
      },
});

/** An armor in a careful life, and what its host leaves on record. */
function careful(store?: CheckpointStore) {
  let nowMs = 0;
  const timers: { readonly atMs: number; readonly run: () => void }[] = [];
  const said: string[] = [];
  const hand: Hand = {
    isPoison: () => false,
    hold: ({ kind, op: name }) => void said.push(`${kind} ${name}`),
    release: () => {},
    working: () => {},
    settle: () => void said.push("settled"),
  };
  const kernel = new Microkernel({ armor: "a", generation: { epoch: 1, node: "n", counter: 0 }, elements: [counter], random: systemRandom });
  const statuses: number[] = [];
  const host = new ArmorHost(kernel, {
    store,
    durability: "process",
    hand,
    careful: true,
    send: () => {},
    command: () => {},
    work: () => Promise.resolve(null),
    log: () => {},
    clock: {
      nowMs: () => nowMs,
      after: (delayMs, run) => {
        const timer = { atMs: nowMs + delayMs, run };
        timers.push(timer);
        return () => void (timers.includes(timer) && timers.splice(timers.indexOf(timer), 1));
      },
      every: () => () => {},
    },
    exit: (status) => {
      statuses.push(status);
      return undefined as never;
    },
  });
  const advance = (toMs: number): void => {
    nowMs = toMs;
    for (const timer of timers.filter(({ atMs }) => atMs <= toMs)) {
      timers.splice(timers.indexOf(timer), 1);
      timer.run();
    }
  };
  return { host, said, advance, statuses };
}

describe("a careful life", () => {
  test("ends when the armor has lasted and made a commit: the time alone is not enough", () => {
    const { host, said, advance } = careful();
    host.start({});
    advance(timing.settledAfterMs);
    expect(said).not.toContain("settled");
    host.local("counter.add");
    expect(said.at(-1)).toBe("settled");
  });

  test("ends at its time if there was a commit before", () => {
    const { host, said, advance } = careful();
    host.start({});
    host.local("counter.add");
    advance(timing.settledAfterMs - 1);
    expect(said).not.toContain("settled");
    advance(timing.settledAfterMs);
    expect(said.at(-1)).toBe("settled");
  });

  test("that lasts without a commit puts messages on record, not every heartbeat", () => {
    const { host, said, advance } = careful();
    host.start({});
    host.local("counter.look");
    advance(timing.settledAfterMs);
    host.local("counter.look");
    expect(said.filter((text) => text === "local counter.look").length).toBe(1);
  });
});

describe("an armor whose disk refuses a commit", () => {
  test("ends with a status that accuses no message", () => {
    const full = (): never => {
      throw new CheckpointError("disk_full", "Cannot append: the disk is full");
    };
    const store: CheckpointStore = { restore: full, append: full, sync: full, writeSnapshot: () => {}, logBytes: 0, close: () => {} };
    const { host, statuses } = careful(store);
    host.start({});
    host.local("counter.add");
    expect(statuses).toContain(diskStatus);
  });
});
