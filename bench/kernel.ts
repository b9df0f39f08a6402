/**
 * The microkernel alone, in one process: what a message costs without any wire.
 *
 * @module
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openCheckpointFiles } from "../armors/host/checkpoint_file.ts";
import type { Effects } from "../core/effects.ts";
import { element } from "../core/element.ts";
import type { Frame } from "../core/frame.ts";
import { op } from "../core/micro_operation.ts";
import { Microkernel } from "../core/microkernel.ts";
import { seededRandom } from "../core/random.ts";
import type { Measurement, Row } from "./harness.ts";

const passes = 7;
const count = 50_000;

const counter = element<{ count: number }>({
  name: "counter",
  version: 1,
  state: { count: 0 },
  handlers: {
    "counter.look": () => {},
    "counter.add": (state) => ({ count: state.count + 1 }),
    "counter.send": (_, thread) => void thread.send({ ops: [op("counter.add", "b")], payload: { text: "x".repeat(64) } }),
    "armor.op-failed": () => {},
  },
});

function kernel(armor: string): Microkernel {
  const made = new Microkernel({ armor, generation: { epoch: 1, node: "n", counter: 0 }, elements: [counter], random: seededRandom(1) });
  made.step({ kind: "start" }, 0);
  return made;
}

/** Nanoseconds each of `count` rounds took, once per pass; the first pass warms up. */
function timed(round: (index: number) => void): number[] {
  const values: number[] = [];
  for (let pass = 0; pass <= passes; pass++) {
    const startMs = performance.now();
    for (let index = 0; index < count; index++) round(index);
    if (pass > 0) values.push(((performance.now() - startMs) * 1e6) / count);
  }
  return values;
}

export const measure: Measurement = async () => {
  const rows: Row[] = [];
  const add = (what: string, method: string, values: readonly number[], peers?: string): void =>
    void rows.push({ what, method, unit: "ns", values, ...(peers !== undefined && { peers }) });

  const handlers = new Map<string, (index: number) => void>([["counter.look", () => {}]]);
  add("bare Map dispatch (same run)", "the floor", timed((index) => handlers.get("counter.look")!(index)), "12 ns");

  const one = kernel("a");
  add("microkernel: a thread of one op, no change", "`step` with a local op; all checks of a thread", timed(() => void one.step({ kind: "local", op: "counter.look", payload: {} }, 1)),
    "gen_server cast 205, moleculer local call 904, nact dispatch 1,553, xstate 3,278 ns");
  add("microkernel: a thread of one op that changes state", "the same, with a commit record", timed(() => void one.step({ kind: "local", op: "counter.add", payload: {} }, 1)),
    "gen_server call 1,876, nact query 4,362 ns");

  const [from, to] = [kernel("a"), kernel("b")];
  let nowMs = 1;
  add("microkernel: a message from armor to armor", "in one process, frames handed over and acknowledged: exactly once, both commits, without codec and files", timed(() => {
    nowMs += 1;
    exchange(from.step({ kind: "local", op: "counter.send", payload: {} }, nowMs), from, to, nowMs);
  }));

  const folder = mkdtempSync(join(tmpdir(), "armor-bench-"));
  try {
    const store = openCheckpointFiles(join(folder, "c"), "a", "process");
    store.restore();
    const saved = kernel("a");
    store.writeSnapshot(saved.snapshot());
    add("commit record appended to the checkpoint file", "a thread that changes state, its record encoded and written, not synced (class `process`)",
      timed(() => void store.append(saved.step({ kind: "local", op: "counter.add", payload: {} }, 1).commits)), "append of 512 bytes without sync 3,279 ns");
    store.close();
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return rows;
};

/** Hand frames over until nobody has more to say. */
function exchange(effects: Effects, sender: Microkernel, receiver: Microkernel, nowMs: number): void {
  const waiting: [Microkernel, Frame][] = [];
  const post = ({ sends, acks }: Effects, by: Microkernel): void => {
    const other = by === sender ? receiver : sender;
    for (const frame of [...sends, ...acks]) waiting.push([other, frame]);
  };
  post(effects, sender);
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
    const [to, frame] = next;
    post(to.step({ kind: "frame", frame }, nowMs), to);
  }
}
