/**
 * The liveness poll in virtual time.
 */
import { expect, test } from "bun:test";
import type { Data } from "../../core/data.ts";
import { element } from "../../core/element.ts";
import { timing } from "../../core/limits.ts";
import { Microkernel } from "../../core/microkernel.ts";
import { seededRandom } from "../../core/random.ts";
import { livenessPoll } from "../../armors/elements/liveness_poll.ts";

const target = (address: string) => ({ id: "ftm", address, suspectMisses: 2, failedMisses: 4 });

/** A daemon that polls; `judged` is what it was told, `asked` whom it has asked by its timer. */
function poller() {
  const judged: string[] = [];
  const asked: { readonly to: Data; readonly atMs: number }[] = [];
  const listener = element({
    name: "listener",
    version: 1,
    state: {},
    handlers: {
      "liveness.changed": (_state, thread) => {
        for (const { liveness } of thread.payload["changes"] as { liveness: string }[]) judged.push(liveness);
      },
    },
  });
  const kernel = new Microkernel({
    armor: "daemon@a",
    generation: { epoch: 0, node: "a", counter: 0 },
    elements: [livenessPoll(), listener],
    random: seededRandom(1),
    eventSink: "daemon@a",
  });
  let nowMs = 1_000;
  let wakeAtMs = kernel.step({ kind: "start", payload: {} }, nowMs).wakeAtMs;
  let nonce: Data = "";
  return {
    judged,
    asked,
    /** The target replies to the last ask. */
    answer: (): void => void kernel.step({ kind: "local", op: "heartbeat.answered", payload: { from: "ftm", nonce } }, nowMs),
    local: (op: string, payload: Record<string, Data>): void => {
      const effects = kernel.step({ kind: "local", op, payload }, nowMs);
      wakeAtMs = effects.wakeAtMs;
      for (const { kind, args } of effects.commands) if (kind === "heartbeat.ask") nonce = args["nonce"]!;
    },
    run: (forMs: number): void => {
      const untilMs = nowMs + forMs;
      while (wakeAtMs !== undefined && wakeAtMs <= untilMs) {
        nowMs = wakeAtMs;
        const effects = kernel.step({ kind: "tick" }, nowMs);
        wakeAtMs = effects.wakeAtMs;
        for (const { args } of effects.commands) asked.push({ to: args["to"]!, atMs: nowMs });
      }
      nowMs = untilMs;
    },
  };
}

test("a probe that nothing answers finds a failure long before the poll does", () => {
  const { judged, local, run } = poller();
  local("liveness.watch", { targets: [target("10.0.0.1:7000")] });
  local("liveness.probe", { probe: "ftm" });
  run(timing.probeAsks * timing.probeIntervalMs + timing.probeLastMs);
  expect(judged).toEqual(["failed"]);
});

test.each([
  ["is watched elsewhere", ["liveness.watch"]],
  ["is not watched any more, then elsewhere", ["liveness.unwatch", "liveness.watch"]],
])("a probe accuses nobody once its target %s", (_name, ops) => {
  const { judged, local, run } = poller();
  local("liveness.watch", { targets: [target("10.0.0.1:7000")] });
  local("liveness.probe", { probe: "ftm" });
  for (const op of ops) local(op, { unwatch: ["ftm"], targets: [target("local")] });
  run(timing.probeAsks * timing.probeIntervalMs + timing.probeLastMs);
  expect(judged).toEqual([]);
});

test("a target that others have found silent is alive again at its next reply, also if no ask was missed", () => {
  const { judged, local, answer, run } = poller();
  local("liveness.watch", { targets: [target("10.0.0.1:7000")] });
  local("liveness.held-failed", { heldFailed: "ftm" });
  answer();
  run(0);
  expect(judged).toEqual(["alive"]);
});

test("a target at a new address is judged anew, and that is told; without an answer it is not alive", () => {
  const { judged, local, run } = poller();
  local("liveness.watch", { targets: [target("10.0.0.1:7000")] });
  run(6 * timing.heartbeatIntervalMs);
  expect(judged).toEqual(["suspect", "failed"]);
  local("liveness.watch", { targets: [target("10.0.0.2:7000")] });
  run(6 * timing.heartbeatIntervalMs);
  expect(judged).toEqual(["suspect", "failed", "suspect", "failed"]);
});

test("what is on this node is asked at the moments all processes of the machine share, and less often than other nodes", () => {
  const { asked, local, run } = poller();
  local("liveness.watch", { targets: [{ ...target("local"), id: "execution" }] });
  run(90);
  local("liveness.watch", { targets: [target("10.0.0.1:7000")] });
  run(1_000);
  expect(asked).toEqual([
    { to: "execution", atMs: 1_000 + timing.localFirstMs },
    { to: "ftm", atMs: 1_250 },
    { to: "ftm", atMs: 1_500 },
    { to: "execution", atMs: 1_600 + timing.localWaitMs },
    { to: "ftm", atMs: 1_750 },
    // Both are due, and what waits does not wait when there is a turn.
    { to: "execution", atMs: 2_000 },
    { to: "ftm", atMs: 2_000 },
  ]);
});

test("who asks with the nonce it was offered is not asked, and the others are at the same moment; once it is silent it is found as soon as any other", () => {
  const { asked, judged, local, run } = poller();
  const guard = { ...target("local"), id: "guard@a", failedMisses: timing.localMisses };
  local("liveness.watch", { targets: [guard, { ...target("local"), id: "execution", failedMisses: 1_000, suspectMisses: 999 }] });
  run(601);
  local("heartbeat.asked", { from: "guard@a", nonce: "its own", next: "offer 0", path: "" });
  asked.length = 0;
  for (let turn = 0; turn < 5; turn++) {
    local("heartbeat.asked", { from: "guard@a", nonce: `offer ${turn}`, next: `offer ${turn + 1}`, path: "" });
    run(timing.localIntervalMs);
  }
  expect(asked.every(({ to, atMs }) => to === "execution" && atMs % timing.localIntervalMs === 1)).toBe(true);
  expect([asked.length, judged]).toEqual([5, []]);
  run((timing.localMisses - 1) * timing.localIntervalMs + timing.localHurryMs - 1);
  expect(judged).toEqual(["suspect"]);
  run(timing.localWaitMs);
  expect(judged).toEqual(["suspect", "failed"]);
});

test("who asks with any other nonce, or with one that was used, proves nothing", () => {
  const { judged, local, run } = poller();
  local("liveness.watch", { targets: [{ ...target("local"), id: "guard@a", failedMisses: timing.localMisses }] });
  for (let turn = 0; turn < 6; turn++) {
    local("heartbeat.asked", { from: "guard@a", nonce: turn === 1 ? "" : "old", next: `offer ${turn}`, path: "" });
    run(timing.localIntervalMs);
  }
  expect(judged).toEqual(["suspect", "failed"]);
});
