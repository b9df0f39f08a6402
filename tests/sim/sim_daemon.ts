/**
 * A simulated daemon's process: the real one on a simulated machine.
 *
 * @module
 */
import type { DataRecord } from "../../core/data.ts";
import type { Microkernel } from "../../core/microkernel.ts";
import type { OperationAnswer } from "../../armors/elements/operator.ts";
import { type Daemon, makeDaemon } from "../../armors/host/daemon.ts";
import type { DaemonDoors, DaemonMachine } from "../../armors/host/daemon_machine.ts";
import { KeptIdentity } from "../../armors/host/identity.ts";
import type { ClusterDocument } from "../../armors/join_search.ts";
import { daemonOf } from "../../armors/shapes.ts";
import { machineOf, type ProcessMachine, runIn } from "./process_machine.ts";
import { startSimArmor } from "./sim_armor.ts";
import { startSimGuard } from "./sim_guard.ts";
import { simKey } from "./sim_heartbeats.ts";
import type { SimNode } from "./sim_node.ts";
import type { SimProcess } from "./sim_processes.ts";

const lockWithinMs = 2_000;
const lockEveryMs = 10;

/** What others see of a running daemon. */
export type SimDaemon = {
  readonly process: SimProcess;
  readonly kernel: Microkernel;
  /** `POST /v1/operations`. */
  operate(operation: string, args: DataRecord, answered: (answer: OperationAnswer) => void): void;
  /** `GET /v1/status`. */
  status(): Record<string, unknown>;
};

/** Start one as its guard does. */
export function startSimDaemon(node: SimNode, restart: number, ownEnd: boolean): SimProcess {
  return node.machine.spawn("daemon", "daemon", 40 + node.random.below(60), (process) => {
    const system = machineOf(node, process);
    runIn(process, system, () => runSimDaemon(node, process, system, { restart, ownEnd }));
  });
}

/** As `run_daemon.ts` does it. */
async function runSimDaemon(
  node: SimNode,
  process: SimProcess,
  system: ProcessMachine,
  started: { readonly restart: number; readonly ownEnd: boolean },
): Promise<void> {
  for (let waitedMs = 0; node.daemonLock?.alive; waitedMs += lockEveryMs) {
    if (waitedMs > lockWithinMs) return system.exit(1);
    await system.pause(lockEveryMs);
  }
  node.daemonLock = process;
  const identity = new KeptIdentity(node.identityStore(process));
  if (identity.now.cluster === "") node.forgetCluster();
  const outside: Outside = { certified: false };
  const { address, name, join } = node;
  const daemon = await makeDaemon(daemonMachine(node, process, system, identity, outside), { ...started, address, listenHost: name, joins: join, allowElements: true });
  node.daemon = face(daemon, process);
  await daemon.start(doors(node, process, system, daemon, outside));
}

/** The certificate is minted after local service has begun. */
type Outside = { certified: boolean };

function daemonMachine(node: SimNode, process: SimProcess, system: ProcessMachine, identity: KeptIdentity, outside: Outside): DaemonMachine {
  const { machine, network, disk } = node;
  const armor = daemonOf(identity.now.id);
  const processes = {
    clock: process.clock,
    isAlive: (found: Parameters<typeof machine.find>[0]) => machine.find(found) !== undefined,
    isStopped: (found: Parameters<typeof machine.find>[0]) => machine.find(found)?.stopped === true,
    killAndConfirm: (found: Parameters<typeof machine.find>[0], signal: string, timeoutMs: number) => process.killAndConfirm(found, signal, timeoutMs),
  };
  return {
    ...system,
    identity,
    hand: disk.hand(armor, process),
    store: system.openStore(armor, "disk"),
    armors: {
      ...processes,
      start: (role, of, flags, anew) => {
        if (anew) disk.forget(of);
        return machine.child(process, startSimArmor(node, role, of, flags));
      },
      find: (role, of) => machine.all(role).find(({ name }) => role !== "own" || name === of)?.identity,
      forget: (of) => disk.forget(of),
    },
    guards: {
      ...processes,
      holder: () => (node.guardLock?.alive ? node.guardLock.identity : undefined),
      start: () => machine.child(process, startSimGuard(node, false)),
      wakeOthers: ({ pid }) => {
        for (const other of machine.all("guard")) if (other.pid !== pid && other.stopped) other.signal("SIGCONT");
      },
      // As between processes that are not related: found by looks.
      onEnd: () => undefined,
    },
    events: {
      add: (events) => node.watch.events(node, events),
      get lastEpoch() {
        return disk.lastEpoch;
      },
    },
    configuration: { applications: () => undefined, forget: () => {} },
    folder: `/${node.name}`,
    keyOf: simKey,
    wallMs: () => node.wallMs,
    hasRoom: () => disk.files.hasRoom(),
    deadLetter: ({ failure }) => system.log(`dead letter: ${JSON.stringify(failure)}`),
    connect: (at, headers, handlers) => (outside.certified ? network.connect(process, node.nameAt(at), at, headers, handlers) : undefined),
    ask: async (at) => await network.request(process, node.nameAt(at), at, "/v1/cluster") as ClusterDocument | undefined,
    leaveWord: (status) => {
      const { pid, startTicks } = process.identity;
      node.daemonEnd = { pid, startTicks, status };
    },
  };
}

function doors(node: SimNode, process: SimProcess, { pause, random }: ProcessMachine, { links }: Daemon, outside: Outside): DaemonDoors {
  const { network } = node;
  return {
    openInner: async (onLink) => network.listen(node.socket, { process, onLink }),
    openOuter: async (onLink) => {
      await pause(20 + random.below(20));
      outside.certified = true;
      network.listen(node.address, {
        process,
        onLink: (link, headers) => onLink(link, { headers, peerName: headers["armor-node"] }),
        onRequest: () => links.cluster(),
      });
    },
    close: async () => {},
  };
}

function face(daemon: Daemon, process: SimProcess): SimDaemon {
  return {
    process,
    kernel: daemon.kernel,
    operate: (operation, args, answered) => process.run(() => void daemon.operate(operation, args).then(answered)),
    status: () => daemon.status(),
  };
}
