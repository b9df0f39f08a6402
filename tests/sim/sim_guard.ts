/**
 * A simulated guard's process around the real {@link Guard}: `run_guard.ts` and
 * the part of `start_node.ts` that takes the lock.
 *
 * @module
 */
import { Guard, type GuardEffect, type GuardEvent } from "../../armors/guard.ts";
import { daemonOf } from "../../armors/shapes.ts";
import type { ProcessExit } from "../../armors/host/child_process.ts";
import { hopelessStatus, startSimDaemon } from "./sim_daemon.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";

const killWithinMs = 5_000;
const endWithinMs = 10_000;
const lookEveryMs = 50;
const yieldWithinMs = 2_000;

/** Start one; `operator`: by the service manager, not by a daemon. */
export function startSimGuard(node: SimNode, operator: boolean): SimProcess {
  return node.machine.spawn("guard", operator ? "guard" : "replacement", 20 + node.random.below(30), (process) => takeLock(node, process, operator, 0));
}

function takeLock(node: SimNode, process: SimProcess, operator: boolean, waitedMs: number): void {
  const holder = node.guardLock;
  if (!holder?.alive) {
    node.guardLock = process;
    return runSimGuard(node, process, operator);
  }
  if (!operator || holder.name !== "replacement" || waitedMs > yieldWithinMs) return process.end({ code: 1, signal: null });
  holder.signal("SIGUSR2");
  process.clock.after(10, () => takeLock(node, process, operator, waitedMs + 10));
}

function runSimGuard(node: SimNode, process: SimProcess, operator: boolean): void {
  const { machine, ports } = node;
  const guard = new Guard(node.id, node.random);
  const self = `guard@${node.id}`;
  const daemonId = daemonOf(node.id);
  let daemon: SimProcess | undefined;
  let restarts = 0;
  let stopping = false;
  let disarm: (() => void) | undefined;
  const end = (code: number): void => process.end({ code, signal: null });

  const inner = ports.open({
    node,
    process,
    receive: (beat) => {
      if (beat.cluster !== node.clusterOrNone) return;
      const { nonce, from, to } = beat;
      if (beat.type === "reply") step({ kind: "answered", from, nonce, progress: beat.progress, epoch: beat.epoch });
      else step({ kind: "asked", from, to, nonce, path: beat.path });
    },
  });
  ports.openGuard(node.address, {
    node,
    process,
    receive: (beat) => {
      if (beat.type !== "ask" || beat.cluster !== node.clusterOrNone) return;
      step({ kind: "asked", from: beat.from, to: beat.to, nonce: beat.nonce, path: beat.path });
    },
  });
  node.portFiles.set("guard", inner);

  function step(event: GuardEvent): void {
    for (const effect of guard.step(event, machine.nowMs)) if (process.effect()) perform(effect);
    disarm?.();
    disarm = process.clock.after(Math.max(1, guard.wakeAtMs - machine.nowMs), () => step({ kind: "tick" }));
  }

  function perform(effect: GuardEffect): void {
    switch (effect.kind) {
      case "reply":
        return answer(effect.path, self, effect.to, effect.nonce, { turnAgeMs: effect.turnAgeMs });
      case "relay":
        return answer(effect.path, effect.from, effect.to, effect.nonce, effect);
      case "forward":
        return ask(effect.from, effect.to, effect.nonce);
      case "ask-daemon":
        return ask(self, daemonId, effect.nonce);
      case "start-daemon":
        return startDaemon();
      case "kill-daemon":
        return void (daemon && process.killAndConfirm(daemon.identity, "SIGKILL", killWithinMs));
      case "end":
        return end(effect.status);
    }
  }

  function ask(from: string, to: string, nonce: string): void {
    const port = node.portFiles.get(to);
    if (port !== undefined) ports.send(node, port, { type: "ask", cluster: node.clusterOrNone, from, to, nonce, path: `local ${inner}` });
  }

  function answer(path: string, from: string, to: string, nonce: string, more: { turnAgeMs?: number; progress?: number; epoch?: number }): void {
    const { turnAgeMs = 0, progress = 0, epoch = 0 } = more;
    const port = Number(path.split(" ")[1]);
    ports.send(node, port, { type: "reply", cluster: node.clusterOrNone, from, to, nonce, progress, turnAgeMs, epoch });
  }

  function startDaemon(): void {
    const child = startSimDaemon(node, restarts++);
    daemon = child;
    machine.child(process, child).onExit((exit) => exited(child, exit));
  }

  function exited(which: SimProcess, { code }: ProcessExit): void {
    if (daemon && daemon.pid !== which.pid) return;
    if (stopping || code === 0) return end(0);
    step({ kind: "daemon-exited", hopeless: code === hopelessStatus || code === 1 });
  }

  /** A daemon from before this guard. */
  function adopt(): boolean {
    const found = machine.all("daemon")[0];
    if (!found) return false;
    daemon = found;
    const stop = process.clock.every(lookEveryMs, () => {
      if (found.alive) return;
      stop();
      // It has left word of an end of its own.
      exited(found, { code: found.exit?.code ?? null, signal: null });
    });
    return true;
  }

  process.onSignal = (signal) => {
    if (signal === "SIGUSR2") return void (operator || end(0));
    if (signal !== "SIGTERM" || stopping) return;
    stopping = true;
    if (!daemon?.alive) return end(0);
    daemon.signal("SIGTERM");
    process.clock.after(endWithinMs, () => end(0));
  };
  step({ kind: "start", daemonLives: adopt() });
}
