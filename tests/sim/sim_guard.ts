/**
 * A simulated guard's process: the real one on a simulated machine.
 *
 * @module
 */
import { runGuardProcess } from "../../armors/host/guard_process.ts";
import { takeGuardLock } from "../../armors/host/guard_lock.ts";
import { newIdentity } from "../../armors/host/identity.ts";
import { parseAddress } from "../../transports/address.ts";
import { machineOf, type ProcessMachine, runIn } from "./process_machine.ts";
import { startSimDaemon } from "./sim_daemon.ts";
import { simKey } from "./sim_heartbeats.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";

/** Start one; `operator`: by the service manager, not by a daemon. */
export function startSimGuard(node: SimNode, operator: boolean): SimProcess {
  return node.machine.spawn("guard", operator ? "guard" : "replacement", 20 + node.random.below(30), (process) => {
    const system = machineOf(node, process);
    runIn(process, system, () => runSimGuard(node, process, system, operator));
  });
}

/** As `start_node.ts` and `run_guard.ts` do it. */
async function runSimGuard(node: SimNode, process: SimProcess, system: ProcessMachine, operator: boolean): Promise<void> {
  const { machine } = node;
  const held = await takeGuardLock({
    take: () => {
      if (node.guardLock?.alive) return false;
      node.guardLock = process;
      return true;
    },
    holder: () => node.guardLock && { pid: node.guardLock.pid, replacement: node.guardLock.name === "replacement" },
    yield: () => node.guardLock?.signal("SIGUSR2"),
    pause: system.pause,
  }, operator);
  if (held !== undefined) return system.exit(1);
  const store = node.identityStore(process);
  let identity = store.read();
  if (!identity) store.write(identity = newIdentity(node.name, node.join, node.random));
  await runGuardProcess(
    {
      ...system,
      identity: store,
      keyOf: simKey,
      startDaemon: (restarts, ownEnd) => machine.child(process, startSimDaemon(node, restarts, ownEnd)),
      findDaemon: () => machine.all("daemon")[0]?.identity,
      daemonEnd: ({ pid, startTicks }) => (node.daemonEnd?.pid === pid && node.daemonEnd.startTicks === startTicks ? node.daemonEnd.status : null),
      lastWords: () => node.lastWords,
      isAlive: (found) => machine.find(found) !== undefined,
      onParentEnd: () => undefined,
      isStopped: (found) => machine.find(found)?.stopped === true,
      signal: (found, signal) => machine.find(found)?.signal(signal),
      killAndConfirm: (found, signal, timeoutMs) => process.killAndConfirm(found, signal, timeoutMs),
      onYield: (asked) => void process.handlers.set("SIGUSR2", asked),
    },
    identity,
    { listen: parseAddress(node.address), address: node.address, operator },
  );
}
