/** A guard whose machine starts no daemon for a while, in virtual time. */
import { expect, test } from "bun:test";
import { type GuardMachine, runGuardProcess } from "../../armors/host/guard_process.ts";
import { ArmorError } from "../../core/errors.ts";
import { seededRandom } from "../../core/random.ts";
import { virtualClock } from "./virtual_clock.ts";

const identity = { id: "n1", name: "n1", cluster: "", bootstrap: true } as never;
const full = (): ArmorError => new ArmorError("spawn_failed", "Cannot start \"armor\"", { cause: new Error("spawn EAGAIN") });

/** A guard that has begun; `startDaemon` is what its machine does. */
async function begin(startDaemon: GuardMachine["startDaemon"], { clock, runUntil } = virtualClock()) {
  const [told, exits] = [[] as string[], [] as number[]];
  let terminate = (): void => {};
  const machine = {
    clock,
    random: seededRandom(1),
    startDaemon,
    tell: (text: string) => told.push(text),
    exit: (status: number) => exits.push(status),
    findDaemon: () => undefined,
    isAlive: () => true,
    isStopped: () => false,
    killAndConfirm: () => Promise.resolve(true),
    identity: { read: () => undefined, write: () => {} },
    keyOf: () => new Uint8Array(32),
    ports: { read: () => undefined, write: () => {} },
    openPort: () => Promise.resolve({ port: 1, send: () => {}, close: () => {} }),
    onTerminate: (asked: () => void) => void (terminate = asked),
    onYield: () => {},
  } as unknown as GuardMachine;
  await runGuardProcess(machine, identity, { listen: { host: "127.0.0.1", port: 1 }, address: "127.0.0.1:1", operator: true });
  return { runUntil, told, exits, terminate: () => terminate() };
}

test("a guard that cannot start its daemon lives, says why once, and tries again at its own pace", async () => {
  const triesAtMs: number[] = [];
  const time = virtualClock();
  const guard = await begin(() => {
    triesAtMs.push(time.clock.nowMs());
    throw full();
  }, time);
  await guard.runUntil(60_000);
  expect(guard.exits).toEqual([]);
  expect(guard.told).toEqual(["the daemon cannot be started: Cannot start \"armor\": spawn EAGAIN"]);
  // As often as it would restart one that ends at once: first at once, then less and less often.
  expect(triesAtMs.length).toBeGreaterThan(20);
  expect(triesAtMs.length).toBeLessThan(60);
  expect(triesAtMs.at(-1)! - triesAtMs.at(-2)!).toBeGreaterThanOrEqual(1_500);
});

test("it has a daemon as soon as there is room for one, with what it knew of the last", async () => {
  const starts: [number, boolean][] = [];
  let exit: (end: { code: number | null; signal: string | null }) => void = () => {};
  let failing = false;
  const guard = await begin((restarts, ownEnd) => {
    if (failing) throw full();
    starts.push([restarts, ownEnd]);
    const pid = 100 + restarts;
    return { pid, identity: { pid, startTicks: 1, bootId: "b" }, onExit: (listener) => void (exit = listener) };
  });
  failing = true;
  exit({ code: 70, signal: null });
  await guard.runUntil(1_000);
  failing = false;
  await guard.runUntil(4_000);
  expect(starts.length).toBe(2);
  expect(starts[1]![0]).toBeGreaterThan(1);
  // Its checkpoint may be what it died of: a try that came to nothing does not hide it.
  expect(starts[1]![1]).toBe(true);
});

test("it ends when it is asked to while there is no daemon", async () => {
  const guard = await begin(() => {
    throw full();
  });
  await guard.runUntil(1_000);
  guard.terminate();
  expect(guard.exits).toEqual([0]);
});
